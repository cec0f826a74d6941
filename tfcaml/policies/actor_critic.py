"""A policy with critics beside it, of networks of their own or of one torso."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import tensorflow as tf
from tf_agents.networks import Network, sequential
from tf_agents.specs import tensor_spec

from tfcaml import nest
from tfcaml.errors import ConfigError, check_is, check_one_of, checked_call
from tfcaml.policies.base import Policy
from tfcaml.policies.functional import Functional
from tfcaml.policies.network_policy import mlp_policy
from tfcaml.types import Nest, Params, Trajectory

if TYPE_CHECKING:
    from tensorflow_probability import distributions as tfd


class ActorCritic(Policy):
    """An actor, and critics that tell what states are worth.

    params = {"actor": weights of the policy within, "torso": those of the torso or `()`, and for
    each head its critic's}. Actor and critics see the torso's answer, a vector; without a torso
    all of the observation as one vector.

    Args:
      actor: a `Policy` without memory of such vectors.
      critic: a TF-Agents network of such vectors that gives [B, 1]; each head is one like it.
      observation_spec: nest of `TensorSpec`s of one observation of the family.
      heads: names of the critics.
      torso: a TF-Agents network of observations that gives vectors [B, F]; None: there is none.
    """

    @checked_call
    def __init__(
        self,
        actor: Policy,
        critic: Network,
        observation_spec: Nest,
        heads: Sequence[str] = ("value",),
        torso: Network | None = None,
    ) -> None:
        check_is("actor", actor, Policy, "a Policy of vectors, such as mlp_policy(...)")
        self.actor = actor
        self.critic = Functional(critic)
        self.heads = tuple(heads)
        self.torso = None if torso is None else Functional(torso)
        self.observation_spec = observation_spec
        self.action_spec = actor.action_spec
        self.num_actions = actor.num_actions
        self.supports_xla = actor.supports_xla and torso is None

    def init(self, seed: int) -> Params:
        draw = lambda part, number: part.init((len(self.heads) + 2) * seed + number)
        params = {head: draw(self.critic, 2 + i) for i, head in enumerate(self.heads)}
        torso = draw(self.torso, 1) if self.torso else ()
        return {"actor": self.actor.init(seed), "torso": torso, **params}

    def __call__(self, params: Params, observation: Nest) -> tfd.Distribution:
        return self.actor(params["actor"], self._features(params, observation))

    def noise(self, key: tf.Tensor, num_steps: int) -> tf.Tensor:
        return self.actor.noise(key, num_steps)

    def sample(self, distribution: tfd.Distribution, noise: tf.Tensor) -> tf.Tensor:
        return self.actor.sample(distribution, noise)

    def value(
        self, params: Params, trajectory: Trajectory, head: str = "value"
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Values of a trajectory's states by one of the heads; see `Policy`."""
        check_one_of("head", head, self.heads)
        after = nest.map(lambda x: x[:, :, None], trajectory.final_observation)
        join = lambda x, y: tf.concat([x, y], axis=2)
        features = self._features(
            params, nest.flat_steps(nest.map(join, trajectory.observation, after))
        )
        answer = _per_task(self.critic, params[head], features)
        tasks, episodes, steps = trajectory.reward.shape
        value = tf.reshape(answer, [tasks, episodes, steps + 1])
        return value[..., :-1], value[..., -1]

    def _features(self, params: Params, observation: Nest) -> tf.Tensor:
        """What actor and critics see: nest of [N, B, ...] -> [N, B, F]."""
        if self.torso is None:
            return nest.vectors(observation, 2)
        # Not as below: convolutions that are vectorised over weights are loops over tasks at best.
        rows = range(nest.leading(observation))
        one_task = lambda n: self.torso(*nest.map(lambda x: x[n], (params["torso"], observation)))
        return tf.stack([one_task(n)[0] for n in rows])


def _per_task(network: Functional, params: Params, inputs: Nest) -> tf.Tensor:
    """Answers of a network with each task's own weights: inputs [N, B, ...] -> [N, B, ...]."""

    @tf.autograph.experimental.do_not_convert
    def one_task(given: Any) -> tf.Tensor:
        return network(*given)[0]

    return tf.vectorized_map(one_task, (tuple(params), inputs))


@checked_call
def actor_critic(
    observation_spec: Nest,
    action_spec: tensor_spec.BoundedTensorSpec,
    fc_layer_params: Sequence[int] = (64,),
    activation: str = "tanh",
    heads: Sequence[str] = ("value",),
    torso: Network | None = None,
) -> ActorCritic:
    """An `mlp_policy` and critics with layers like its.

    Args:
      observation_spec, action_spec: of a family's observations and actions.
      fc_layer_params: units of each hidden layer of the actor and of each critic. Empty: both are
        linear; critics then are 0 at first and have no bias, so that of one-hot observations they
        are tables.
      activation: as of `mlp_policy`.
      heads: names of the critics.
      torso: as of `ActorCritic`, in front of these layers.

    Raises:
      ConfigError: as of `mlp_policy`, or a torso that gives no vectors.
    """
    seen = _vector_spec(observation_spec, torso)
    actor = mlp_policy(seen, action_spec, fc_layer_params, activation)
    units = tuple(fc_layer_params)
    dense = tf.keras.layers.Dense
    hidden = [dense(n, activation=activation, kernel_initializer="glorot_uniform") for n in units]
    last = dense(1) if units else dense(1, use_bias=False, kernel_initializer="zeros")
    critic = sequential.Sequential([*hidden, last], input_spec=seen)
    return ActorCritic(actor, critic, observation_spec, heads, torso)


def _vector_spec(observation_spec: Nest, torso: Network | None) -> tf.TensorSpec:
    zeros = nest.map(lambda spec: tf.zeros([1, *spec.shape], spec.dtype), observation_spec)
    vector = nest.vectors(zeros, 1) if torso is None else torso(zeros)[0]
    if vector.shape.rank != 2:
        raise ConfigError(
            f"expected torso to give vectors [B, F]; received an answer of shape {vector.shape}"
        )
    return tf.TensorSpec(vector.shape[1:], vector.dtype)
