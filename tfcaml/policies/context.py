"""A policy that sees, beside the observation, a vector that belongs to the task."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import tensorflow as tf

from tfcaml import nest
from tfcaml.errors import check, check_is, check_whole, checked_call
from tfcaml.policies.base import Policy
from tfcaml.policies.inputs import check_observation_spec
from tfcaml.policies.network_policy import mlp_policy
from tfcaml.types import Nest, Params, Trajectory

if TYPE_CHECKING:
    from tensorflow_probability import distributions as tfd


class ContextPolicy(Policy):
    """A policy of vectors in which a context stands behind the observation.

    params = {"context": [N, C], "policy": weights of the policy within}; a new context is 0.

    Args:
      policy: a `Policy` whose observation is one vector of `with_context(...)`.
      observation_spec: nest of `TensorSpec`s of one observation, without the context.
      size: C.
    """

    @checked_call
    def __init__(self, policy: Policy, observation_spec: Nest, size: int) -> None:
        made = "a Policy whose observation is one vector of with_context(observation_spec, size)"
        check_is("policy", policy, Policy, made)
        self.policy = policy
        self.size = size
        self.observation_spec = observation_spec
        self.dtype = with_context(observation_spec, size).dtype
        self.action_spec = policy.action_spec
        self.num_actions = policy.num_actions
        self.has_memory = policy.has_memory
        self.supports_xla = policy.supports_xla
        self.episode_noise_spec = policy.episode_noise_spec
        self.info_spec = policy.info_spec

    @property
    def names(self) -> tuple[str, ...]:
        return ("context", *(f"policy/{name}" for name in self.policy.names))

    @property
    def head(self) -> tuple[int, ...]:
        return tuple(1 + i for i in self.policy.head)

    def init(self, seed: int) -> Params:
        return {"context": tf.zeros([self.size], self.dtype), "policy": self.policy.init(seed)}

    def __call__(self, params: Params, observation: Nest) -> tfd.Distribution:
        return self.policy(params["policy"], self._see(params, observation, 2))

    def noise(self, key: tf.Tensor, num_steps: int) -> tf.Tensor:
        return self.policy.noise(key, num_steps)

    def sample(self, distribution: tfd.Distribution, noise: tf.Tensor) -> tf.Tensor:
        return self.policy.sample(distribution, noise)

    def episode_noise(self, key: tf.Tensor) -> Nest:
        return self.policy.episode_noise(key)

    def initial_memory(self, params: Params, num_episodes: int, noise: Nest = ()) -> Nest:
        return self.policy.initial_memory(params["policy"], num_episodes, noise)

    def act(self, params: Params, observation: Nest, memory: Nest) -> tuple[tfd.Distribution, Nest]:
        return self.policy.act(params["policy"], self._see(params, observation, 2), memory)

    def play(
        self, params: Params, observation: Nest, memory: Nest, noise: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor, Nest, Nest]:
        seen = self._see(params, observation, 2)
        return self.policy.play(params["policy"], seen, memory, noise)

    def observe(self, memory: Nest, action: tf.Tensor, reward: tf.Tensor, ended: tf.Tensor) -> Nest:
        return self.policy.observe(memory, action, reward, ended)

    def unroll(self, params: Params, trajectory: Trajectory) -> tfd.Distribution:
        return self.policy.unroll(params["policy"], self._shown(params, trajectory))

    def value(
        self, params: Params, trajectory: Trajectory, head: str = "value"
    ) -> tuple[tf.Tensor, tf.Tensor]:
        return self.policy.value(params["policy"], self._shown(params, trajectory), head)

    def _see(self, params: Params, observation: Nest, num_axes: int) -> tf.Tensor:
        """The vectors that the policy within sees: nest of [N, ...] -> [N, ..., O + C]."""
        vector = nest.vectors(observation, num_axes)
        context = tf.cast(params["context"], vector.dtype)
        context = context[(slice(None), *[None] * (num_axes - 1))]
        shape = tf.concat([tf.shape(vector)[:-1], [self.size]], axis=0)
        if vector.shape[:-1].is_fully_defined():
            shape = [*vector.shape[:-1], self.size]
        return tf.concat([vector, tf.broadcast_to(context, shape)], axis=-1)

    def _shown(self, params: Params, trajectory: Trajectory) -> Trajectory:
        """The trajectory as the policy within saw it."""
        return trajectory._replace(
            observation=self._see(params, trajectory.observation, 3),
            final_observation=self._see(params, trajectory.final_observation, 2),
        )


@checked_call
def with_context(observation_spec: Nest, size: int) -> tf.TensorSpec:
    """The spec of observations joined to one vector with a context of `size` numbers behind it."""
    check_observation_spec(observation_spec)
    check_whole("size", size, 1)
    zeros = nest.map(lambda spec: tf.zeros([1, *spec.shape], spec.dtype), observation_spec)
    vector = nest.vectors(zeros, 1)
    return tf.TensorSpec([vector.shape[-1] + size], vector.dtype)


def contextual_mlp(
    kind: Callable[[Policy, Nest, int], Policy],
    observation_spec: Nest,
    action_spec: Nest,
    size: int,
    fc_layer_params: Sequence[int],
    activation: str,
) -> Policy:
    """An MLP of the observation and, behind it, what a policy of this kind knows of the task.

    Args:
      kind: `ContextPolicy` or `LatentPolicy`.
      observation_spec, action_spec: of a family's observations and actions.
      size: numbers behind the observation.
      fc_layer_params, activation: of `mlp_policy`.
    """
    seen = with_context(observation_spec, size)
    policy = mlp_policy(seen, action_spec, fc_layer_params, activation)
    return kind(policy, observation_spec, size)


def check_contextual(policy: Policy, kind: type[Policy], setting: str, size: int) -> None:
    """A learner's policy is of a kind and knows `size` numbers of the task.

    Args:
      policy: of the learner.
      kind: `ContextPolicy` or `LatentPolicy`.
      setting: name of the learner's setting that `size` is from.

    Raises:
      ConfigError: it is not.
    """
    found = getattr(policy, "size", None)
    received = type(policy).__name__ + (f" of {found}" if found else "")
    fits = isinstance(policy, kind) and found == size
    check(fits, "policy", received, f"a {kind.__name__} of {setting}={size}")
