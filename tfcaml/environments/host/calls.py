"""Calls to Python environments as a worker makes them, and checks of what they give."""

import contextlib
import copy
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from tfcaml.types import Nest

# What a worker tells while it works: the number of calls that have returned, which row is under
# way, and, told to it, whether it was left behind.
CALLS, ROW, LEFT = range(3)


class Start(NamedTuple):
    """What it takes to play an episode up to its last call.

    task: what the environment is told
    seed: Python int, what it is reset with
    actions: [T, ...], those that come before the last call
    observation: leaves of what these led to; None: nobody knows yet
    """

    task: Any
    seed: int
    actions: np.ndarray
    observation: list[np.ndarray] | None = None


class Outcomes(NamedTuple):
    """What the last calls of R episodes gave.

    leaves: of the observations, each [R, ...]
    reward: [R]
    terminated: [R]
    cut: [R], whether the environment cut the episode short
    failures: dict row -> exception; in these rows all else is meaningless
    """

    leaves: list[np.ndarray]
    reward: np.ndarray
    terminated: np.ndarray
    cut: np.ndarray
    failures: dict[int, BaseException]


def no_outcomes(
    size: int, specs: Sequence[tuple[Sequence[int], Any]], reward_dtype: Any = np.float32
) -> Outcomes:
    """`Outcomes` to be written into. specs: list of (shape, dtype)."""
    leaves = [np.zeros([size, *shape], dtype) for shape, dtype in specs]
    terminated, cut = np.zeros([2, size], bool)
    return Outcomes(leaves, np.zeros(size, reward_dtype), terminated, cut, {})


class Environments:
    """The environments of one worker, by their slots. Made when first called; anew after a fault.

    Args:
      make: function () -> environment, see `adapters`.
      progress: integers, see `CALLS`.
    """

    def __init__(self, make: Callable[[], Any], progress: Any) -> None:
        self._make, self._progress = make, progress
        self._environments: dict[int, Any] = {}

    def look(self, slot: int) -> tuple[Nest, Nest, int | None]:
        """(observation_spec, action_spec, time_limit) of an environment."""
        environment = self._made(slot)
        return environment.observation_spec, environment.action_spec, environment.time_limit

    def play(
        self,
        specs: Sequence[tuple[Sequence[int], Any]],
        slots: Sequence[int],
        starts: Sequence[Start | None],
        actions: np.ndarray | None,
    ) -> Outcomes:
        """Makes the last call of each of R episodes, one after the other.

        Args:
          specs: list of (shape, dtype), one for each leaf of an observation.
          slots: [R], the environments.
          starts: [R], for an environment that is yet to be brought to that call a `Start`.
          actions: [R, ...]; None: the last call is the reset.

        Returns:
          `Outcomes`. The environments of failures are closed.
        """
        # In wide floats first, to be made narrow and looked at all at once.
        wide = [(shape, np.float64 if dtype.kind == "f" else dtype) for shape, dtype in specs]
        outcomes = no_outcomes(len(slots), wide, np.float64)
        for row, slot in enumerate(slots):
            if self._progress[LEFT]:
                break
            self._progress[ROW] = row
            try:
                action = None if actions is None else actions[row]
                observation, *ends = self._called(slot, starts[row], action, specs)
                outcomes.reward[row], outcomes.terminated[row], outcomes.cut[row] = ends
                for array, leaf in zip(outcomes.leaves, _leaves(observation, specs)):
                    array[row] = leaf
            except BaseException as error:  # whatever it is, it is one row's
                self._fail(outcomes, row, slot, error)
        return self._narrowed(outcomes, slots, specs)

    def close(self) -> None:
        """Closes all environments."""
        for slot in list(self._environments):
            self._close(slot)

    def _made(self, slot: int) -> Any:
        if slot not in self._environments:
            self._environments[slot] = self._make()
            self._progress[CALLS] += 1
        return self._environments[slot]

    def _called(
        self,
        slot: int,
        start: Start | None,
        action: Any,
        specs: Sequence[tuple[Sequence[int], Any]],
    ) -> tuple[Any, ...]:
        """(observation, reward, terminated, cut) of an episode's last call."""
        environment = self._made(slot)
        if start is not None:
            environment.set_task(copy.deepcopy(start.task))  # it may change its own
            outcome = environment.reset(start.seed), 0.0, False, False
            self._progress[CALLS] += 1
            for earlier in start.actions:
                outcome = environment.step(earlier)
                self._progress[CALLS] += 1
            _check_same(outcome[0], start.observation, specs)
            if action is None:
                return outcome
        outcome = environment.step(action)
        self._progress[CALLS] += 1
        return outcome

    def _narrowed(
        self, outcomes: Outcomes, slots: Sequence[int], specs: Sequence[tuple[Sequence[int], Any]]
    ) -> Outcomes:
        """`outcomes` in the dtypes of `specs`; rows that are not finite become failures."""
        with np.errstate(over="ignore"):  # becomes infinite, which is refused
            leaves = [x.astype(dtype, copy=False) for x, (_, dtype) in zip(outcomes.leaves, specs)]
            reward = outcomes.reward.astype(np.float32)
        named = [("a finite reward", "reward", reward)]
        named += [("finite observations", "observation", x) for x in leaves if x.dtype.kind == "f"]
        for rule, name, values in named:
            if not np.isfinite(values).all():
                finite = np.isfinite(values).reshape([len(values), -1]).all(axis=1)
                for row in set(np.flatnonzero(~finite).tolist()) - set(outcomes.failures):
                    line = f"expected {rule}; received {name}={values[row]}"
                    self._fail(outcomes, row, slots[row], ValueError(line))
        return outcomes._replace(leaves=leaves, reward=reward)

    def _fail(self, outcomes: Outcomes, row: int, slot: int, error: BaseException) -> None:
        outcomes.failures[row] = error
        self._close(slot)

    def _close(self, slot: int) -> None:
        environment = self._environments.pop(slot, None)
        if environment is not None:
            with contextlib.suppress(Exception):
                environment.close()
            self._progress[CALLS] += 1


def _check_same(observation: Nest, known: Any, specs: Sequence[tuple[Sequence[int], Any]]) -> None:
    """An episode that is played again gives what it gave before."""
    if known is not None:
        leaves = _leaves(observation, specs)
        narrow = [leaf.astype(dtype) for leaf, (_, dtype) in zip(leaves, specs)]
        if not all(map(np.array_equal, narrow, known)):
            raise ValueError("played again with the same seed it gave other observations")


def _leaves(observation: Nest, specs: Sequence[tuple[Sequence[int], Any]]) -> list[np.ndarray]:
    """The arrays of an observation, of the right shapes; floats are of any dtype still."""
    if not isinstance(observation, (dict, tuple)):
        (spec,) = specs
        return [_leaf(observation, *spec)]
    leaves = tf.nest.flatten(observation)
    return [_leaf(value, *spec) for value, spec in zip(leaves, specs, strict=True)]


def _leaf(value: Any, shape: Sequence[int], dtype: Any) -> np.ndarray:
    leaf = np.asarray(value)
    if leaf.shape != shape:
        raise ValueError(f"expected an observation of shape {shape}; received shape={leaf.shape}")
    if leaf.dtype == dtype or (dtype.kind == "f" and leaf.dtype.kind in "fbiu"):
        return leaf
    if np.can_cast(leaf.dtype, dtype, "same_kind") or leaf.dtype.kind in "biu":
        cast = leaf.astype(dtype)
        if (cast == leaf).all():
            return cast
    rule = f"an observation of dtype {dtype.name}; received {leaf.dtype} {leaf}"
    raise ValueError(f"expected {rule}")
