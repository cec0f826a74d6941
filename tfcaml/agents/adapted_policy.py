"""Differently adapted policies as one TF-Agents policy.

The weights are data that travel in `policy_state`, a set per row of the batch, so they can't be
captured by a compiled driver: whoever calls with other weights gets other actions. So does what a
policy remembers of an episode.
"""

from __future__ import annotations

import numbers
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import tensorflow as tf
from tf_agents.policies import tf_policy
from tf_agents.trajectories import policy_step
from tf_agents.trajectories import time_step as ts

from tfcaml import keys, nest
from tfcaml.agents.trajectories import policy_info
from tfcaml.errors import check, check_is, checked_call
from tfcaml.learners.base import check_learner
from tfcaml.policies import distributions
from tfcaml.policies.base import Policy
from tfcaml.types import Nest, Params

if TYPE_CHECKING:
    from tensorflow_probability import distributions as tfd

    from tfcaml.learners.base import MetaLearner


class AdaptedPolicy(tf_policy.TFPolicy):
    """A tfcaml policy as a `TFPolicy`, each row of the batch [B] with weights of its own.

    policy_state = {"params": nest of [B, ...], "key": [B, 2]}, and of a policy that remembers
    something, or draws something once per episode, "episode" as `new_episode` gives it.

    The key, the same in all rows, is a hash and a count of steps. What row b draws follows from it
    and b, whatever else is in the batch; a later call goes on where the returned state is fed back.
    Weights outlive episodes; "episode" is made anew in the rows whose time step is FIRST, and at
    all others learns what came of the action before. Where a policy `outlives_episodes` what it
    remembers goes on instead: a driver's episodes are those of one trial, until a new state.
    `distribution` tells of the next action, and gives the state back as it was.

    Actions are those of `policy.play`, not clipped to the spec, as in training. Don't wrap it in
    TF-Agents' `GreedyPolicy` and the like: they set policy_state to 0 where episodes start.

    Args:
      time_step_spec: TF-Agents' `TimeStep` of specs.
      policy: a `Policy`.
      params: the policy's parameters that `get_initial_state` gives: without task axis, for every
        row, a nest of tensors, or of variables, which are read at each call; or a function of the
        number of rows B, which gives them with the axis [B].
      emit_log_probability: put log pi(a | s) into the `info` of each step, TF-Agents' way, and what
        the policy draws for an episode and says of a step, see `policy_info`.
      greedy: take the mode of the distribution.
    """

    @checked_call
    def __init__(
        self,
        time_step_spec: ts.TimeStep,
        policy: Policy,
        params: Params | Callable[[int | tf.Tensor], Params],
        emit_log_probability: bool = False,
        greedy: bool = False,
    ) -> None:
        check_is("policy", policy, Policy, "a Policy")
        self._policy = policy
        self._params = params
        self._greedy = greedy
        row = self.state_of(self._start(1))
        info_spec = ()
        if emit_log_probability:
            info_spec = policy_info((), policy.episode_noise_spec, policy.info_spec)
        super().__init__(
            time_step_spec,
            policy.action_spec,
            policy_state_spec=nest.map(lambda x: tf.TensorSpec(x.shape[1:], x.dtype), row),
            info_spec=info_spec,
            emit_log_probability=emit_log_probability,
            clip=False,
            automatic_state_reset=False,
        )

    @classmethod
    @checked_call
    def of(cls, learner: MetaLearner, **options: Any) -> AdaptedPolicy:
        """The policy of a learner, which starts with what its new tasks start with.

        Args:
          learner: a `MetaLearner`; its meta parameters are read at each call. One that starts at
            random has one start, always the same.
          **options: of the class.
        """

        check_learner(learner)

        def start(num_rows: int | tf.Tensor) -> Params:
            meta = learner.meta.read()
            key = learner.task_keys(keys.from_int(0), num_rows)
            return learner.acting(meta, learner.start(meta, num_rows, key))

        spec = ts.time_step_spec(learner.environment.observation_spec)
        policy = cls(spec, learner.policy, start, **options)
        policy.meta = learner.meta  # whose variables are the policy's
        return policy

    def state_of(self, params: Params, seed: int | tf.Tensor = 0) -> dict[str, Nest]:
        """The `policy_state` of adapted weights.

        Args:
          params: the policy's parameters, each [B, ...], as of `learner.acting(meta, fast)`.
          seed: an integer >= 0, Python's or NumPy's, or [2]; with equal weights, equal seeds give
            equal actions, so each collection of data needs another one, or the state that the last
            one returned.

        Raises:
          ConfigError: a seed that is neither.
        """
        start = keys.fold(_as_key(seed), 0)  # the number folded in is counted on
        if self._policy.shares_weights:
            params = _own_rows(params)
        state = {"params": params, "key": nest.repeat(start, nest.num_rows(params))}
        return with_episode(state, new_episode(self._policy, params, start))

    def _start(self, num_rows: int | tf.Tensor) -> Params:
        if callable(self._params):
            return self._params(num_rows)
        return nest.repeat(self._params, num_rows)

    def _get_initial_state(self, batch_size: int | tf.Tensor) -> dict[str, Nest]:
        return self.state_of(self._start(batch_size))

    def _distribution(
        self, time_step: ts.TimeStep, policy_state: dict[str, Nest]
    ) -> policy_step.PolicyStep:
        time_step, policy_state = nest.map(tf.convert_to_tensor, (time_step, policy_state))
        key = policy_state["key"][0]
        params, episode = policy_state["params"], policy_state.get("episode", {})
        wide = act_distribution(self._policy, params, time_step, episode, key)
        distribution = distributions.rebuild(wide, _narrow(distributions.tensors(wide)))
        info = self._told(episode, _nothing_said(self._policy, params))
        return policy_step.PolicyStep(distribution, policy_state, info)

    def _action(
        self,
        time_step: ts.TimeStep,
        policy_state: dict[str, Nest],
        seed: int | tf.Tensor | None = None,
    ) -> policy_step.PolicyStep:
        time_step, policy_state = nest.map(tf.convert_to_tensor, (time_step, policy_state))
        key = policy_state["key"][0] if seed is None else _as_key(seed)
        params, episode = policy_state["params"], policy_state.get("episode", {})
        action, log_prob, info, episode = act(
            self._policy, params, time_step, episode, key, self._greedy
        )
        state = {"params": params, "key": policy_state["key"] + [0, 1]}
        info = self._told(episode, info)
        if self.emit_log_probability:
            info = policy_step.set_log_probability(info, log_prob)
        return policy_step.PolicyStep(action, with_episode(state, episode), info)

    def _told(self, episode: dict[str, Nest], said: Nest) -> Nest:
        """What the `info` of a step has beside the log-probability."""
        if not self.emit_log_probability:
            return ()
        return policy_info((), episode.get("noise", ()), said)


