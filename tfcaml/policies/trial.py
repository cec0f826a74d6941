"""A policy that remembers a whole trial: all episodes of a task so far, and what they paid."""

from __future__ import annotations

from typing import TYPE_CHECKING

import tensorflow as tf

from tfcaml import nest
from tfcaml.errors import check, check_is, check_whole, checked_call
from tfcaml.policies import distributions
from tfcaml.policies.base import Policy
from tfcaml.policies.inputs import check_observation_spec
from tfcaml.types import Nest, Params, Trajectory

if TYPE_CHECKING:
    from tensorflow_probability import distributions as tfd
    from tf_agents.specs import tensor_spec


class TrialPolicy(Policy):
    """A policy with memory that is told of its last step: the action, the reward, and the end.

    Y. Duan et al., "RL^2: fast reinforcement learning via slow reinforcement learning", arXiv
    1611.02779, section 2.2. It is told so at the first step of an episode too, of the last step of
    the episode before, and zeros at the first step of a trial. What it is told is the `info` of
    each step.

    params = {"policy": weights of the policy within, "memory": {"hidden": what that remembers,
    "last": [N, A + 2], what it is told next}}, of a new trial zeros. Weights may be [1, ...], for
    all tasks: all episodes then are one batch to the policy within.

    Args:
      policy: a `Policy` with memory, such as a `NetworkPolicy` of any recurrent network, whose
        observation is one vector of `with_last_step(...)`.
      observation_spec: nest of `TensorSpec`s of one observation of the family.
      truncation: steps after which `unroll` cuts the gradient through what is remembered; 0: never.
        The steps are cut into pieces, each of which begins with what is remembered there.

    Raises:
      ConfigError: a policy without memory, or an argument of another kind.
    """

    has_memory = True
    outlives_episodes = True
    shares_weights = True

    @checked_call
    def __init__(self, policy: Policy, observation_spec: Nest, truncation: int = 0) -> None:
        made = "a Policy whose observation is one vector of with_last_step(observation_spec, ...)"
        check_is("policy", policy, Policy, made)
        rule = "one with memory, which is what adapts to a task"
        check(policy.has_memory, "policy", type(policy).__name__, rule)
        self.policy = policy
        self.truncation = check_whole("truncation", truncation, 0)
        self.observation_spec = observation_spec
        self.action_spec = policy.action_spec
        self.num_actions = policy.num_actions
        self.supports_xla = policy.supports_xla
        self.told = with_last_step(observation_spec, policy.action_spec)
        self.dtype = self.told.dtype
        size = sum(x.shape.num_elements() for x in tf.nest.flatten(observation_spec))
        self.info_spec = tf.TensorSpec([self.told.shape[0] - size], self.dtype)

    @property
    def names(self) -> tuple[str, ...]:
        inner = (f"policy/{name}" for name in self.policy.names)
        return (*(f"memory/{name}" for name in nest.names(self.nothing())), *inner)

    @property
    def head(self) -> tuple[int, ...]:
        before = len(tf.nest.flatten(self.nothing()))
        return tuple(before + i for i in self.policy.head)

    def init(self, seed: int) -> Params:
        return {"memory": self.nothing(), "policy": self.policy.init(seed)}

    def nothing(self) -> Nest:
        """What is remembered before a trial, without axes of tasks and episodes."""
        hidden = self.policy.initial_memory(nest.repeat(self.policy.init(0), 1), 1)
        last = tf.zeros(self.info_spec.shape, self.dtype)
        return {"hidden": nest.map(lambda x: x[0, 0], hidden), "last": last}

    def noise(self, key: tf.Tensor, num_steps: int) -> tf.Tensor:
        return self.policy.noise(key, num_steps)

    def sample(self, distribution: tfd.Distribution, noise: tf.Tensor) -> tf.Tensor:
        return self.policy.sample(distribution, noise)

    def initial_memory(self, params: Params, num_episodes: int, noise: Nest = ()) -> Nest:
        """What the task's trial has taught so far, for each episode: nest of [N, E, ...]."""
        return nest.map(lambda x: tf.repeat(x[:, None], num_episodes, axis=1), params["memory"])

    def act(self, params: Params, observation: Nest, memory: Nest) -> tuple[tfd.Distribution, Nest]:
        seen = self._seen(observation, memory["last"], 2)
        rows = _Rows(params, seen.shape[:2])
        distribution, hidden = self.policy.act(
            params["policy"], rows.together(seen), rows.together(memory["hidden"])
        )
        hidden = rows.apart(hidden, memory["hidden"])
        return rows.distribution(distribution, 1), {**memory, "hidden": hidden}

    def play(
        self, params: Params, observation: Nest, memory: Nest, noise: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor, Nest, Nest]:
        action, log_prob, _, acted = super().play(params, observation, memory, noise)
        return action, log_prob, memory["last"], acted

    def observe(self, memory: Nest, action: tf.Tensor, reward: tf.Tensor, ended: tf.Tensor) -> Nest:
        if self.num_actions:
            action = tf.one_hot(action, self.num_actions, dtype=self.dtype)
        parts = action, reward[..., None], ended[..., None]
        flat = lambda x: tf.reshape(x, [*nest.sizes(x.shape[:2]), x.shape[2:].num_elements()])
        last = tf.concat([tf.cast(flat(x), self.dtype) for x in parts], axis=-1)
        return {**memory, "last": last}

    def unroll(self, params: Params, trajectory: Trajectory) -> tfd.Distribution:
        """The distributions at all steps, by what was told in them; see `Policy`."""
        seen = self._seen(trajectory.observation, trajectory.info, 3)
        start = trajectory.start
        if not tf.nest.flatten(start):
            start = self.initial_memory(params, seen.shape[1])
        rows = _Rows(params, seen.shape[:2])
        seen, hidden = rows.together((seen, start["hidden"]))
        steps, weights = seen.shape[2], params["policy"]
        if not 0 < self.truncation < steps:
            return rows.distribution(self.policy.unroll(weights, self._told(seen, hidden)), steps)
        seen, hidden = self._pieces(weights, seen, hidden)
        # A piece is an episode of its own here, with the last one filled up.
        distribution = self.policy.unroll(weights, self._told(seen, hidden))
        return rows.distribution(distribution, steps, -(-steps // self.truncation) * seen.shape[2])

    def _pieces(self, weights: Params, seen: tf.Tensor, hidden: Nest) -> tuple[tf.Tensor, Nest]:
        """Episodes in pieces of `truncation` steps, and what is hidden before each, as a number.

        Args:
          weights: of the policy within.
          seen: [N, E, T, F].
          hidden: nest of [N, E, ...], before the first step.

        Returns:
          (seen [N, E * pieces, truncation, F], hidden: nest of [N, E * pieces, ...]).
        """
        size = self.truncation
        num = -(-seen.shape[2] // size)
        seen = tf.pad(seen, [[0, 0], [0, 0], [0, num * size - seen.shape[2]], [0, 0]])
        seen = tf.reshape(seen, [*seen.shape[:2], num, size, seen.shape[3]])
        pieces = nest.time_major(seen)  # [pieces, N, E, truncation, F]
        weights, hidden = nest.stop_gradient((weights, hidden))
        arrays = nest.map(lambda x: tf.TensorArray(x.dtype, num, element_shape=x.shape), hidden)

        def step(index: tf.Tensor, hidden: Nest, arrays: Nest) -> tuple[tf.Tensor, Nest, Nest]:
            arrays = nest.map(lambda array, x: array.write(index, x), arrays, hidden)
            after = self.policy.remember(weights, self._told(pieces[index], hidden))
            after = nest.map(lambda x, like: tf.ensure_shape(x, like.shape), after, hidden)
            return index + 1, after, arrays

        arrays = tf.while_loop(
            lambda index, *_: index < num,
            step,
            (0, hidden, arrays),
            maximum_iterations=num,
            parallel_iterations=1,
        )[2]
        starts = nest.map(lambda array: nest.task_major(array.stack()), arrays)
        return nest.flat_steps(seen), nest.flat_steps(nest.stop_gradient(starts))

    def _told(self, seen: tf.Tensor, hidden: Nest) -> Trajectory:
        """A trajectory of what the policy within saw, with nothing else in it."""
        shape = seen.shape[:3]
        zeros = tf.zeros(shape, seen.dtype)
        action = tf.zeros([*shape, *self.action_spec.shape], self.action_spec.dtype)
        return Trajectory(seen, action, zeros, tf.ones_like(zeros), zeros, zeros, (), start=hidden)

    def _seen(self, observation: Nest, last: tf.Tensor, num_axes: int) -> tf.Tensor:
        """What the policy within sees, [..., O + A + 2]."""
        observed = nest.vectors(observation, num_axes)
        return tf.concat([observed, tf.cast(last, observed.dtype)], axis=-1)


class _Rows:
    """Episodes of N tasks, which are those of one where all tasks share weights [1, ...].

    Args:
      params: of a `TrialPolicy`.
      shape: N and E, of which one may be unknown.
    """

    def __init__(self, params: Params, shape: tf.TensorShape) -> None:
        self.shape = nest.sizes(shape)
        self.shared = nest.leading(params["policy"]) == 1

    def together(self, rows: Nest) -> Nest:
        """Nest of [N, E, ...] -> nest of [1, N * E, ...]."""
        if not self.shared:
            return rows
        num = -1 if -1 in self.shape else self.shape[0] * self.shape[1]
        return nest.map(lambda x: tf.reshape(x, [1, num, *x.shape[2:]]), rows)

    def apart(self, rows: Nest, like: Nest) -> Nest:
        """The opposite, with the shapes of `like`."""
        back = lambda x, y: tf.ensure_shape(tf.reshape(x, [*self.shape, *y.shape[2:]]), y.shape)
        return nest.map(back, rows, like)

    def distribution(
        self, distribution: tfd.Distribution, steps: int, played: int | None = None
    ) -> tfd.Distribution:
        """The distributions [N, E * T] of what is together.

        Args:
          distribution: of batch shape [1, N * E * P] or [N, E * P].
          steps: T.
          played: P, steps of an episode of which the first T count; T unless given.
        """
        tasks, episodes = self.shape
        columns = -1 if episodes == -1 else episodes * steps

        def back(x: tf.Tensor) -> tf.Tensor:
            rest = x.shape[2:]
            whole = tf.reshape(x, [tasks, episodes, played or steps, *rest])[:, :, :steps]
            return tf.reshape(whole, [tasks, columns, *rest])

        values = nest.map(back, distributions.tensors(distribution))
        return distributions.rebuild(distribution, values)


@checked_call
def with_last_step(
    observation_spec: Nest, action_spec: tensor_spec.BoundedTensorSpec
) -> tf.TensorSpec:
    """The spec of observations joined to one vector with what the last step was behind it.

    That is its action, one-hot if discrete, its reward, and 1 where it ended the episode, else 0.
    """
    check_observation_spec(observation_spec)
    zeros = nest.map(lambda spec: tf.zeros([1, *spec.shape], spec.dtype), observation_spec)
    vector = nest.vectors(zeros, 1)
    discrete = action_spec.dtype.is_integer
    acted = int(action_spec.maximum) + 1 if discrete else action_spec.shape.num_elements()
    return tf.TensorSpec([vector.shape[-1] + acted + 2], vector.dtype)
