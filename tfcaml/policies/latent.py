"""A policy that draws a vector before each episode and keeps to it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import tensorflow as tf

from tfcaml import keys, nest
from tfcaml.errors import check, check_is, check_whole, checked_call
from tfcaml.policies.base import Policy
from tfcaml.policies.context import with_context
from tfcaml.types import Nest, Params, Trajectory

if TYPE_CHECKING:
    from tensorflow_probability import distributions as tfd


class LatentPolicy(Policy):
    """A policy of vectors in which a latent z stands behind the observation, in all steps alike.

    params = {"mu": [N, d], "log_sigma": [N, d], "policy": weights of the policy within}. Before an
    episode z = mu + sigma epsilon is drawn. The episode's noise is epsilon, not z, so that losses
    are differentiable in mu and sigma; its memory is z, [N, E, d]. Where a trajectory holds a
    `start`, that is z, a number. Distributions start at the standard normal one.

    Args:
      policy: a `Policy` without memory whose observation is one vector of `with_context(...)`.
      observation_spec: nest of `TensorSpec`s of one observation, without the latent.
      size: d.

    Raises:
      ConfigError: a policy with memory, or an argument of another kind.
    """

    has_memory = True

    @checked_call
    def __init__(self, policy: Policy, observation_spec: Nest, size: int) -> None:
        made = "a Policy whose observation is one vector of with_context(observation_spec, size)"
        check_is("policy", policy, Policy, made)
        rule = "one without memory, as the latent is all that is kept of an episode"
        check(not policy.has_memory, "policy", policy, rule)
        self.policy = policy
        self.size = check_whole("size", size, 1)
        self.observation_spec = observation_spec
        self.dtype = with_context(observation_spec, size).dtype
        self.action_spec = policy.action_spec
        self.num_actions = policy.num_actions
        self.supports_xla = policy.supports_xla
        self.episode_noise_spec = tf.TensorSpec([size], self.dtype)

    @property
    def names(self) -> tuple[str, ...]:
        return ("log_sigma", "mu", *(f"policy/{name}" for name in self.policy.names))

    @property
    def head(self) -> tuple[int, ...]:
        return tuple(2 + i for i in self.policy.head)

    def init(self, seed: int) -> Params:
        zeros = tf.zeros([self.size], self.dtype)
        return {"mu": zeros, "log_sigma": zeros, "policy": self.policy.init(seed)}

    def noise(self, key: tf.Tensor, num_steps: int) -> tf.Tensor:
        return self.policy.noise(key, num_steps)

    def sample(self, distribution: tfd.Distribution, noise: tf.Tensor) -> tf.Tensor:
        return self.policy.sample(distribution, noise)

    def episode_noise(self, key: tf.Tensor) -> tf.Tensor:
        """Epsilon, N(0, 1) numbers [N, E, d]."""
        return keys.normal(key, [self.size], self.dtype)

    def initial_memory(self, params: Params, num_episodes: int, noise: Nest = ()) -> tf.Tensor:
        """z, [N, E, d]."""
        return params["mu"][:, None] + tf.exp(params["log_sigma"])[:, None] * noise

    def act(self, params: Params, observation: Nest, memory: Nest) -> tuple[tfd.Distribution, Nest]:
        seen = tf.concat([nest.vectors(observation, 2), memory], axis=-1)
        return self.policy(params["policy"], seen), memory

    def unroll(self, params: Params, trajectory: Trajectory) -> tfd.Distribution:
        """All steps at once, as nothing changes the latent; see `Policy`."""
        observation, latent = nest.vectors(trajectory.observation, 3), trajectory.start
        if isinstance(latent, tuple):  # episodes from their start on
            num_episodes = trajectory.mask.shape[1]
            latent = self.initial_memory(params, num_episodes, trajectory.episode_noise)
        shape = tf.concat([tf.shape(observation)[:-1], [self.size]], axis=0)
        if observation.shape.is_fully_defined():
            shape = [*observation.shape[:-1], self.size]
        seen = tf.concat([observation, tf.broadcast_to(latent[:, :, None], shape)], axis=-1)
        return self.policy(params["policy"], nest.flat_steps(seen))
