"""Turned point: what an action does, what is paid, and which entities there are."""

import math

import numpy as np
import pytest
import tensorflow as tf

from tfcaml import keys
from tfcaml.environments import TurnedPoint, TurnedPointConfig
from tfcaml.errors import ConfigError


def task(gain, degrees):
    angle = math.radians(degrees)
    turn = tf.constant([[math.cos(angle), math.sin(angle)]], tf.float32)
    return {"gain": tf.constant([gain], tf.float32), "turn": turn}


def step(family, of, position, action):
    tensor = lambda x: tf.constant(x, tf.float32)[None, None]
    return [np.asarray(x)[0, 0] for x in family.step(of, tensor(position), tensor(action), None)]


@pytest.mark.parametrize(
    "degrees, action, move",
    [
        (0, [0.5, -1.0], [0.1, -0.2]),
        (90, [0.5, -1.0], [0.2, 0.1]),
        (180, [0.5, -9.0], [-0.1, 0.2]),  # cut at 1
        (-45, [1.0, 1.0], [0.2 * math.sqrt(2), 0.0]),
    ],
)
def test_a_step(degrees, action, move):
    """The reward is what comes nearer to the goal, as a share of the longest move of gain 1."""
    family, place = TurnedPoint(), np.array([1.0, 2.0])
    for gain in (1.0, 0.5):
        after = place + gain * np.array(move)
        state, observation, reward, ended = step(family, task(gain, degrees), place, action)
        np.testing.assert_allclose(state, after, atol=1e-6)
        np.testing.assert_array_equal(observation, state)
        nearer = (np.linalg.norm(place) - np.linalg.norm(after)) / 0.2
        np.testing.assert_allclose(reward, nearer, rtol=1e-4, atol=1e-6)
        assert not ended


def test_episodes_start_all_around_the_goal():
    family = TurnedPoint(TurnedPointConfig(distance=3.0))
    state, observation = family.reset(task(1.0, 0), keys.per_episode(keys.from_int(0), 1, 400))
    np.testing.assert_allclose(np.linalg.norm(state[0], axis=-1), 3, rtol=1e-5)
    np.testing.assert_array_equal(state, observation)
    angles = np.arctan2(state[0, :, 1], state[0, :, 0])
    assert angles.min() < -3 and angles.max() > 3 and abs(angles.mean()) < 0.3


def test_entities_are_within_the_options_and_none_is_in_both_sets():
    family = TurnedPoint(TurnedPointConfig(max_turn=1.0))
    population = family.population(0, 300)
    drawn = population.draw(300, keys.from_int(1))
    for tasks in (population.test, population.train, drawn):
        gain, turn = tasks["gain"].numpy(), tasks["turn"].numpy()
        assert 0.5 <= gain.min() < 0.52 and 1.48 < gain.max() <= 1.5
        angle = np.arctan2(turn[:, 1], turn[:, 0])
        assert -1 <= angle.min() < -0.97 and 0.97 < angle.max() <= 1
        np.testing.assert_allclose(np.linalg.norm(turn, axis=1), 1, rtol=1e-6)
    known = set(drawn["gain"].numpy().tolist()) | set(population.train["gain"].numpy().tolist())
    assert not known & set(population.test["gain"].numpy().tolist())


@pytest.mark.parametrize(
    "options, message",
    [
        ({"max_turn": 4.0}, r"max_turn to be in \[0, pi\]"),
        ({"max_gain": 0.1}, r"max_gain to be at least min_gain=0\.5"),
        ({"max_turn": 0.0, "max_gain": 0.5}, "max_turn to be > 0, or max_gain above min_gain"),
        ({"distance": 0.0}, "distance to be > 0"),
    ],
)
def test_options_that_make_no_family_are_refused(options, message):
    with pytest.raises(ConfigError, match=message):
        TurnedPointConfig(**options)
