"""A trained learner as a SavedModel that adapts and acts where only TensorFlow is installed.

The functions saved are the learner's own `start`, `acting`, `experience` and `adapt` and the
policy's own `play`, traced on plain tensors and dicts. Beside them lies `card.json`: what each
function takes and returns, how many episodes an update learns from, and where the model came from.
"""

from __future__ import annotations

import dataclasses
import functools
import inspect
import json
import os
import pathlib
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import tensorflow as tf
from tf_agents.trajectories import time_step as ts

import tfcaml
from tfcaml import keys, nest, settings
from tfcaml.agents.adapted_policy import act, act_distribution, new_episode, with_episode
from tfcaml.agents.trajectories import policy_info
from tfcaml.environments.base import check_family
from tfcaml.errors import check, check_is, check_utf8, check_whole, checked_call
from tfcaml.learners.base import check_learner
from tfcaml.policies import distributions
from tfcaml.policies.base import check_policy
from tfcaml.types import FastState, Nest, Trajectory

if TYPE_CHECKING:
    from tfcaml.environments.base import TaskFamily
    from tfcaml.learners.base import MetaLearner
    from tfcaml.policies.base import Policy

# The random key that an export takes: [2].
SEED = tf.TensorSpec([2], tf.int32)
_ROUNDING = 1e-4  # the error of sums of numbers of size 1 in 32 bits is less


@checked_call
def export(
    learner: MetaLearner,
    directory: str | os.PathLike[str],
    environment: TaskFamily | None = None,
    shots: int | None = None,
) -> dict[str, Any]:
    """Saves what a machine needs to personalise a policy, in a form that needs only TensorFlow.

    The SavedModel's functions, for a batch of rows [B] that each have a policy of their own, or for
    tasks [N] (a row is a task, and both axes may be of any size):

      get_initial_state(batch_size) -> policy_state
      action(time_step, policy_state, seed [2]) -> {"action", "state", "info"}
      greedy_action(time_step, policy_state) -> {"action", "state", "info"}
      distribution(time_step, policy_state) -> dict of the distribution's parameters
      adapt(trajectories, policy_state) -> policy_state, after one update

    and of CAML, whose table of trial returns [N, arms, budget] holds nan for what was not played,

      next_trial(trial_returns, seed [2]) -> arm [N] to play an episode with; -1: budget spent
      trial_state(arm [N]) -> policy_state of these arms: the medoids, then the initial weights
      choose(trial_returns) -> policy_state of the best arms, to adapt from

    A time step is TF-Agents' `TimeStep` as a dict, and `trajectories` a `tfcaml.types.Trajectory`
    as a dict, of `shots` episodes padded to the horizon; `time_step._asdict()` makes the one of the
    other. policy_state holds what is adapted, the state of its optimiser and what else travels with
    it; of a policy that remembers an episode also "episode", which `action` and `greedy_action`
    carry on from step to step, and begin anew where step_type is 0, TF-Agents' FIRST. What a policy
    draws for an episode and says of a step is in "info", and belongs to `trajectories`. Nothing is
    random but by `seed`, which `get_initial_state` takes too of a learner that starts at random:
    give every step another one.

    Args:
      learner: a trained `MetaLearner`.
      directory: path, new or empty.
      environment: the `TaskFamily` that time steps come from; the learner's own unless given.
      shots: E, episodes per update; what the learner adapts with to new tasks unless given.

    Returns:
      the card, a dict.

    Raises:
      ConfigError: an argument of another kind; a directory that is not empty, or whose path has a
        character with which TensorFlow could not load the model; `shots` < 1, or `shots` episodes
        from which the learner learns nothing, as where the mean over a single one is subtracted
        from it.
    """
    check_learner(learner)
    check_is("directory", directory, (str, os.PathLike), "a path")
    if environment is None:
        environment = learner.environment
    check_family(environment)
    specs = environment.observation_spec, environment.action_spec
    check_policy(learner.policy, *specs, type(environment).__name__)
    shots = check_whole("shots", learner.test_episodes if shots is None else shots, 1)
    rule = "more: of so few episodes all advantages are 0 by this learner's rule"
    check(_teaches(learner, environment, shots), "shots", shots, rule)
    directory = pathlib.Path(directory)
    rule = "a path without [ and \\, which TensorFlow takes for a pattern when it loads a model"
    check(not set(str(directory)) & set("[\\"), "directory", str(directory), rule)
    check_utf8("directory", directory)
    unused = not directory.exists() or (directory.is_dir() and not any(directory.iterdir()))
    check(unused, "directory", str(directory), "new or empty")
    functions = _functions(learner, environment, shots)
    card = settings.as_json(_card(learner, environment, shots, functions))
    module = tf.Module()
    for name, function in functions.items():
        setattr(module, name, function)
    # What a network or an agent keeps beside its weights, such as statistics it normalises with.
    traced = [function.get_concrete_function() for function in functions.values()]
    module.kept = [variable for function in traced for variable in function.graph.variables]
    tf.saved_model.save(module, str(directory))
    (directory / "card.json").write_text(json.dumps(card, indent=1, allow_nan=False) + "\n")
    return card


