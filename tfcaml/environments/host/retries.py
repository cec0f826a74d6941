"""Environments that raise, hang, or give what is no number: their episodes are played again.

An episode is its task, its seed and its actions. Played again on a fresh environment it gives what
it would have given, so that a passing fault changes no number. The same goes for the episodes of
all other environments of a worker that hung or ended: they are played again elsewhere.
"""

from __future__ import annotations

import collections
import textwrap
import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import tensorflow as tf

from tfcaml.environments.host.calls import Start, no_outcomes
from tfcaml.errors import ConfigError, RunError, check, check_positive
from tfcaml.types import Nest

if TYPE_CHECKING:
    from tfcaml.environments.host import calls
    from tfcaml.environments.host.calls import Outcomes
    from tfcaml.environments.host.episodes import Episode
    from tfcaml.environments.host.workers import Crew, Seat

_LONGEST = 1e6  # seconds; the operating system takes no timeouts beyond 2**31 milliseconds


def first_environment(crew: Crew) -> tuple[Seat, tuple[Nest, Nest, int | None]]:
    """An environment to look at, and what is to know of its kind.

    Args:
      crew: `workers.Crew`.

    Returns:
      (its `workers.Seat`, (observation_spec, action_spec, time_limit)).

    Raises:
      ConfigError: `make` raises, uses Python's module `signal` in a thread, or gives no
        environment.
    """
    seats = [crew.seat(lane) for lane in range(crew.num_lanes)]  # all start at the same time
    worker, slot = seats[0]
    worker.ask("look", slot)
    found = worker.answer(None)
    if _needs_main_thread(found):
        raise ConfigError(_in_one_line(found)) from found
    if isinstance(found, Exception) and not isinstance(found, ConfigError | RunError):
        line = f"expected make() to give an environment; it raised {_in_one_line(found)}"
        raise ConfigError(line) from found
    if isinstance(found, BaseException):
        raise found
    return seats[0], found


