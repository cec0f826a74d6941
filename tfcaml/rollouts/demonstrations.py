"""Demonstrations of tasks: what somebody saw and did who knew how.

They are an expert's of the family (`demonstrate`), or anybody's: from arrays, from a file that
`Demonstrations.save` wrote, or from TFRecords; from trajectories of TF-Agents by
`tfcaml.agents.trajectories.demonstrations`.
"""

from __future__ import annotations

import contextlib
import os
import pathlib
import re
import zipfile
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from tfcaml import keys, nest
from tfcaml.environments.base import TaskFamily, check_task, task_rows
from tfcaml.errors import (
    ConfigError,
    check,
    check_is,
    check_whole,
    checked_call,
    shown,
    writing,
)
from tfcaml.policies.base import Policy
from tfcaml.progress import Progress
from tfcaml.rollouts import sampling
from tfcaml.types import Nest, Params, Task, Trajectory, episode_return

# The suffix of TFRecords of demonstrations.
TFRECORD = ".tfrecord"
_TASKS_AT_ONCE = 50  # that an expert demonstrates
_PARTS = ("task", "observation", "action", "mask")  # of a file


class Demonstrations(NamedTuple):
    """D demonstrations of each of M tasks, padded to T steps.

    task:        nest of [M, ...], as of the family's `task_spec`
    observation: nest of [M, D, T, ...]
    action:      [M, D, T, A], or [M, D, T] integers when actions are discrete
    mask:        [M, D, T]  1 on valid steps, 0 on padded steps, which follow them
    """

    task: Task
    observation: Nest
    action: tf.Tensor
    mask: tf.Tensor

    @classmethod
    @checked_call
    def from_arrays(
        cls,
        environment: TaskFamily,
        task: Task,
        observation: Nest,
        action: Any,
        mask: Any = None,
    ) -> Demonstrations:
        """Demonstrations of arrays or tensors, checked.

        Args:
          environment: the `TaskFamily` of the tasks.
          task, observation, action: as above.
          mask: as above; None: all steps are valid.

        Raises:
          ConfigError: something has another structure, shape or dtype than the family's, numbers
            of tasks, demonstrations or steps that differ, numbers that are not finite, or a mask
            that is not 1 on the first steps and 0 on the others.
        """
        action = _array("action", action)
        mask = np.ones(action.shape[:3], np.float32) if mask is None else _array("mask", mask)
        arrays = lambda name, value: nest.map(lambda leaf: _array(name, leaf), value)
        given = cls(arrays("task", task), arrays("observation", observation), action, mask)
        _check(environment, given)
        return cls(*nest.map(tf.constant, tuple(given)))

    @classmethod
    @checked_call
    def load(cls, path: str | os.PathLike[str], environment: TaskFamily) -> Demonstrations:
        """What `save` wrote, checked to be of a family; .tfrecord: what `save_tfrecord` wrote.

        Raises:
          ConfigError: there is no such file, it is damaged or something else, or its demonstrations
            are not of the family's tasks; see `from_arrays`.
        """
        _check_environment(environment)
        if str(path).endswith(TFRECORD):
            return cls.load_tfrecord(path, environment)
        with _reading(path):
            if not zipfile.is_zipfile(path):  # NumPy reads other files too, and not as these
                raise ValueError("no file of several arrays")
            with np.load(path, allow_pickle=False) as file:
                arrays = {name: file[name] for name in file.files}
        return cls._packed(environment, arrays, path)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes a file of NumPy arrays, .npz, without pickle.

        Raises:
          ConfigError: `path` is no path.
          WriteError: there is no such folder, or the disk is full or can't be written.
        """
        with _writing(path), pathlib.Path(path).open("wb") as file:
            arrays: dict[str, Any] = self._arrays()
            np.savez_compressed(file, **arrays)

    @classmethod
    @checked_call
    def load_tfrecord(cls, path: str | os.PathLike[str], environment: TaskFamily) -> Demonstrations:
        """What `save_tfrecord` wrote: one `tf.train.Example` for each task.

        Its features are the names that a file of `save` has, each a tensor by
        `tf.io.serialize_tensor` without the axis of tasks.

        Raises:
          ConfigError: as of `load`.
        """
        _check_environment(environment)
        wanted = dict(_specs(environment))
        features = {name: tf.io.FixedLenFeature([], tf.string) for name in wanted}
        rows: list[dict[str, np.ndarray]] = []
        with _reading(path):
            for record in tf.data.TFRecordDataset(os.fspath(path)):
                found = tf.io.parse_single_example(record, features)
                parse = lambda name, own: tf.io.parse_tensor(own, wanted[name]).numpy()
                rows.append({name: parse(name, own) for name, own in found.items()})
            if not rows:
                raise ValueError("no record")
            arrays = {name: np.stack([row[name] for row in rows]) for name in wanted}
        return cls._packed(environment, arrays, path)

    def save_tfrecord(self, path: str | os.PathLike[str]) -> None:
        """Writes TFRecords, see `load_tfrecord`.

        Raises:
          ConfigError: `path` is no path.
          WriteError: there is no such folder, or the disk is full or can't be written.
        """
        arrays = self._arrays()
        with _writing(path):
            pathlib.Path(path).open("wb").close()  # Python says in a line what is wrong with it
        with _writing(path), tf.io.TFRecordWriter(os.fspath(path)) as file:
            for row in range(len(arrays["mask"])):
                of_row = {name: tf.io.serialize_tensor(x[row]) for name, x in arrays.items()}
                feature = {
                    name: tf.train.Feature(bytes_list=tf.train.BytesList(value=[x.numpy()]))
                    for name, x in of_row.items()
                }
                example = tf.train.Example(features=tf.train.Features(feature=feature))
                file.write(example.SerializeToString(deterministic=True))

    def of(self, task: Task, name: str = "demonstrations") -> Demonstrations:
        """Those of some tasks, in their order.

        Args:
          task: nest, leading [N].
          name: what these demonstrations are, for the message.

        Raises:
          ConfigError: no tasks of the same structure, or a task without demonstrations.
        """
        spec = nest.map(lambda x: tf.TensorSpec(x.shape[1:], x.dtype), self.task)
        found = nest.mismatches("task", spec, task, [None])
        if found:
            raise ConfigError(f"{found[0]} (with an axis of N tasks before it)")
        rows = {row: index for index, row in enumerate(task_rows(self.task))}
        wanted = task_rows(task)
        missing = [index for index, row in enumerate(wanted) if row not in rows]
        if missing:
            raise ConfigError(
                f"expected {name} of every task; received none of {len(missing)} of {len(wanted)} "
                f"tasks, such as task {missing[0]}"
            )
        return Demonstrations(*nest.take(tuple(self), [rows[row] for row in wanted]))

    def _arrays(self) -> dict[str, np.ndarray]:
        """All arrays by name, such as "observation/image"."""
        return {
            f"{part}/{name}".rstrip("/"): _plain(np.asarray(leaf))
            for part, value in self._asdict().items()
            for name, leaf in zip(nest.names(value), tf.nest.flatten(value))
        }

    @classmethod
    def _packed(
        cls, environment: TaskFamily, arrays: dict[str, np.ndarray], path: Any
    ) -> Demonstrations:
        names = [name for name, _ in _specs(environment)]
        family = type(environment).__name__
        allowed = f"{', '.join(names)}, as of {family}"
        check(sorted(arrays) == sorted(names), f"arrays in {path}", sorted(arrays), allowed)
        like = environment.task_spec, environment.observation_spec, environment.action_spec
        parts = tf.nest.pack_sequence_as((*like, ()), [arrays[name] for name in names[:-1]])
        task, observation, action, _ = parts
        return cls.from_arrays(environment, task, observation, action, arrays["mask"])


@checked_call
def demonstrate(
    environment: TaskFamily,
    task: Task,
    num_demonstrations: int,
    key: tf.Tensor,
    *,
    noise: float = 0.0,
    attempts: int = 1,
) -> Trajectory:
    """Episodes of the family's expert, with what it would have done as their actions.

    The expert plays with noise and is recorded without, so that states are seen from which it
    comes back. Source: M. Laskey et al., "DART: noise injection for robust imitation learning",
    CoRL 2017. Of several attempts the best by return are kept, of equal ones the earlier.

    Args:
      environment: a `TaskFamily` with an `expert`.
      task: nest, leading [N].
      num_demonstrations: D.
      key: [2].
      noise: of continuous actions, the standard deviation of what is added to them, as a share of
        half their range; of discrete ones, how often one of all is drawn in their place.
      attempts: episodes played for each demonstration, of which one is kept.

    Returns:
      `Trajectory` [N, D, T, ...].

    Raises:
      ConfigError: the family has no expert, or an argument is of another kind.
    """
    _check_environment(environment)
    if tf.executing_eagerly():  # in graphs, what calls it has checked them
        check_task(environment, task)
    check_whole("num_demonstrations", num_demonstrations, 1)
    check_whole("attempts", attempts, 1)
    is_number = isinstance(noise, int | float | np.number) and not isinstance(noise, bool)
    check(is_number and 0 <= noise <= 1, "noise", noise, "a number from 0 to 1")
    fits = tf.is_tensor(key) and key.dtype == tf.int32 and key.shape.is_compatible_with([2])
    check(fits, "key", key, "an int32 tensor of shape [2], as keys.from_int(seed) gives")
    played = sampling.sample(
        _Expert(environment, noise),
        _Transparent(environment),
        task,
        task,
        num_demonstrations * attempts,
        key,
    )
    observed = lambda seen: seen[0]
    trajectory = played._replace(
        observation=observed(played.observation),
        final_observation=observed(played.final_observation),
        action=played.info,
        info=(),
    )
    if attempts == 1:
        return trajectory
    # Of equal numbers `top_k` takes the first.
    best = tf.math.top_k(episode_return(trajectory), num_demonstrations).indices
    return nest.map(lambda x: tf.gather(x, best, batch_dims=1), trajectory)


class _Transparent(TaskFamily):
    """A family whose observations hold the state beside them."""

    def __init__(self, environment: TaskFamily) -> None:
        self.environment = environment
        self.task_spec = environment.task_spec
        self.action_spec = environment.action_spec
        self.horizon = environment.horizon
        self.noise_size = environment.noise_size
        self.supports_xla = environment.supports_xla

    def truncated(self, state: Nest) -> tf.Tensor | bool:
        return self.environment.truncated(state)

    def reset(self, task: Task, key: tf.Tensor) -> tuple[Nest, Nest]:
        state, observation = self.environment.reset(task, key)
        return state, (observation, state)

    def step(
        self, task: Task, state: Nest, action: tf.Tensor, noise: tf.Tensor
    ) -> tuple[Nest, Nest, tf.Tensor, tf.Tensor]:
        state, observation, *rest = self.environment.step(task, state, action, noise)
        return state, (observation, state), *rest


class _Expert(Policy):
    """The expert of a family as a policy, whose weights are the tasks.

    It acts with noise; the `info` of a step is the action without.
    """

    def __init__(self, environment: TaskFamily, noise: float) -> None:
        self.environment, self.share = environment, noise
        self.action_spec = spec = environment.action_spec
        self.info_spec = tf.TensorSpec(spec.shape, spec.dtype)
        self.num_actions = int(spec.maximum) + 1 if spec.dtype.is_integer else None

    def play(
        self, params: Params, observation: Nest, memory: Nest, noise: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor, Nest, Nest]:
        best = self.environment.expert(params, observation[1])
        log_prob = tf.zeros(best.shape[:2])  # of an expert, nobody asks for it
        if self.num_actions:
            errs = noise[..., 0] < self.share
            other = noise[..., 0] / max(self.share, 1e-6) * self.num_actions
            action = tf.where(errs, tf.cast(other, best.dtype), best)
            return tf.minimum(action, self.num_actions - 1), log_prob, best, memory
        half = (self.action_spec.maximum - self.action_spec.minimum) / 2
        return best + self.share * half * noise, log_prob, best, memory


def _specs(environment: TaskFamily) -> list[tuple[str, tf.DType]]:
    """(name, dtype) of each array of a file, in the order of `tf.nest.flatten`."""
    parts = (environment.task_spec, environment.observation_spec, environment.action_spec)
    specs = [*parts, tf.TensorSpec([], tf.float32)]
    return [
        (f"{part}/{name}".rstrip("/"), leaf.dtype)
        for part, spec in zip(_PARTS, specs)
        for name, leaf in zip(nest.names(spec), tf.nest.flatten(spec))
    ]


def _check_environment(environment: Any) -> None:
    check_is("environment", environment, TaskFamily, "a TaskFamily")


def _array(name: str, value: Any) -> np.ndarray:
    """A user's numbers as an array."""
    try:
        return np.asarray(value)
    except (TypeError, ValueError):  # such as lists of different lengths
        raise ConfigError(f"expected {name} to be an array; received {shown(value)}") from None