def with_episode(state: dict[str, Nest], episode: dict[str, Nest]) -> dict[str, Nest]:
    """A policy_state with what a policy keeps of an episode, if there is anything."""
    return {**state, "episode": episode} if episode else state


def new_episode(policy: Policy, params: Params, key: tf.Tensor) -> dict[str, Nest]:
    """What a policy keeps of an episode before its first step, each row's own.

    Args:
      policy: a `Policy`.
      params: weights, each [B, ...].
      key: [2], of what the policy draws once per episode.

    Returns:
      {"noise": of `episode_noise`, "memory": the policy's, "action": the last one, 0 so far}, nests
      of [B, ...], without those that the policy has no use for.
    """
    rows, noise = nest.num_rows(params), ()
    if tf.nest.flatten(policy.episode_noise_spec):
        own = keys.per_task(keys.salted(key, keys.EPISODES), rows)
        noise = policy.episode_noise(own[:, None])
    memory = policy.initial_memory(params, 1, noise)
    episode = {"noise": noise, "memory": memory}
    if tf.nest.flatten(memory):
        spec = policy.action_spec
        episode["action"] = tf.zeros([rows, 1, *spec.shape], spec.dtype)
    narrow = {name: nest.map(lambda x: x[:, 0], part) for name, part in episode.items()}
    return {name: part for name, part in narrow.items() if tf.nest.flatten(part)}


def act_distribution(
    policy: Policy, params: Params, time_step: ts.TimeStep, episode: dict[str, Nest], key: tf.Tensor
) -> tfd.Distribution:
    """The distributions of one action per row, of batch shape [B, 1]. Arguments as of `act`."""
    episode = _at_step(policy, params, time_step, episode, key)
    distribution, _ = policy.act(params, _wide(time_step.observation), _memory(episode))
    return distribution


