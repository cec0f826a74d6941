"""The point's targets: moves, rewards, ends, the three sets, and what standing still is paid."""

import numpy as np
import pytest
import tensorflow as tf

from tfcaml.environments import PointTarget, PointTargetConfig, Wheeled
from tfcaml.errors import ConfigError


def step(config, goal, position, action):
    family = PointTarget(config)
    tensors = [tf.constant(x, tf.float32)[None, None] for x in (position, action)]
    task = {"goal": tf.constant(goal, tf.float32)[None]}
    return [np.asarray(x)[0, 0] for x in family.step(task, *tensors, None)]


def test_a_step():
    """An action is a share of 0.1, and more is cut; the reward is of the place that is reached."""
    config = PointTargetConfig()
    state, seen, reward, ended = step(config, [0.5, 0.0], [0.1, 0.2], [0.5, -3.0])
    np.testing.assert_allclose(state, [0.15, 0.1], atol=1e-6)
    np.testing.assert_array_equal(seen, state)
    np.testing.assert_allclose(reward, -np.hypot(0.35, 0.1), rtol=1e-5)
    assert not ended
    wide = step(PointTargetConfig(action_range=10.0), [0.5, 0.0], [0.1, 0.2], [5.0, -30.0])
    np.testing.assert_allclose(wide[0], state, atol=1e-6)


def test_arrival_ends_an_episode():
    config = PointTargetConfig()
    assert step(config, [0.5, 0.0], [0.513, 0.014], [0, 0])[3]
    assert not step(config, [0.5, 0.0], [0.521, 0.0], [0, 0])[3]
    assert not step(PointTargetConfig(arrival=0.0), [0.5, 0.0], [0.5, 0.0], [0, 0])[3]


def test_its_goals_are_those_of_the_robots():
    population, other = PointTarget().population(3, 12), Wheeled().population(3, 12)
    for one, robots in ((population.train, other.train), (population.test, other.test)):
        np.testing.assert_array_equal(one["goal"], robots["goal"])
    assert list(population.test_set[:4]) == ["D", "D'", "D''", "D"]
    assert population.seen_sets == ("D",) and population.draw is None
    np.testing.assert_array_equal(population.test["goal"][::3], population.train["goal"][:4])


def test_goals_that_find_no_room_and_bad_options_are_refused():
    with pytest.raises(ConfigError, match=r"fewer targets, .*0\.1 m .*received num_train=400"):
        PointTarget(PointTargetConfig(num_train=400)).population(0, 1)
    with pytest.raises(ConfigError, match="num_test to be a whole number from 1 to 15; received"):
        PointTarget(PointTargetConfig(num_train=5)).population(0, 16)
    for options in ({"horizon": 0}, {"action_range": 0.0}, {"arrival": -1.0}, {"num_train": 0}):
        with pytest.raises(ConfigError, match=f"expected {next(iter(options))} to be"):
            PointTargetConfig(**options)