def _plain(array: np.ndarray) -> np.ndarray:
    """An array that can be written without pickle: strings of TensorFlow are objects."""
    return array.astype(np.bytes_) if array.dtype.kind == "O" else array


def _check(environment: TaskFamily, given: Demonstrations) -> None:
    """Raises `ConfigError` unless these are demonstrations of a family's tasks."""
    _check_environment(environment)
    plain = lambda spec: tf.TensorSpec(spec.shape, spec.dtype)
    wanted = (
        ("task", environment.task_spec, [None]),
        ("observation", environment.observation_spec, [None, None, None]),
        ("action", plain(environment.action_spec), [None, None, None]),
        ("mask", tf.TensorSpec([], tf.float32), [None, None, None]),
    )
    for name, spec, outer in wanted:
        found = nest.mismatches(name, spec, getattr(given, name), outer)
        if found:
            axes = "[M tasks, D demonstrations, T steps]" if len(outer) > 1 else "[M tasks]"
            raise ConfigError(f"{found[0]} ({axes} before {type(environment).__name__}'s)")
    shape = given.mask.shape
    check(min(shape) >= 1, "shape of mask", list(shape), "[M, D, T], each 1 at least")
    for name, _, outer in wanted:
        for leaf in tf.nest.flatten(getattr(given, name)):
            own, first = list(leaf.shape[: len(outer)]), list(shape[: len(outer)])
            check(own == first, f"first axes of {name}", own, f"{first}, as of the mask")
            finite = leaf.dtype.kind != "f" or np.isfinite(leaf).all()
            check(finite, name, "NaN or infinity", "finite numbers")
    rising = (np.diff(given.mask, axis=-1) > 0).any(axis=-1)
    bad = rising | ~np.isin(given.mask, (0, 1)).all(axis=-1) | (given.mask[..., 0] != 1)
    rule = "1 on its first steps, one at least, and 0 on the others"
    for row, column in np.argwhere(bad)[:1]:
        name = f"mask of demonstration {column} of task {row}"
        check(False, name, given.mask[row, column].tolist(), rule)


