"""Python environments, kept for the episodes that are under way."""

import collections
import itertools
import threading

import numpy as np

from tfcaml.errors import ConfigError

_LEAST_KEPT = 256  # episodes under way before any is taken for given up


class Episode:
    """An episode under way, with all that it takes to play it again.

    environment: the `EnvironmentThread` that is stepped; None until there is one
    task: the task it was told
    seed: Python int, what it was reset with
    actions: those taken, in order
    observation: leaves of what the last call gave
    """

    def __init__(self, environment=None):
        self.environment = environment
        self.task = None
        self.seed = None
        self.actions = []
        self.observation = None


class Pool:
    """Lends `EnvironmentThread`s by the numbers of their episodes; makes none itself.

    May be called from any thread. No number is used twice, so that rollouts that run side by side
    never share an environment. Of more episodes than four times the largest batch those that were
    not stepped for longest are taken for given up (a caller may drop a state without a word), and
    their environments used anew.

    Args:
      environment: the first one.
    """

    def __init__(self, environment):
        self._lock = threading.Lock()
        self._numbers = itertools.count(1)
        self._idle = [environment]
        self._under_way = collections.OrderedDict()  # number -> Episode, least lately used first
        self._kept = _LEAST_KEPT

    def __len__(self):
        """How many environments there are."""
        return len(self._idle) + len(self._under_way)

    def start(self, shape):
        """Starts `shape` = (N, E) episodes: (numbers [N, E], `Episode`s [N, E]).

        Those for which no environment is idle have none yet.
        """
        numbers, episodes = np.empty(shape, np.int64), np.empty(shape, object)
        with self._lock:
            self._kept = max(self._kept, 4 * numbers.size)
            while self._under_way and len(self._under_way) + numbers.size > self._kept:
                self._take_back(self._under_way.popitem(last=False)[1])
            for row in np.ndindex(*shape):
                numbers[row] = next(self._numbers)
                episodes[row] = Episode(self._idle.pop() if self._idle else None)
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
            for number in numbers:
                self._take_back(self._under_way.pop(number))

    def drop(self, numbers):
        """Forgets episodes after a failure, and has their environments closed."""
        with self._lock:
            dropped = [self._under_way.pop(number, None) for number in numbers]
        for episode in dropped:
            if episode is not None and episode.environment is not None:
                episode.environment.close(0)

    def close(self, seconds):
        """Closes all environments and waits for each, at most so many seconds (None: for ever)."""
        with self._lock:
            episodes = [episode.environment for episode in self._under_way.values()]
            environments = [*self._idle, *filter(None, episodes)]
            self._idle, self._under_way = [], collections.OrderedDict()
        for environment in environments:
            environment.close(seconds)

    def _take_back(self, episode):
        if episode.environment is not None:
            self._idle.append(episode.environment)
