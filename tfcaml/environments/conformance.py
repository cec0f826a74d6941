"""Tells the author of a family what is wrong with it."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import tensorflow as tf
from tf_agents.specs import tensor_spec

from tfcaml import keys, nest
from tfcaml.environments.base import Population, check_family, overlap, task_rows
from tfcaml.errors import ConfigError, check_is, check_whole, checked_call, shown
from tfcaml.types import Nest, Task

if TYPE_CHECKING:
    from tfcaml.environments.base import TaskFamily

_NUM_SAMPLED = 5  # tasks drawn to look at


@checked_call
def check(
    environment: TaskFamily,
    num_tasks: int = 3,
    num_episodes: int = 2,
    seed: int = 0,
    *,
    quiet: bool = False,
) -> None:
    """Plays episodes of random actions and looks for what a learner would stumble over.

    It looks at the following in this order, and at each only where nothing was found before:

    1. the specs: set, observations of numbers or booleans, and one bounded action (an integer from
       0 on or floats, not a dict or tuple of them);
    2. the population: shapes, dtypes, the same entities for the same seed, and, unless the family
       says `holds_out = False`, no test task among the training tasks;
    3. `reset` and `step` in a graph;
    4. every value of whole episodes, from the observation that `reset` gives on: shapes, dtypes, no
       NaN or infinity, observations within their bounds;
    5. whether episodes come out the same when played again, in another order, and alone;
    6. whether tasks make a difference.

    Args:
      environment: an `TaskFamily`.
      num_tasks: tasks to play; more take longer and see more.
      num_episodes: episodes of each.
      seed: an integer from 0 to 2**62 - 1, of the population, the actions and all else.
      quiet: print nothing; unless True, a line on standard output says what was checked.

    Raises:
      ConfigError: all that the first look with a finding found, one line each.
    """
    check_family(environment)
    num_tasks = check_whole("num_tasks", num_tasks, 1)
    num_episodes = check_whole("num_episodes", num_episodes, 1)
    check_is("quiet", quiet, bool, "True or False")
    case: _Case | None = None
    seed = keys.as_int(seed)
    looks: Sequence[Callable[[TaskFamily, Any], list[str]]]
    looks = (_specs, _population, _graph, _values, _repetition, _difference)
    for look in looks:
        try:
            if look is _graph:
                case = _random_case(environment, num_tasks, num_episodes, seed)
            found = look(environment, seed) if case is None else look(environment, case)
        except NotImplementedError as error:
            missing = traceback.extract_tb(error.__traceback__)[-1].name
            found = [f"expected the method {missing} to be defined; received a family without it"]
        except Exception as error:
            what = " ".join(f"{type(error).__name__}: {error}".split())
            found = [f"{look.__doc__} could not be checked: {what}"]
        if found:
            name = type(environment).__name__
            raise ConfigError("\n".join(f"{name}: {line}" for line in dict.fromkeys(found)))
    if not quiet and case is not None:
        played = f"{num_episodes} episodes of each of {nest.leading(case.task)} tasks"
        print(
            f"{type(environment).__name__} can be learned in. Checked: its specs and population, "
            f"reset and step in a graph, every value of {played}, that they come out the same when "
            "played again, and that tasks make a difference."
        )


class _Case(NamedTuple):
    """What decides some episodes; every leaf has leading [N]."""

    task: Task
    key: tf.Tensor  # [N, E, 2]
    action: tf.Tensor  # [N, E, T, ...]
    noise: tf.Tensor  # [N, E, T, noise_size]


class _Episodes(NamedTuple):
    """What happened, 0 after an episode's end: nest of [N, E, T, ...]."""

    observation: Nest
    reward: np.ndarray
    terminated: np.ndarray
    truncated: np.ndarray


def _specs(environment: TaskFamily, seed: int) -> list[str]:
    """Its specs"""
    found = [
        f"expected {name} to be set; received {name}=None"
        for name in ("task_spec", "observation_spec", "action_spec", "horizon")
        if getattr(environment, name) is None
    ]
    found += _action_spec(environment.action_spec)
    for name in ("task_spec", "observation_spec"):
        found += _leaf_specs(name, getattr(environment, name))
    for name, least in (("horizon", 1), ("noise_size", 0)):
        value = getattr(environment, name)
        if value is not None and not (isinstance(value, int) and value >= least):
            found.append(f"expected {name} to be an int >= {least}; received {name}={value!r}")
    return found


def _action_spec(spec: Any) -> list[str]:
    """What is wrong with the spec of actions: they are one, bounded, of a kind policies take."""
    if spec is None:
        return []
    rule = "expected action_spec to be one BoundedTensorSpec"
    if not isinstance(spec, tensor_spec.BoundedTensorSpec):
        return [f"{rule}; received {shown(spec)}"]
    one_integer = spec.dtype.is_integer and spec.shape.rank == 0 and np.all(spec.minimum == 0)
    if not (one_integer or spec.dtype == tf.float32):
        return [f"{rule}, of one integer from 0 on or of float32; received {shown(spec)}"]
    if not np.all(spec.minimum <= spec.maximum):  # False with nan
        return [f"expected the bounds of action_spec in order; received {shown(spec)}"]
    return []


