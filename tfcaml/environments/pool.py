"""Python environments, kept for the episodes that are under way."""

import collections
import itertools
import threading

import numpy as np

from tfcaml.errors import ConfigError

_LEAST_KEPT = 256  # episodes under way before any is taken for given up


class Episode:
    """An environment in the middle of an episode.

    environment: what `make` gave
    task: the task it was told
    time: steps taken
    """

    def __init__(self, environment):
        self.environment = environment
        self.task = None
        self.time = 0


class Pool:
    """Lends environments by the numbers of their episodes, from any thread.

    No number is used twice, so that rollouts that run side by side never share an environment. Of
    more episodes than four times the largest batch those that were not stepped for longest are
    taken for given up (a caller may drop a state without a word), and their environments used anew.

    Args:
      make: function () -> environment.
    """

    def __init__(self, make):
        self._make = make
        self._lock = threading.Lock()
        self._numbers = itertools.count(1)
        self._idle = []
        self._under_way = collections.OrderedDict()  # number -> Episode, least lately used first
        self._kept = _LEAST_KEPT

    def __len__(self):
        """How many environments there are."""
        return len(self._idle) + len(self._under_way)

    def first(self):
        """An environment to look at; not to be stepped."""
        with self._lock:
            if not self._idle:
                self._idle.append(self._make())
            return self._idle[-1]

    def start(self, shape):
        """Starts `shape` = (N, E) episodes: (numbers [N, E], `Episode`s [N, E])."""
        numbers, episodes = np.empty(shape, np.int64), np.empty(shape, object)
        with self._lock:
            self._kept = max(self._kept, 4 * numbers.size)
            while self._under_way and len(self._under_way) + numbers.size > self._kept:
                self._idle.append(self._under_way.popitem(last=False)[1].environment)
            for row in np.ndindex(*shape):
                numbers[row] = next(self._numbers)
                episodes[row] = Episode(self._idle.pop() if self._idle else self._make())
                self._under_way[numbers[row]] = episodes[row]
        return numbers, episodes

    def find(self, numbers):
        """The `Episode`s of these numbers.

        Raises:
          ConfigError: one that is no longer under way.
        """
        with self._lock:
            for number in numbers:
                if number not in self._under_way:
                    raise ConfigError(
                        "expected the state of an episode under way; received that of an episode "
                        f"that failed, or that was left for more than {self._kept} others"
                    )
                self._under_way.move_to_end(number)
            return [self._under_way[number] for number in numbers]

    def release(self, numbers):
        """Takes back the environments of episodes that ended."""
        with self._lock:
            self._idle += [self._under_way.pop(number).environment for number in numbers]

    def drop(self, numbers):
        """Forgets episodes and their environments, after a failure."""
        with self._lock:
            for number in numbers:
                self._under_way.pop(number, None)
