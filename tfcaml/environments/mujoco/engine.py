"""Simulations of one MuJoCo model as a pure function of rows of numbers.

What a row does follows from its state, its controls and its physics alone: not from the rows beside
it, from what was simulated before, or from the number of threads. So there is nothing to keep, to
reset or to save between two calls.
"""

from __future__ import annotations

import collections
import contextlib
import operator
import os
import threading
from collections.abc import Iterator, Mapping

import mujoco
import numpy as np
import tensorflow as tf
from mujoco import batch

_BAD = [int(getattr(mujoco.mjtWarning, f"mjWARN_BAD{what}")) for what in ("QPOS", "QVEL", "QACC")]
_VELOCITIES = mujoco.mjtStage.mjSTAGE_VEL
_MOST_BATCHES = 4  # of different numbers of rows, that are kept

# Name of a field of `MjModel` -> [R, ...], its value in each row.
Physics = Mapping[str, np.ndarray]


class Engine:
    """Steps many simulations of one model at once.

    A state is a row [S] of float64: positions, velocities, the solver's warm start and, where the
    model has them, activations. It holds all that decides the future of a simulation.

    Args:
      model: `mujoco.MjModel`.
      num_steps: MuJoCo's steps in one step of an environment.
      num_threads: threads that share the rows; None: `default_threads()`.

    Attributes:
      state_size: S.
      num_threads: threads that share the rows.
      sizes: dict field of `MjData` -> its numbers in a row, in the row's order.
      faults: counter of "diverged_episodes", see `step`.
    """

    def __init__(
        self, model: mujoco.MjModel, num_steps: int, num_threads: int | None = None
    ) -> None:
        self.model = model
        self.sizes = {"qpos": model.nq, "qvel": model.nv, "qacc_warmstart": model.nv}
        if model.na:
            self.sizes["act"] = model.na
        self.state_size = sum(self.sizes.values())
        self.faults: collections.Counter[str] = collections.Counter()
        self._num_steps = num_steps
        self.num_threads = num_threads or default_threads()
        self._lock = threading.Lock()  # a batch is used by one thread of TensorFlow at a time
        self._batches: collections.OrderedDict[int, _Rows] = collections.OrderedDict()

    def step(
        self, state: np.ndarray, control: np.ndarray, still: np.ndarray, physics: Physics
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """One step of an environment.

        A row diverges if MuJoCo finds a bad number in it, NaN or beyond 1e10, or leaves one. Such a
        row stays as it was before the step.

        Args:
          state: [R, S].
          control: [R, A], what the actuators are told.
          still: [R] bool, rows that stay as they are.
          physics: dict of [R, ...]; the model's own values for fields that are not named.

        Returns:
          (state [R, S]; diverged [R] bool; sensors [R, M] at the new state).
        """
        with self._lock:
            rows = self._rows(len(state), physics)
            rows.write(state)
            rows.control[:] = control
            before = rows.batch.warning[:, _BAD, 1].copy()
            moving = np.flatnonzero(~still)
            diverged = np.zeros(len(state), bool)
            stage = {"stage": _VELOCITIES} if self.model.nsensordata else {}
            if len(moving):
                which = None if len(moving) == len(state) else moving
                try:
                    with _quiet():
                        rows.batch.step(which, self._num_steps, **stage)
                except batch.SimulationError as error:
                    diverged[error.ids] = True
            after = rows.read()
            diverged |= (rows.batch.warning[:, _BAD, 1] > before).any(axis=1)
            diverged |= ~np.isfinite(after).all(axis=1)
            diverged &= ~still
            self.faults["diverged_episodes"] += int(diverged.sum())
            kept = diverged | still
            after[kept] = state[kept]
            sensors = rows.sensors.copy()
            if self.model.nsensordata and kept.any():
                # What a row's sensors said last is not known here.
                rows.write(after)
                with _quiet():
                    rows.batch.forward(np.flatnonzero(kept), **stage)
                sensors[kept] = rows.sensors[kept]
            return after, diverged, sensors

    def sense(self, state: np.ndarray, physics: Physics) -> np.ndarray:
        """What sensors say at a state [R, S]: [R, M]."""
        with self._lock:
            rows = self._rows(len(state), physics)
            rows.write(state)
            rows.batch.forward(stage=_VELOCITIES)
            return rows.sensors.copy()

    def _rows(self, num_rows: int, physics: Physics) -> _Rows:
        if num_rows not in self._batches:
            while len(self._batches) >= _MOST_BATCHES:
                self._batches.popitem(last=False)
            self._batches[num_rows] = _Rows(self.model, self.sizes, num_rows, self.num_threads)
        self._batches.move_to_end(num_rows)
        rows = self._batches[num_rows]
        rows.set_physics(physics)
        return rows


def default_threads() -> int:
    """How many threads simulate: as many as TensorFlow may use for one operation."""
    told = tf.config.threading.get_intra_op_parallelism_threads()
    told = told or int(os.environ.get("TF_NUM_INTRAOP_THREADS") or 0)
    return told or len(os.sched_getaffinity(0))


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """MuJoCo would write a line to a file of the working directory for each bad number."""
    log = mujoco.MjLogConfig.get()
    before = log.logto_file, log.logto_console
    log.logto_file = log.logto_console = False
    log.set()
    try:
        yield
    finally:
        log.logto_file, log.logto_console = before
        log.set()


class _Rows:
    """A `mujoco.batch.Batch` and views of its memory."""

    def __init__(
        self, model: mujoco.MjModel, sizes: dict[str, int], num_rows: int, num_threads: int
    ) -> None:
        self._model = model
        self.batch = batch.Batch(model, num_rows, num_threads)
        self.control = self.batch.bind("ctrl")
        self.sensors = self.batch.bind("sensordata").reshape(num_rows, -1)
        self._views = [self.batch.bind(name).reshape(num_rows, -1) for name in sizes]
        self._ends = np.cumsum(list(sizes.values()))[:-1]
        self._physics: dict[str, np.ndarray] = {}

    def write(self, state: np.ndarray) -> None:
        for view, part in zip(self._views, np.split(state, self._ends, axis=1)):
            view[:] = part

    def read(self) -> np.ndarray:
        return np.concatenate(self._views, axis=1)

    def set_physics(self, physics: Physics) -> None:
        """Writes the fields that are not the rows' already; the others are the model's again."""
        own = {name: operator.attrgetter(name)(self._model) for name in self._physics}
        wanted = {**own, **physics}
        known = self._physics
        same = lambda name: name in known and np.array_equal(known[name], wanted[name])
        changed = [name for name in wanted if not same(name)]
        for name in changed:
            self.batch.expand(name)[:] = wanted[name]
            self._physics[name] = np.array(wanted[name])
        if changed:  # what MuJoCo derives from them
            self.batch.set_const()