class Player:
    """Makes the next call of episodes, and makes up for faults.

    May be called from any thread; one batch of calls is made at a time.

    Args:
      crew: `workers.Crew`.
      observation_spec: nest of `TensorSpec`s.
      max_retries: how often an episode may be played again at one call.
      step_timeout: seconds that one call may take; None: for ever.

    `faults` counts the errors, timeouts and retried_episodes.
    """

    def __init__(
        self, crew: Crew, observation_spec: Nest, max_retries: int, step_timeout: float | None
    ) -> None:
        if step_timeout is not None:
            check_positive(step_timeout=step_timeout)
            rule = f"at most {_LONGEST:.0e} (seconds), or None, for ever"
            check(step_timeout <= _LONGEST, "step_timeout", step_timeout, rule)
        self._crew = crew
        self._specs = [
            (tuple(spec.shape), np.dtype(spec.dtype.as_numpy_dtype))
            for spec in tf.nest.flatten(observation_spec)
        ]
        self._max_retries = max_retries
        self._step_timeout = step_timeout
        self._lock = threading.Lock()
        self.faults: collections.Counter[str] = collections.Counter()

    def outcomes(self, episodes: Sequence[Episode]) -> calls.Outcomes:
        """What each episode's last action gives, or `reset` where there is none yet.

        Args:
          episodes: list of R `episodes.Episode`s, either all with actions or all without.

        Returns:
          `calls.Outcomes`, without failures.

        Raises:
          RunError: a call that failed `max_retries` + 1 times, or too many threads or processes.
        """
        outcomes = no_outcomes(len(episodes), self._specs)
        retries: collections.Counter[int] = collections.Counter()
        rows = list(range(len(episodes)))
        with self._lock:
            while rows:
                failures, others = self._called(episodes, rows, outcomes)
                for row, (kind, error) in sorted(failures.items()):
                    self.faults[kind] += 1
                    if retries[row] == self._max_retries:
                        raise self._failure(episodes[row], error) from error
                    retries[row] += 1
                    self.faults["retried_episodes"] += 1
                rows = sorted([*failures, *others])
        for row, episode in enumerate(episodes):
            episode.found = outcomes.leaves, row
        return outcomes

    def close(self) -> None:
        """Closes all environments, see `workers.Crew.close`."""
        with self._lock:
            self._crew.close(self._step_timeout)

    def _called(
        self, episodes: Sequence[Episode], rows: Sequence[int], outcomes: Outcomes
    ) -> tuple[dict[int, tuple[str, BaseException]], list[int]]:
        """Makes the calls of some rows, all workers at the same time, and writes `outcomes`.

        Returns:
          (dict row -> (kind of fault, exception), rows that shared a worker which was lost).
        """
        of_worker: dict[Any, list[int]] = {}
        for row in rows:
            episode = episodes[row]
            if episode.seat is None or not episode.seat.worker.alive:
                episode.seat, episode.begun = self._crew.seat(episode.lane), False
            of_worker.setdefault(episode.seat.worker, []).append(row)
        failures: dict[int, tuple[str, BaseException]] = {}
        others: list[int] = []
        try:
            for worker, own in of_worker.items():
                worker.ask("play", self._specs, *_message([episodes[row] for row in own]))
            for worker, own in of_worker.items():
                try:
                    found = worker.answer(self._step_timeout)
                except (TimeoutError, RunError) as error:
                    kind = "timeouts" if isinstance(error, TimeoutError) else "errors"
                    failed = own[worker.row()]
                    failures[failed] = kind, error
                    others += [row for row in own if row != failed]
                    continue
                if isinstance(found, BaseException):
                    raise found
                _write(outcomes, own, found)
                for index, row in enumerate(own):
                    episodes[row].begun = index not in found.failures
                failures |= {own[i]: ("errors", e) for i, e in found.failures.items()}
        except BaseException:  # an interrupt: nobody will read what they answer
            for worker in of_worker:
                worker.leave()
            raise
        return failures, others

    def _failure(self, episode: Episode, error: BaseException) -> RunError:
        """`RunError` that names what it takes to see the failure again."""
        values = ", ".join(f"{name}={_shown(x)}" for name, x in episode.task.items())
        task = textwrap.shorten(values, 200, placeholder=" ...")
        call = f"step {len(episode.actions)}" if episode.actions else "reset"
        times = f"{self._max_retries + 1} times" if self._max_retries else "once"
        return RunError(
            f"{call} of the environment failed {times} for task {task}, seed={episode.seed}: "
            + _in_one_line(error)
        )


def _message(
    episodes: Sequence[Episode],
) -> tuple[list[int], list[Start | None], np.ndarray | None]:
    """(slots, starts, actions) of `calls.Environments.play`."""
    slots = [episode.seat.slot for episode in episodes if episode.seat is not None]
    starts = [None if episode.begun else _start(episode) for episode in episodes]
    if not episodes[0].actions:
        return slots, starts, None
    return slots, starts, np.array([episode.actions[-1] for episode in episodes])


def _start(episode: Episode) -> Start | None:
    """The `Start` of an episode whose environment is yet to be brought to its last call."""
    known = None
    if episode.found is not None:
        leaves, row = episode.found
        known = [leaf[row] for leaf in leaves]
    return Start(episode.task, episode.seed, np.array(episode.actions[:-1]), known)


def _write(outcomes: Outcomes, rows: Sequence[int], found: Outcomes) -> None:
    """Puts `Outcomes` of some rows into those of all."""
    for array, values in zip(outcomes.leaves, found.leaves):
        array[rows] = values
    for name in ("reward", "terminated", "cut"):
        getattr(outcomes, name)[rows] = getattr(found, name)


def _in_one_line(error: BaseException) -> str:
    """What an exception of an environment says, in one line."""
    if isinstance(error, RunError):  # of a process
        return str(error)
    line = " ".join(f"{type(error).__name__}: {error}".split())
    if _needs_main_thread(error):
        line += " (worker='thread' has no signals; worker='process' has)"
    return line


def _needs_main_thread(error: BaseException) -> bool:
    return isinstance(error, ValueError) and "signal only works in main thread" in str(error)


def _shown(value: Any) -> str:
    """A task's value, short but for single numbers, which are shown in full."""
    if np.ndim(value) == 0:
        return str(value)
    return np.array2string(np.asarray(value), precision=4, threshold=8)
