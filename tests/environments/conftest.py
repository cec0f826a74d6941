"""A small gymnasium environment to make families of."""

import time

import gymnasium
import numpy as np
import pytest

from tfcaml.environments import HostEnvironment


class Walk(gymnasium.Env):
    """A point starts in +-0.2 and is moved by `gain` times the action; beyond 1 it is at its end.

    The reward is minus its distance from 0; its second coordinate is noise.
    """

    observation_space = gymnasium.spaces.Box(-2, 2, [2], np.float64)
    action_space = gymnasium.spaces.Discrete(3, start=-1)  # a step left, none, a step right

    def __init__(self):
        self.gain = None

    def set_task(self, task):
        self.gain = float(task["gain"])

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.position = self.np_random.uniform(-0.2, 0.2)
        return self._observation(), {}

    def step(self, action):
        self.position += self.gain * action
        return self._observation(), -abs(self.position), abs(self.position) > 1, False, {}

    def _observation(self):
        return np.array([np.clip(self.position, -2, 2), self.np_random.uniform()])


def limited_walk():
    """A Walk that gymnasium cuts short after five steps."""
    return gymnasium.wrappers.TimeLimit(Walk(), 5)


def wait_for(condition):
    """Waits until something that another thread does has happened, for at most half a minute."""
    end = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


GAINS = {"gain": [0.3, -0.5, 0.05]}, {"gain": [0.4, -0.2]}


@pytest.fixture(scope="session")
def walk_class():
    return Walk


@pytest.fixture(scope="session")
def walk():
    """Walks of at most eight steps, of which gymnasium allows five."""
    return HostEnvironment(limited_walk, GAINS, horizon=8)