@contextlib.contextmanager
def _writing(path: Any) -> Iterator[None]:
    """What writing a file may fail with, in one line."""
    fits = isinstance(path, str | os.PathLike) and "\0" not in str(path)
    check(fits, "path", path, "the path of a file")
    with writing(path):
        yield


class _reading:
    """What reading a file may fail with, as a `ConfigError` of one line."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = path

    def __enter__(self) -> None:
        path = self.path
        found = isinstance(path, str | os.PathLike) and os.path.isfile(path)
        check(found, "demonstrations", str(path), "the path of a file that there is")

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        # A damaged file makes readers fail in whatever way, such as by a compression they lack.
        if isinstance(error, Exception) and not isinstance(error, ConfigError):
            # What TensorFlow says of its own inner workings helps nobody.
            told = re.sub(r"\{\{.*?\}\} | \[Op:\w+\].*", "", " ".join(str(error).split()))[:200]
            raise ConfigError(
                f"expected {self.path} to hold demonstrations, as Demonstrations.save or "
                f"save_tfrecord writes them; received {type(error).__name__}: {told}"
            ) from None


def in_turn(
    play: Callable[[Task, tf.Tensor], Trajectory], task: Task, key: tf.Tensor
) -> Trajectory:
    """Demonstrations of many tasks, some tasks at a time, so that memory is held for these alone.

    Progress is told on stderr, in lines where it takes longer than ten seconds.

    Args:
      play: function (task [n, ...], key [2]) -> `Trajectory` [n, D, T, ...], such as `demonstrate`
        as a `tf.function`.
      task: nest, leading [N].
      key: [2].

    Returns:
      `Trajectory` [N, D, T, ...].
    """
    num_tasks, parts = nest.leading(task), []
    with Progress(num_tasks) as bar:
        for first in range(0, num_tasks, _TASKS_AT_ONCE):
            rows = list(range(first, min(first + _TASKS_AT_ONCE, num_tasks)))
            parts.append(play(nest.take(task, rows), keys.fold(key, first)))
            bar.advance(f"demonstrations of {num_tasks} tasks", amount=len(rows))
    return nest.concat(*parts)


def keep(trajectory: Trajectory, task: Task) -> Demonstrations:
    """What a `Trajectory` [M, D, T, ...] of tasks [M] shows, as `Demonstrations`."""
    return Demonstrations(task, trajectory.observation, trajectory.action, trajectory.mask)


def trajectory_of(demonstrations: Demonstrations) -> Trajectory:
    """`Demonstrations` as a `Trajectory` without rewards; the last valid step stands for what
    followed it."""
    mask = demonstrations.mask
    last = tf.cast(tf.reduce_sum(mask, axis=-1), tf.int32) - 1
    final = nest.map(lambda x: tf.gather(x, last, axis=2, batch_dims=2), demonstrations.observation)
    zeros = tf.zeros_like(mask)
    return Trajectory(
        demonstrations.observation, demonstrations.action, zeros, mask, zeros, zeros, final
    )


def padded(trajectory: Trajectory, num_steps: int) -> Trajectory:
    """A `Trajectory` [N, E, T, ...] with padded steps up to `num_steps`."""
    more = num_steps - trajectory.mask.shape[2]

    def longer(x: tf.Tensor) -> tf.Tensor:
        return tf.pad(x, [[0, 0], [0, 0], [0, more], *[[0, 0]] * (x.shape.rank - 3)])

    fields = ("observation", "action", "reward", "mask", "log_prob", "terminated")
    return trajectory._replace(**{n: nest.map(longer, getattr(trajectory, n)) for n in fields})
