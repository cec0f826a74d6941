"""Environments that raise, hang, or give what is no number: their episodes are played again.

An episode is its task, its seed and its actions. Played again on a fresh environment it gives what
it would have given, so that a passing fault changes no number.
"""

import collections
import math
import textwrap
import threading

import numpy as np
import tensorflow as tf

from tfcaml.errors import RunError, check, check_positive


class Player:
    """Makes the next call of episodes, and makes up for faults.

    Args:
      make: function () -> environment, see `python_environments`.
      observation_spec: nest of `TensorSpec`s.
      max_retries: how often an episode may be played again at one call.
      step_timeout: seconds that one call may take; None: for ever.

    `faults` counts the errors, timeouts and retried_episodes.
    """

    def __init__(self, make, observation_spec, max_retries, step_timeout):
        check(max_retries >= 0, "max_retries", max_retries, ">= 0")
        if step_timeout is not None:
            check_positive(step_timeout=step_timeout)
        self._make = make
        self._specs = tf.nest.flatten(observation_spec)
        self._max_retries = max_retries
        self._step_timeout = step_timeout
        self.faults = collections.Counter()

    def outcomes(self, episodes):
        """What each episode's last action gives, or `reset` where there is none yet.

        Args:
          episodes: list of `pool.Episode`; those without an environment get one.

        Returns:
          List of (observation leaves, reward, terminated, cut).

        Raises:
          RunError: a call that failed `max_retries` + 1 times.
        """
        found = in_time(self._advance, episodes, self._step_timeout)
        return [self._accepted(*pair) for pair in zip(episodes, found)]

    def _accepted(self, episode, found):
        """The outcome in `found`, or that of playing the episode again if it is an exception."""
        retries = 0
        while isinstance(found, Exception):
            self.faults["timeouts" if isinstance(found, TimeoutError) else "errors"] += 1
            if retries == self._max_retries:
                raise self._failure(episode, found) from found
            retries += 1
            self.faults["retried_episodes"] += 1
            limit = self._step_timeout and self._step_timeout * (len(episode.actions) + 2)
            (found,) = in_time(self._replay, [episode], limit)
        episode.environment, outcome = found
        episode.observation = outcome[0]
        return outcome

    # Neither changes the episode: a thread that was left behind may come back to it.

    def _advance(self, episode):
        """The episode's last call: (environment, outcome)."""
        environment = episode.environment or self._make()
        return environment, self._call(environment, episode, [None, *episode.actions[-1:]][-1])

    def _replay(self, episode):
        """All calls of the episode on a fresh environment: (environment, the last outcome)."""
        environment = self._make()
        *before, last = [None, *episode.actions]
        for action in before:
            observation = self._call(environment, episode, action)[0]
        if before and not all(map(np.array_equal, observation, episode.observation)):
            raise ValueError("played again with the same seed it gave other observations")
        return environment, self._call(environment, episode, last)

    def _call(self, environment, episode, action):
        """`reset` where there is no action, else `step`; what it gives is checked."""
        if action is None:
            environment.set_task(episode.task)
            observation, reward, ends = environment.reset(episode.seed), 0.0, (False, False)
        else:
            observation, reward, *ends = environment.step(action)
        leaves = [observation] if len(self._specs) == 1 else tf.nest.flatten(observation)
        leaves = [np.asarray(leaf) for leaf in leaves]
        for leaf, spec in zip(leaves, self._specs, strict=True):
            if leaf.shape != spec.shape:
                rule = f"an observation of shape {tuple(spec.shape)}; received shape={leaf.shape}"
                raise ValueError(f"expected {rule}")
            if leaf.dtype.kind == "f" and not np.isfinite(leaf).all():
                raise ValueError(f"expected finite observations; received observation={leaf}")
        if not math.isfinite(reward):
            raise ValueError(f"expected a finite reward; received reward={reward}")
        return leaves, reward, *ends

    def _failure(self, episode, error):
        """`RunError` that names what it takes to see the failure again."""
        show = lambda x: np.array2string(np.asarray(x), precision=4, threshold=8)
        values = ", ".join(f"{name}={show(x)}" for name, x in episode.task.items())
        task = textwrap.shorten(values, 200, placeholder=" ...")
        call = f"step {len(episode.actions)}" if episode.actions else "reset"
        times = f"{self._max_retries + 1} times" if self._max_retries else "once"
        what = " ".join(f"{type(error).__name__}: {error}".split())
        return RunError(
            f"{call} of the environment failed {times} for task {task}, seed={episode.seed}: {what}"
        )


def in_time(function, items, seconds):
    """`function(item)` for each item, with a limit on how long one may take.

    A thread can't be stopped: the one that runs over is left behind, and does nothing more if it
    ever comes back. Code that holds Python's interpreter lock while it hangs is beyond help.

    Args:
      function: item -> result.
      items: list.
      seconds: limit for each item; None: no limit, and no thread.

    Returns:
      List of results; an exception in place of one that raised, a `TimeoutError` in place of one
      that took too long.
    """
    if seconds is None:
        return [_outcome(function, item) for item in items]
    outcomes = []
    while len(outcomes) < len(items):
        worker = _Worker(function, items[len(outcomes) :])
        worker.start()
        outcomes += worker.wait(seconds)
        if len(outcomes) < len(items):
            outcomes.append(TimeoutError(f"no answer within {seconds:g} s"))
    return outcomes


class _Worker(threading.Thread):
    def __init__(self, function, items):
        super().__init__(daemon=True)  # one that hangs must not keep the process alive
        self._function = function
        self._items = items
        self._outcomes = []
        self._given_up = False

    def run(self):
        for item in self._items:
            if self._given_up:
                return
            self._outcomes.append(_outcome(self._function, item))

    def wait(self, seconds):
        """The outcomes when all are there, or those there are when none came for so long."""
        before = -1
        while self.is_alive() and len(self._outcomes) > before:
            before = len(self._outcomes)
            self.join(seconds)
        self._given_up = True
        return list(self._outcomes)


def _outcome(function, item):
    try:
        return function(item)
    except Exception as error:
        return error