def _leaf_specs(name: str, specs: Any) -> list[str]:
    """What is wrong with specs: their shapes are known, and observations are numbers."""
    if specs is None:
        return []
    leaves = tf.nest.flatten(specs)
    bad = [x for x in leaves if not isinstance(x, tf.TensorSpec) or not x.shape.is_fully_defined()]
    if bad or not leaves:
        rule = f"expected {name} to be a TensorSpec of a known shape, or a nest of them"
        return [f"{rule}; received {shown(bad[0] if bad else specs)}"]
    words = [x for x in leaves if x.dtype == tf.string and name == "observation_spec"]
    return [f"expected {name} of numbers or booleans; received {shown(x)}" for x in words]


def _population(environment: TaskFamily, seed: int) -> list[str]:
    """Its population"""
    first, again = environment.population(seed), environment.population(seed)
    if not isinstance(first, Population):
        return [f"expected population(seed) to give a Population; received {shown(first)}"]
    key, found = keys.from_int(seed), []
    sampled = [x.sample(_NUM_SAMPLED, key)[0] for x in (first, again)]
    for name, task, same in (
        ("train", first.train, again.train),
        ("test", first.test, again.test),
        ("sample", *sampled),
    ):
        size = _NUM_SAMPLED if name == "sample" else nest.leading(task)
        problems = nest.mismatches(f"population.{name}", environment.task_spec, task, [size])
        found += problems
        if not problems and task_rows(task) != task_rows(same):
            found.append(f"population.{name} changes from call to call with the same seed")
    for name in ("train", "test"):
        group, size = getattr(first, f"{name}_group"), nest.leading(getattr(first, name))
        if np.shape(group) != (size,):
            found.append(f"expected {name}_group of shape {(size,)}; received {np.shape(group)}")
    found += _test_sets(first)
    if found or not environment.holds_out:
        return found
    if shared := overlap(first.train, first.held_out()):
        return [f"{shared} of the test tasks are training tasks too; expected none"]
    if shared := overlap(sampled[0], first.held_out()):
        return [f"population.sample gave {shared} of the test tasks; expected none"]
    return []


def _test_sets(population: Population) -> list[str]:
    """The named test sets fit the test tasks."""
    names, size = population.test_set, nest.leading(population.test)
    if np.shape(names) not in ((0,), (size,)):
        return [f"expected test_set of shape {(size,)} or (); received {np.shape(names)}"]
    unknown = sorted(set(population.seen_sets) - set(np.asarray(names).tolist()))
    return [f"expected seen_sets to be of test_set; received {unknown}"] if unknown else []


def _graph(environment: TaskFamily, case: _Case) -> list[str]:
    """A step in a graph"""

    def first_step(case: _Case) -> tuple[Any, ...]:
        state, observation = environment.reset(case.task, case.key)
        outcome = environment.step(case.task, state, case.action[:, :, 0], case.noise[:, :, 0])
        return observation, *outcome[1:3]

    # Traced only, as a learner will trace it inside its own function.
    traced = tf.function(first_step, autograph=False).get_concrete_function(case)
    unknown = [x for x in traced.outputs if not x.shape.is_fully_defined()]
    return [f"expected shapes that a graph knows; received {x.shape}" for x in unknown]


def _values(environment: TaskFamily, case: _Case) -> list[str]:
    """An episode"""
    found: list[str] = []

    def look(when: str, *step: Any) -> list[str]:
        found.extend(f"{line} from {when}" for line in _step_problems(environment, *step))
        return found

    _play(environment, case, look)
    return found


def _step_problems(
    environment: TaskFamily,
    shape: Sequence[int],
    before: Nest,
    state: Nest,
    observation: Nest,
    reward: tf.Tensor,
    terminated: tf.Tensor,
) -> list[str]:
    """What is wrong with what one step gave; `before` is the state that it came from."""
    found = nest.mismatches("observation", environment.observation_spec, observation, shape)
    found += nest.mismatches("reward", tf.TensorSpec([], tf.float32), reward, shape)
    found += nest.mismatches("terminated", tf.TensorSpec([], tf.bool), terminated, shape)
    spec = nest.map(lambda x: tf.TensorSpec(x.shape[2:], x.dtype), before)
    found += nest.mismatches("state", spec, state, shape)
    if found:
        return found
    if not np.isfinite(reward).all():
        found.append("expected rewards to be finite; received nan or inf")
    for leaf, spec in zip(
        tf.nest.flatten(observation), tf.nest.flatten(environment.observation_spec)
    ):
        if leaf.dtype.is_floating and not np.isfinite(leaf).all():
            found.append("expected observations to be finite; received nan or inf")
        elif isinstance(spec, tensor_spec.BoundedTensorSpec):
            outside = (leaf < spec.minimum) | (leaf > spec.maximum)
            if np.any(outside):
                worst = np.asarray(leaf)[np.asarray(outside)][0]
                bounds = f"{np.min(spec.minimum):.4g} to {np.max(spec.maximum):.4g}"
                found.append(
                    f"expected observations within observation_spec's {bounds}; received {worst}"
                )
    return found