def act(
    policy: Policy,
    params: Params,
    time_step: ts.TimeStep,
    episode: dict[str, Nest],
    key: tf.Tensor,
    greedy: bool = False,
) -> tuple[tf.Tensor, tf.Tensor, Nest, dict[str, Nest]]:
    """One action per row.

    Args:
      policy: a `Policy`.
      params: weights, each [B, ...].
      time_step: `TimeStep` of [B, ...].
      episode: as `new_episode` or the step before gave it.
      key: [2].
      greedy: take the mode of the distribution.

    Returns:
      (action [B, ...], its log-probability [B], info: nest of [B, ...] like `policy.info_spec`,
      episode after the step).
    """
    episode = _at_step(policy, params, time_step, episode, key)
    observation, memory = _wide(time_step.observation), _memory(episode)
    if greedy:
        distribution, memory = policy.act(params, observation, memory)
        action = distribution.mode()
        log_prob, info = distribution.log_prob(action), _wide(_nothing_said(policy, params))
    else:
        # The rows draw as the steps of one episode do: one after the other from one key.
        noise = policy.noise(key[None, None], nest.num_rows(params))[0, 0]
        action, log_prob, info, memory = policy.play(params, observation, memory, noise[:, None])
    kept = {"memory": memory, "action": action}
    kept = {name: _narrow(x) for name, x in kept.items() if name in episode}
    if policy.outlives_episodes:  # no step of the trial is taken at an end
        ended = time_step.step_type == ts.StepType.LAST
        kept["memory"] = nest.where(ended, episode["memory"], kept["memory"])
    return action[:, 0], log_prob[:, 0], _narrow(info), {**episode, **kept}


def _at_step(
    policy: Policy, params: Params, time_step: ts.TimeStep, episode: dict[str, Nest], key: tf.Tensor
) -> dict[str, Nest]:
    """`episode` with what came of the last action; a new one where the time step is the first."""
    if not episode:
        return {}
    fresh, first = new_episode(policy, params, key), time_step.step_type == ts.StepType.FIRST
    goes_on: tuple[str, ...] = ()
    if "memory" in episode:
        before = episode["memory"]
        memory, action, reward = _wide((before, episode["action"], time_step.reward))
        ended = time_step.step_type == ts.StepType.LAST
        memory = _narrow(policy.observe(memory, action, reward, ended[:, None]))
        if policy.outlives_episodes:  # at a first step, the end before it has been told
            memory, goes_on = nest.where(first, before, memory), ("memory", "action")
        episode = {**episode, "memory": memory}
    again = {name: part for name, part in episode.items() if name not in goes_on}
    return {**episode, **nest.where(first, {name: fresh[name] for name in again}, again)}


def _own_rows(params: Params) -> Params:
    """Leaves [1, ...] that stand for all B rows, repeated for each: nest of [B, ...]."""
    rows = nest.num_rows(params)
    own = lambda x: tf.broadcast_to(x, tf.concat([[rows], tf.shape(x)[1:]], axis=0))
    wide = nest.map(lambda x: own(x) if x.shape[0] == 1 else x, params)
    return nest.map(lambda x, like: tf.ensure_shape(x, [None, *like.shape[1:]]), wide, params)


def _nothing_said(policy: Policy, params: Params) -> Nest:
    """Zeros in place of `info`, nest of [B, ...]."""
    rows = nest.num_rows(params)
    return nest.map(lambda x: tf.zeros([rows, *x.shape], x.dtype), policy.info_spec)


def _memory(episode: dict[str, Nest]) -> Nest:
    return _wide(episode.get("memory", ()))


def _wide(rows: Nest) -> Nest:
    """A row is a task with one episode: [B, ...] -> [B, 1, ...]."""
    return nest.map(lambda x: x[:, None], rows)


def _narrow(rows: Nest) -> Nest:
    """[B, 1, ...] -> [B, ...]."""
    return nest.map(lambda x: x[:, 0], rows)


def _as_key(seed: int | tf.Tensor) -> tf.Tensor:
    """The key [2] of an integer or of such a pair."""
    rule = "an integer >= 0, or two int32"
    if isinstance(seed, numbers.Integral):
        number = int(seed)
        check(number >= 0, "seed", number, rule)
        return keys.from_int(number)
    pair = tf.convert_to_tensor(seed)
    check(pair.dtype.is_integer and pair.shape == [2], "seed", seed, rule)
    return tf.cast(pair, tf.int32)
