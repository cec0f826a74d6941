"""Environments that raise, hang, or give what is no number: their episodes are played again.

An episode is its task, its seed and its actions. Played again on a fresh environment it gives what
it would have given, so that a passing fault changes no number.
"""

import collections
import copy
import functools
import textwrap

import numpy as np
import tensorflow as tf

from tfcaml.environments.host.threads import EnvironmentThread, call_in_turn
from tfcaml.errors import ConfigError, RunError, check, check_positive

_LARGEST_REWARD = float(np.finfo(np.float32).max)


def first_environment(make):
    """An environment to look at, in its thread, and what is to know of its kind.

    Args:
      make: function () -> environment, see `python_environments`.

    Returns:
      (`EnvironmentThread`, (observation_spec, action_spec, time_limit)).

    Raises:
      ConfigError: `make` uses Python's module `signal`, or gives what is no environment.
    """
    thread = EnvironmentThread(make)
    look = lambda environment: (
        environment.observation_spec,
        environment.action_spec,
        environment.time_limit,
    )
    (found,) = call_in_turn([(thread, look)], None)
    if _needs_main_thread(found):
        raise ConfigError(_in_one_line(found)) from found
    if isinstance(found, BaseException):
        raise found
    return thread, found


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
        self.step_timeout = step_timeout
        self.faults = collections.Counter()

    def outcomes(self, episodes):
        """What each episode's last action gives, or `reset` where there is none yet.

        Args:
          episodes: list of `pool.Episode`; those without an environment get one.

        Returns:
          List of (observation leaves, reward, terminated, cut).

        Raises:
          RunError: a call that failed `max_retries` + 1 times, or too many threads.
        """
        for episode in episodes:
            episode.environment = episode.environment or self._thread()
        calls = [(episode.environment, self._next_call(episode)) for episode in episodes]
        found = call_in_turn(calls, self.step_timeout)
        return [self._accepted(*pair) for pair in zip(episodes, found)]

    def _thread(self):
        """A fresh environment in a thread of its own."""
        try:
            return EnvironmentThread(self._make)
        except RuntimeError as error:
            raise RunError(f"no thread for one more environment: {error}") from None

    def _accepted(self, episode, found):
        """The outcome in `found`, or that of playing the episode again if it is an exception."""
        retries = 0
        while isinstance(found, BaseException):
            late = isinstance(found, TimeoutError)
            self.faults["timeouts" if late else "errors"] += 1
            # Before a fresh one is made: there may be room for no more.
            episode.environment.close(0 if late else self.step_timeout)
            if retries == self._max_retries:
                raise self._failure(episode, found) from found
            retries += 1
            self.faults["retried_episodes"] += 1
            episode.environment = self._thread()
            limit = self.step_timeout and self.step_timeout * (len(episode.actions) + 2)
            (found,) = call_in_turn([(episode.environment, self._replay(episode))], limit)
        episode.observation = found[0]
        return found

    # What the two functions below return runs in the environment's thread. It is given no episode,
    # as a thread that was left behind may still run when the episode has gone on without it.

    def _next_call(self, episode):
        """A function that makes the episode's last call: environment -> outcome."""
        action = episode.actions[-1] if episode.actions else None
        return functools.partial(
            _call, specs=self._specs, task=episode.task, seed=episode.seed, action=action
        )

    def _replay(self, episode):
        """A function that makes all calls of the episode: environment -> the last outcome."""
        call = functools.partial(_call, specs=self._specs, task=episode.task, seed=episode.seed)
        *before, last = [None, *episode.actions]
        known = episode.observation

        def replay(environment):
            for action in before:
                observation = call(environment, action=action)[0]
            if before and not all(map(np.array_equal, observation, known)):
                raise ValueError("played again with the same seed it gave other observations")
            return call(environment, action=last)

        return replay

    def _failure(self, episode, error):
        """`RunError` that names what it takes to see the failure again."""
        values = ", ".join(f"{name}={_shown(x)}" for name, x in episode.task.items())
        task = textwrap.shorten(values, 200, placeholder=" ...")
        call = f"step {len(episode.actions)}" if episode.actions else "reset"
        times = f"{self._max_retries + 1} times" if self._max_retries else "once"
        return RunError(
            f"{call} of the environment failed {times} for task {task}, seed={episode.seed}: "
            + _in_one_line(error)
        )


def _in_one_line(error):
    """What an exception of an environment says, in one line."""
    line = " ".join(f"{type(error).__name__}: {error}".split())
    if _needs_main_thread(error):
        line += " (every environment has a thread of its own, where signal can't be used)"
    return line


def _needs_main_thread(error):
    return isinstance(error, ValueError) and "signal only works in main thread" in str(error)


def _call(environment, specs, task, seed, action):
    """`reset` where there is no action, else `step`; what it gives is checked."""
    if action is None:
        environment.set_task(copy.deepcopy(task))  # the environment may change its own
        observation, reward, ends = environment.reset(seed), 0.0, (False, False)
    else:
        observation, reward, *ends = environment.step(action)
    named = isinstance(observation, (dict, tuple))
    leaves = tf.nest.flatten(observation) if named else [observation]
    leaves = [_leaf(leaf, spec) for leaf, spec in zip(leaves, specs, strict=True)]
    if not abs(reward) <= _LARGEST_REWARD:  # NaN neither
        raise ValueError(f"expected a finite reward; received reward={reward}")
    return leaves, reward, *ends


def _leaf(value, spec):
    """One array of an observation as the spec has it."""
    leaf, dtype = np.asarray(value), spec.dtype.as_numpy_dtype
    if leaf.shape != spec.shape:
        rule = f"an observation of shape {tuple(spec.shape)}; received shape={leaf.shape}"
        raise ValueError(f"expected {rule}")
    if leaf.dtype != dtype:
        given, leaf = leaf, _cast(leaf, dtype)
        if leaf is None:
            rule = f"an observation of dtype {spec.dtype.name}; received {given.dtype} {given}"
            raise ValueError(f"expected {rule}")
    if leaf.dtype.kind == "f" and not np.isfinite(leaf).all():
        raise ValueError(f"expected finite observations; received observation={leaf}")
    return leaf


def _cast(array, dtype):
    """`array` with another dtype; None where that would change more than the digits of floats."""
    if not np.can_cast(array.dtype, dtype, "same_kind") and array.dtype.kind not in "biu":
        return None
    with np.errstate(over="ignore"):  # becomes infinite, which is refused
        cast = array.astype(dtype)
    return cast if cast.dtype.kind == "f" or (cast == array).all() else None


def _shown(value):
    """A task's value, short but for single numbers, which are shown in full."""
    if np.ndim(value) == 0:
        return str(value)
    return np.array2string(np.asarray(value), precision=4, threshold=8)