def _repetition(environment: TaskFamily, case: _Case) -> list[str]:
    """The same episodes again"""
    first = _play(environment, case)
    if name := _first_difference(first, _play(environment, case)):
        return [
            f"{name} differs when the same episodes are played again: draw all numbers from the "
            "seed, and leave nothing of an earlier episode after set_task and reset"
        ]
    order = list(reversed(range(nest.leading(case))))
    backwards = _play(environment, nest.take(case, order))
    if name := _first_difference(nest.take(first, order), backwards):
        return [f"{name} of a task's episodes differs with its place among other tasks"]
    corner = lambda tree: nest.map(lambda x: x[:1, :1], tree)
    alone = case._replace(task=nest.take(case.task, [0]))
    alone = alone._replace(**{f: getattr(case, f)[:1, :1] for f in ("key", "action", "noise")})
    if name := _first_difference(corner(first), _play(environment, alone)):
        return [f"{name} of an episode differs when it is played alone: it depends on its batch"]
    return []


def _difference(environment: TaskFamily, case: _Case) -> list[str]:
    """Different tasks"""
    if nest.leading(case) < 2:
        return []
    episodes = _play(environment, case)
    others = nest.map(lambda x: np.roll(x, 1, axis=0), episodes)
    if _first_difference(episodes, others):
        return []
    return ["tasks make no difference: with the same seeds and actions all gave the same episodes"]


def _random_case(environment: TaskFamily, num_tasks: int, num_episodes: int, seed: int) -> _Case:
    """Tasks of a population that share their keys and actions: all that differs is the task."""
    support = environment.population(seed).train
    size = min(num_tasks, nest.leading(support))
    key = keys.per_episode(keys.from_int(seed), 1, num_episodes)
    noise_size = [environment.horizon, environment.noise_size]
    noise = keys.uniform(keys.salted(key, keys.STEPS), noise_size)
    action = _random_actions(environment, num_episodes, np.random.default_rng(seed))
    same = lambda x: tf.repeat(x, size, axis=0)
    reset = keys.salted(key, keys.RESET)
    return _Case(nest.take(support, range(size)), same(reset), same(action), same(noise))


def _random_actions(
    environment: TaskFamily, num_episodes: int, rng: np.random.Generator
) -> tf.Tensor:
    """Actions within the spec's bounds, [1, E, T, ...]."""
    spec = environment.action_spec
    shape = [1, num_episodes, environment.horizon, *spec.shape]
    if spec.dtype.is_integer:
        action = rng.integers(spec.minimum, spec.maximum, shape, endpoint=True)
        return tf.constant(action, spec.dtype)
    low, high = np.clip(spec.minimum, -1e3, None), np.clip(spec.maximum, None, 1e3)
    return tf.constant(rng.uniform(low, high, shape), spec.dtype)


def _play(
    environment: TaskFamily, case: _Case, look: Callable[..., Any] = lambda *step: None
) -> Any:
    """Plays episodes as `sampling.sample` does; `look` sees each step, and says whether to stop."""
    shape = list(case.key.shape[:2])
    state, observation = environment.reset(case.task, case.key)
    zeros = tf.zeros(shape)
    if look("reset", shape, state, state, observation, zeros, zeros > 0):
        return None
    alive, rows = np.ones(shape, bool), []
    for time in range(environment.horizon):
        before = state
        state, observation, reward, terminated = environment.step(
            case.task, before, case.action[:, :, time], case.noise[:, :, time]
        )
        if look(f"step {time + 1}", shape, before, state, observation, reward, terminated):
            return None
        truncated = np.broadcast_to(environment.truncated(state), shape)
        expand = lambda x: np.reshape(alive, shape + [1] * (x.shape.rank - 2))
        step = (observation, reward, terminated, tf.constant(truncated))
        rows.append(nest.map(lambda x: np.where(expand(x), x, np.zeros_like(x)), step))
        state = nest.map(lambda new, old: tf.where(expand(new), new, old), state, before)
        alive = alive & ~np.asarray(terminated) & ~truncated
        if not alive.any():
            break
    missing = environment.horizon - len(rows)
    pad = lambda *xs: np.stack([*xs, *[np.zeros_like(xs[0])] * missing], axis=2)
    return _Episodes(*nest.map(pad, *rows))


def _first_difference(episodes: _Episodes, others: _Episodes) -> str | None:
    """The name of a field in which two `_Episodes` differ, or None."""
    fields = zip(episodes._fields, episodes, others)
    return next((name for name, one, other in fields if not _same(one, other)), None)


def _same(nest_a: Nest, nest_b: Nest) -> bool:
    """Whether all leaves are equal up to rounding, which may depend on the size of a batch."""
    pairs = zip(tf.nest.flatten(nest_a), tf.nest.flatten(nest_b))
    return all(np.shape(a) == np.shape(b) and np.allclose(a, b, 1e-4, 1e-5) for a, b in pairs)