def _teaches(learner: MetaLearner, environment: TaskFamily, shots: int) -> bool:
    """Whether episodes of random rewards have an advantage beyond rounding error."""
    blank = nest.map(
        lambda spec: tf.zeros([1, *spec.shape[1:]], spec.dtype),
        _trajectory_spec(learner.policy, environment, shots),
    )
    trajectory = Trajectory(**blank)
    reward = np.random.default_rng(0).normal(size=trajectory.reward.shape)
    trajectory = trajectory._replace(
        reward=tf.constant(reward, tf.float32), mask=tf.ones_like(trajectory.mask)
    )
    meta = learner.meta.read()
    fast = learner.start(meta, 1, learner.task_keys(keys.from_int(0), 1))
    weight = learner.experience(meta, fast, trajectory).weight
    return bool(tf.reduce_max(tf.abs(weight)) > _ROUNDING)


def _functions(learner: MetaLearner, environment: TaskFamily, shots: int) -> dict[str, Any]:
    """name -> traced function."""
    meta = learner.meta.read()
    first = learner.task_keys(keys.from_int(0), 1)
    state = nest.map(_any_number_of, _policy_state(learner, meta, learner.start(meta, 1, first)))
    time_step = {
        "step_type": tf.TensorSpec([None], tf.int32),
        "reward": tf.TensorSpec([None], tf.float32),
        "discount": tf.TensorSpec([None], tf.float32),
        "observation": nest.map(lambda s: _spec([None], s), environment.observation_spec),
    }
    trajectories = _trajectory_spec(learner.policy, environment, shots)
    seeds = (SEED,) if learner.starts_at_random else ()
    specs = {
        "action": (_action(learner, meta), time_step, state, SEED),
        "greedy_action": (_greedy_action(learner, meta), time_step, state),
        "distribution": (_distribution(learner, meta), time_step, state),
        "get_initial_state": (
            _get_initial_state(learner, meta),
            *(tf.TensorSpec([], tf.int32), *seeds),
        ),
        "adapt": (_adapt(learner, meta, state), trajectories, state),
    }
    for name, (function, *signature) in learner.exported(meta).items():
        specs[name] = (_with_policy_state(learner, meta, function), *signature)
    return {
        name: tf.function(function, input_signature=signature, autograph=False)
        for name, (function, *signature) in specs.items()
    }


def _action(learner: MetaLearner, meta: Nest) -> Callable[..., Any]:
    def action(
        time_step: dict[str, Nest], policy_state: dict[str, Nest], seed: tf.Tensor
    ) -> dict[str, Nest]:
        """An action drawn for each row, and its log-probability."""
        return _step(learner, meta, time_step, policy_state, seed, False)

    return action


def _greedy_action(learner: MetaLearner, meta: Nest) -> Callable[..., Any]:
    def greedy_action(time_step: dict[str, Nest], policy_state: dict[str, Nest]) -> dict[str, Nest]:
        """The most probable action of each row, and its log-probability."""
        return _step(learner, meta, time_step, policy_state, keys.from_int(0), True)

    return greedy_action


