"""What every policy is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import tensorflow as tf

from tfcaml import keys, nest
from tfcaml.errors import ConfigError, check, check_is
from tfcaml.policies import distributions
from tfcaml.types import Nest, Params, Trajectory, last_steps

if TYPE_CHECKING:
    from tensorflow_probability import distributions as tfd
    from tf_agents.specs import tensor_spec


class Policy:
    """A stochastic policy as a pure function of its parameters.

    A subclass without memory defines `__call__`. One with memory defines `initial_memory`, `act`
    and `unroll` instead, and sets `has_memory`: it has no answer to a state alone. One that learns
    from rewards within an episode defines `observe`, one that draws something once per episode
    `episode_noise`, one that makes choices of its own at each step `play`, and one of other
    distributions than a Categorical or a Gaussian and what that is wrapped in `noise` and `sample`.

    Attributes:
      observation_spec: nest of `TensorSpec`s of one observation, for a learner to check that the
        policy is one for its family; None: it does not say.
      action_spec: `BoundedTensorSpec` of one action.
      num_actions: how many actions there are, or None when actions are continuous.
      has_memory: whether an action depends on what the policy saw earlier in the episode.
      outlives_episodes: whether what it remembers goes on from one episode of a task to the next.
      shares_weights: whether leaves of its weights may be [1, ...], for all tasks.
      supports_xla: whether XLA can compile the policy's gradients.
      episode_noise_spec: nest of `TensorSpec`s of what `episode_noise` gives for one episode.
      info_spec: nest of `TensorSpec`s of the `info` that `play` gives for one step.
    """

    observation_spec: Nest | None = None
    action_spec: tensor_spec.BoundedTensorSpec = None
    num_actions: int | None = None
    has_memory = False
    outlives_episodes = False
    shares_weights = False
    supports_xla = True
    episode_noise_spec: Nest = ()
    info_spec: Nest = ()

    @property
    def names(self) -> tuple[str, ...]:
        """A name for each tensor of the weights, in the order of `tf.nest.flatten`: tuple."""
        return tuple(nest.names(self.init(0)))

    @property
    def head(self) -> tuple[int, ...]:
        """The positions in `names` of the last layer's weights and of all that follow: tuple.

        The last layer is that of the last matrix; its bias and a standard deviation follow.
        """
        return last_layer([x.shape.rank for x in tf.nest.flatten(self.init(0))])

    def init(self, seed: int) -> Params:
        """New weights without task axis. `seed`: Python int."""
        raise NotImplementedError

    def __call__(self, params: Params, observation: Nest) -> tfd.Distribution:
        """The action distribution at states, each by itself.

        Args:
          params: weights, each [N, ...].
          observation: nest of [N, B, ...].

        Returns:
          `tfd.Distribution` with batch shape [N, B].

        Raises:
          ConfigError: the policy has a memory.
        """
        raise ConfigError(
            "expected a policy without memory, to ask it about states one by one; received a "
            f"{type(self).__name__} (`act` and `unroll` answer to episodes)"
        )

    def noise(self, key: tf.Tensor, num_steps: int) -> tf.Tensor:
        """The numbers `sample` turns into actions, drawn before a rollout.

        Args:
          key: [N, E, 2], one key per episode.
          num_steps: T.

        Returns:
          [N, E, T, 1] of U(0, 1) for discrete actions, [N, E, T, A] of N(0, 1) for others.
        """
        if self.num_actions:
            return keys.uniform(key, [num_steps, 1])
        return keys.normal(key, [num_steps, *self.action_spec.shape])

    def sample(self, distribution: tfd.Distribution, noise: tf.Tensor) -> tf.Tensor:
        """An action per row of `distribution` [N, B] from its `noise` [N, B, 1 or A].

        Nothing is clipped to the bounds of the spec. A transformed action is moved by a few
        roundings where its log-probability would not be finite, see `distributions.scorable`.
        """
        if self.num_actions:
            return distributions.sample_discrete(distribution, noise, self.action_spec.dtype)
        action = distributions.sample_continuous(distribution, noise)
        bijector = distributions.bijector(distribution)
        return action if bijector is None else distributions.scorable(action, bijector)

    def episode_noise(self, key: tf.Tensor) -> Nest:
        """What is drawn once for each episode: key [N, E, 2] -> nest of [N, E, ...]; `()`: nothing.

        Draw what does not depend on parameters, such as the epsilon of a reparameterised latent:
        so the losses of `unroll` are differentiable in what turns it into the latent.
        """
        return ()

    def initial_memory(self, params: Params, num_episodes: int, noise: Nest = ()) -> Nest:
        """What the policy remembers before an episode: nest of [N, E, ...], `()` if nothing.

        Args:
          params: weights, each [N, ...]; the memory may be one of them.
          num_episodes: E.
          noise: of `episode_noise`.
        """
        return ()

    def act(self, params: Params, observation: Nest, memory: Nest) -> tuple[tfd.Distribution, Nest]:
        """The action distribution at one step of episodes.

        Args:
          params: weights, each [N, ...].
          observation: nest of [N, E, ...].
          memory: as `initial_memory` or the step before gave it.

        Returns:
          (`tfd.Distribution` with batch shape [N, E], memory after the step).
        """
        return self(params, observation), memory

    def play(
        self, params: Params, observation: Nest, memory: Nest, noise: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor, Nest, Nest]:
        """One step of episodes: `act`, and an action drawn.

        Args:
          params, observation, memory: as of `act`.
          noise: [N, E, ...], a step of `noise`.

        Returns:
          (action [N, E, ...], its log-probability [N, E], info: nest of [N, E, ...] like
          `info_spec`, memory after the step).
        """
        distribution, memory = self.act(params, observation, memory)
        action = self.sample(distribution, noise)
        return action, distribution.log_prob(action), (), memory

    def observe(self, memory: Nest, action: tf.Tensor, reward: tf.Tensor, ended: tf.Tensor) -> Nest:
        """The memory after what came of an action, which `act` does not know yet.

        Args:
          memory: as `act` gave it.
          action: [N, E] or [N, E, A].
          reward: [N, E].
          ended: [N, E] bool, whether the episode ended with this step.
        """
        return memory

    def unroll(self, params: Params, trajectory: Trajectory) -> tfd.Distribution:
        """The action distributions at all steps of a trajectory.

        Args:
          params: weights, each [N, ...].
          trajectory: `Trajectory` [N, E, T, ...].

        Returns:
          `tfd.Distribution` with batch shape [N, E * T].
        """
        return self(params, nest.flat_steps(trajectory.observation))

    def remember(
        self, params: Params, trajectory: Trajectory, ended: tf.Tensor | None = None
    ) -> Nest:
        """What the policy remembers after the valid steps of a trajectory: nest of [N, E, ...].

        It is what a rollout ends with, found by living through the episodes again.

        Args:
          params: weights, each [N, ...].
          trajectory: `Trajectory` [N, E, T, ...].
          ended: [N, E, T] bool, which steps ended an episode, where rows have several; the last
            valid one of each row unless given.
        """
        memory, mask = trajectory.start, trajectory.mask
        if not tf.nest.flatten(memory):
            memory = self.initial_memory(params, mask.shape[1], trajectory.episode_noise)
        if ended is None:
            ended = last_steps(mask)
        steps = trajectory.observation, trajectory.action, trajectory.reward, mask > 0, ended
        steps = nest.map(nest.time_major, steps)
        num_steps = mask.shape[2]

        def step(time: tf.Tensor, memory: Nest) -> tuple[tf.Tensor, Nest]:
            observation, action, reward, alive, ended = nest.map(lambda x: x[time], steps)
            acted = self.act(params, observation, memory)[1]
            return time + 1, nest.where(alive, self.observe(acted, action, reward, ended), memory)

        return tf.while_loop(
            lambda time, _: time < num_steps,
            step,
            (0, memory),
            maximum_iterations=num_steps,
            parallel_iterations=1,
        )[1]

    def value(
        self, params: Params, trajectory: Trajectory, head: str = "value"
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """What the states of a trajectory are worth, for policies with a critic.

        Args:
          params: weights, each [N, ...].
          trajectory: `Trajectory` [N, E, T, ...].
          head: which critic, where there are several.

        Returns:
          (values of the observations [N, E, T], of what each episode led to [N, E]).

        Raises:
          ConfigError: the policy has no critic.
        """
        raise ConfigError(f"expected a policy with a critic; received {type(self).__name__}")


def check_policy(policy: Any, observation_spec: Nest, action_spec: Nest, where: str) -> None:
    """Raises `ConfigError` unless it is a `Policy` for these observations and actions.

    What the policy does not say is taken for right, and so is another precision of floats.

    Args:
      policy: what should be a `Policy`.
      observation_spec, action_spec: nests of `TensorSpec`s.
      where: whose they are, for the message.
    """
    made = "policies.mlp_policy(observation_spec, action_spec) or policies.NetworkPolicy(network, "
    check_is("policy", policy, Policy, f"a Policy, as {made}action_spec) makes one")
    pairs = (
        ("observation_spec", policy.observation_spec, observation_spec),
        ("action_spec", policy.action_spec, action_spec),
    )
    for name, own, wanted in pairs:
        if own is not None and not _same_specs(own, wanted):
            raise ConfigError(
                f"expected policy.{name} to be that of {where}, {distributions.one_line(wanted)}; "
                f"received {distributions.one_line(own)}"
            )


def check_weights(name: str, policy: Any, params: Params) -> None:
    """Raises `ConfigError` unless it is a `Policy`, and these are weights of it, each [N, ...]."""
    check_is("policy", policy, Policy, "a Policy")
    spec = nest.map(lambda x: tf.TensorSpec(x.shape, x.dtype), policy.init(0))
    found = nest.mismatches(name, spec, params, [None])
    if found:
        raise ConfigError(f"{found[0]} (the policy's weights with an axis of N policies)")
    sizes = sorted({x.shape[0] for x in tf.nest.flatten(params)})
    check(len(sizes) == 1, f"the numbers of policies in {name}", sizes, "the same in every leaf")


def _same_specs(own: Nest, wanted: Nest) -> bool:
    try:
        tf.nest.assert_same_structure(own, wanted, check_types=False)
    except (TypeError, ValueError):
        return False
    return all(
        one.shape.is_compatible_with(other.shape)
        and one.dtype.is_floating == other.dtype.is_floating
        and (one.dtype.is_floating or _most(one) == _most(other))
        for one, other in zip(tf.nest.flatten(own), tf.nest.flatten(wanted))
    )


def _most(spec: tf.TensorSpec) -> Any:
    """The largest value of a bounded integer, as a list; None of other specs."""
    return np.ravel(spec.maximum).tolist() if hasattr(spec, "maximum") else None


def last_layer(ranks: Sequence[int]) -> tuple[int, ...]:
    """Positions from the last matrix on, given the weights' ranks; all where none is a matrix."""
    matrices = [i for i, rank in enumerate(ranks) if rank >= 2]
    return tuple(range(matrices[-1] if matrices else 0, len(ranks)))
