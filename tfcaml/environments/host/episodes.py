"""Python environments, kept for the episodes that are under way."""

from __future__ import annotations

import collections
import itertools
import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from tfcaml.errors import ConfigError

if TYPE_CHECKING:
    from tfcaml.environments.host.workers import Seat

_LEAST_KEPT = 256  # episodes under way before any is taken for given up


class Episode:
    """An episode under way, with all that it takes to play it again.

    lane: which worker is to play it, see `workers.Crew`
    seat: the `workers.Seat` of its environment; None until there is one
    begun: whether that environment is where the episode is; it has to be brought there otherwise
    task: the task it was told
    seed: Python int, what it was reset with
    actions: those taken, in order
    found: (leaves [R, ...], row) of the observation that the last call gave; None before the first
    """

    def __init__(self, lane: int, seat: Seat | None = None) -> None:
        self.lane = lane
        self.seat = seat
        self.begun = False
        self.task: Any = None
        self.seed: Any = None
        self.actions: list[Any] = []
        self.found: tuple[list[np.ndarray], int] | None = None


class Pool:
    """Lends environments by the numbers of their episodes; makes none itself.

    May be called from any thread. No number is used twice, so that rollouts that run side by side
    never share an environment. Of more episodes than four times the largest batch those that were
    not stepped for longest are taken for given up (a caller may drop a state without a word), and
    their environments used anew.

    Args:
      num_lanes: see `workers.Crew`. The rows of a batch are spread over the lanes evenly.
      seat: that of the first environment, in lane 0.
    """

    def __init__(self, num_lanes: int, seat: Seat) -> None:
        self._lock = threading.Lock()
        self._numbers = itertools.count(1)
        self._idle: list[list[Seat]] = [[] for _ in range(num_lanes)]  # lane -> `Seat`s
        self._idle[0].append(seat)
        # number -> Episode, least lately used first
        self._under_way: collections.OrderedDict[int, Episode] = collections.OrderedDict()
        self._kept = _LEAST_KEPT

    def __len__(self) -> int:
        """How many environments there are."""
        seats = [episode.seat for episode in self._under_way.values() if episode.seat is not None]
        return sum(seat.worker.alive for seat in itertools.chain(seats, *self._idle))

    def start(self, shape: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
        """Starts `shape` = (N, E) episodes: (numbers [N, E], `Episode`s [N, E]).

        Those for which no environment is idle have none yet.
        """
        numbers, episodes = np.empty(shape, np.int64), np.empty(shape, object)
        with self._lock:
            self._kept = max(self._kept, 4 * numbers.size)
            while self._under_way and len(self._under_way) + numbers.size > self._kept:
                self._take_back(self._under_way.popitem(last=False)[1])
            for index, row in enumerate(np.ndindex(*shape)):
                lane = index % len(self._idle)
                numbers[row] = next(self._numbers)
                episodes[row] = Episode(lane, self._lent(lane))
                self._under_way[numbers[row]] = episodes[row]
        return numbers, episodes

    def find(self, numbers: Sequence[int]) -> list[Episode]:
        """The `Episode`s of these numbers.

        Raises:
          ConfigError: one that is no longer under way.
        """
        with self._lock:
            try:
                episodes = [self._under_way[number] for number in numbers]
            except KeyError:
                raise ConfigError(
                    "expected the state of an episode under way; received that of an episode "
                    f"that failed, or that was left for more than {self._kept} others"
                ) from None
            for number in numbers:
                self._under_way.move_to_end(number)
        return episodes

    def release(self, numbers: Sequence[int]) -> None:
        """Takes back the environments of episodes that ended or are given up."""
        with self._lock:
            for number in numbers:
                if number in self._under_way:
                    self._take_back(self._under_way.pop(number))

    def clear(self) -> None:
        """Forgets all environments, and gives up the episodes under way."""
        with self._lock:
            self._idle = [[] for _ in self._idle]
            self._under_way.clear()

    def _lent(self, lane: int) -> Seat | None:
        """An idle environment, if there is one whose worker was not lost."""
        idle = self._idle[lane]
        while idle:
            seat = idle.pop()
            if seat.worker.alive:
                return seat
        return None

    def _take_back(self, episode: Episode) -> None:
        if episode.seat is not None and episode.seat.worker.alive:
            self._idle[episode.lane].append(episode.seat)