def _step(
    learner: MetaLearner,
    meta: Nest,
    time_step: dict[str, Nest],
    policy_state: dict[str, Nest],
    key: tf.Tensor,
    greedy: bool,
) -> dict[str, Nest]:
    """TF-Agents' `PolicyStep` as a dict."""
    fast, episode = _parts(policy_state)
    action, log_prob, info, episode = act(
        *(learner.policy, learner.acting(meta, fast), ts.TimeStep(**time_step)),
        *(episode, key, greedy),
    )
    info = policy_info({"log_probability": log_prob}, episode.get("noise", ()), info)
    return {"action": action, "state": with_episode(_state(fast), episode), "info": info}


def _distribution(learner: MetaLearner, meta: Nest) -> Callable[..., Any]:
    def distribution(time_step: dict[str, Nest], policy_state: dict[str, Nest]) -> Nest:
        """Parameters of each row's action distribution."""
        fast, episode = _parts(policy_state)
        wide = act_distribution(
            *(learner.policy, learner.acting(meta, fast), ts.TimeStep(**time_step)),
            *(episode, keys.from_int(0)),
        )
        return nest.map(lambda x: x[:, 0], distributions.tensors(wide))

    return distribution


def _get_initial_state(learner: MetaLearner, meta: Nest) -> Callable[..., Any]:
    if learner.starts_at_random:
        return _get_drawn_state(learner, meta)

    def get_initial_state(batch_size: tf.Tensor) -> dict[str, Nest]:
        """The state before any experience, in every row."""
        return _policy_state(learner, meta, learner.start(meta, batch_size))

    return get_initial_state


def _get_drawn_state(learner: MetaLearner, meta: Nest) -> Callable[..., Any]:
    def get_initial_state(batch_size: tf.Tensor, seed: tf.Tensor) -> dict[str, Nest]:
        """The state before any experience, each row's drawn."""
        key = learner.task_keys(seed, batch_size)
        return _policy_state(learner, meta, learner.start(meta, batch_size, key))

    return get_initial_state


def _adapt(learner: MetaLearner, meta: Nest, state_spec: dict[str, Nest]) -> Callable[..., Any]:
    """The learner's adaptation step, a task at a time: its code wants static shapes."""
    fast_spec, _ = _parts(state_spec)
    result = nest.map(lambda spec: tf.TensorSpec(spec.shape[1:], spec.dtype), fast_spec)

    def one_task(inputs: Nest) -> FastState:
        trajectory, fast = nest.map(lambda x: x[None], inputs)
        support = learner.experience(meta, fast, Trajectory(**trajectory))
        return nest.map(lambda x: x[0], learner.adapt(meta, fast, support))

    def adapt(trajectories: dict[str, Nest], policy_state: dict[str, Nest]) -> dict[str, Nest]:
        """The state after one update on episodes of its own policies, or what stands for them."""
        fast, episode = _parts(policy_state)
        fast = tf.map_fn(one_task, (trajectories, fast), fn_output_signature=result)
        if learner.policy.outlives_episodes:  # which go on from what is remembered now
            params = learner.acting(meta, fast)
            episode = new_episode(learner.policy, params, keys.from_int(0))
        return with_episode(_state(fast), episode)

    return adapt


def _with_policy_state(
    learner: MetaLearner, meta: Nest, function: Callable[..., Any]
) -> Callable[..., Any]:
    """`function` with a policy_state where it returns a `FastState`."""

    @functools.wraps(function)
    def exported(*arguments: Any) -> Any:
        result = function(*arguments)
        is_fast = isinstance(result, FastState)
        return _policy_state(learner, meta, result) if is_fast else result

    return exported


def _policy_state(learner: MetaLearner, meta: Nest, fast: FastState) -> dict[str, Nest]:
    """What travels with a row: its `FastState`, and what the policy keeps of an episode."""
    episode = new_episode(learner.policy, learner.acting(meta, fast), keys.from_int(0))
    return with_episode(_state(fast), episode)


def _parts(policy_state: dict[str, Nest]) -> tuple[FastState, dict[str, Nest]]:
    """(`FastState`, what the policy keeps of an episode) of a policy_state."""
    fields = {name: value for name, value in policy_state.items() if name != "episode"}
    return FastState(**{"params": (), "slots": (), **fields}), policy_state.get("episode", {})


def _trajectory_spec(policy: Policy, environment: TaskFamily, shots: int) -> dict[str, Nest]:
    """Specs of a `Trajectory` of `shots` episodes, as a dict."""
    steps = [None, shots, environment.horizon]
    numbers = tf.TensorSpec(steps, tf.float32)
    observed = lambda axes: nest.map(lambda s: _spec(axes, s), environment.observation_spec)
    spec = Trajectory(
        observation=observed(steps),
        action=nest.map(lambda s: _spec(steps, s), policy.action_spec),
        reward=numbers,
        mask=numbers,
        log_prob=numbers,
        terminated=numbers,
        final_observation=observed(steps[:2]),
        episode_noise=nest.map(lambda s: _spec(steps[:2], s), policy.episode_noise_spec),
        info=nest.map(lambda s: _spec(steps, s), policy.info_spec),
    )
    return _state(spec)


def _state(fields: Any) -> dict[str, Nest]:
    """A named tuple as a dict, without the fields that are empty."""
    return {name: value for name, value in fields._asdict().items() if tf.nest.flatten(value)}


def _spec(axes: Sequence[int | None], spec: tf.TensorSpec) -> tf.TensorSpec:
    """`spec` with `axes` in front."""
    return tf.TensorSpec([*axes, *spec.shape], spec.dtype)


def _any_number_of(row: tf.Tensor) -> tf.TensorSpec:
    """The spec of tensors like `row` [1, ...] with a leading axis of any size."""
    return tf.TensorSpec([None, *row.shape[1:]], row.dtype)


def _card(
    learner: MetaLearner, environment: TaskFamily, shots: int, functions: dict[str, Any]
) -> dict[str, Any]:
    """What a user of the SavedModel has to know, as JSON-serialisable values."""
    config: Any = getattr(environment, "config", None)
    card = {
        "learner": type(learner).__name__,
        "config": dataclasses.asdict(learner.config),
        "iterations": int(learner.iteration),
        "environment": {
            "name": type(environment).__name__,
            "options": dataclasses.asdict(config) if dataclasses.is_dataclass(config) else None,
            "horizon": environment.horizon,
            **({"notice": environment.notice} if environment.notice else {}),
            "observation_spec": _described(environment.observation_spec),
            "action_spec": _described(learner.policy.action_spec),
        },
        "adapts_to": learner.adapts_to,
        "shots": shots,
        "updates": learner.config.inner_updates,
        "versions": {"tfcaml": tfcaml.__version__, "tensorflow": tf.__version__},
        "functions": {name: _signature(function) for name, function in functions.items()},
    }
    return {**card, **learner.card()}


def _signature(function: Any) -> dict[str, Any]:
    """What a traced function does, takes and returns; null stands for axes of any size."""
    names = inspect.signature(function.python_function).parameters
    return {
        "does": inspect.getdoc(function.python_function),
        "takes": {name: _described(spec) for name, spec in zip(names, function.input_signature)},
        "returns": _described(function.get_concrete_function().structured_outputs),
    }


def _described(specs: Nest) -> Nest:
    """A nest of specs as JSON: {"shape", "dtype"} for each, and bounds where there are any.

    JSON has no infinity: null stands for it.
    """
    if isinstance(specs, dict):
        return {key: _described(spec) for key, spec in specs.items()}
    if isinstance(specs, list | tuple):
        return [_described(spec) for spec in specs]
    described: dict[str, Any] = {"shape": list(specs.shape), "dtype": specs.dtype.name}
    for bound in ("minimum", "maximum"):
        if hasattr(specs, bound):
            number = getattr(specs, bound)
            described[bound] = np.where(np.isfinite(number), number, np.array(None)).tolist()
    return described
