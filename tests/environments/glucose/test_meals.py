"""Days of meals: how often, when, how much."""

import numpy as np
import pytest
import tensorflow as tf
from scipy import stats

from tfcaml import keys
from tfcaml.environments.glucose import meals

NUM = 4000


@pytest.fixture(scope="module")
def days():
    draw = tf.function(meals.day, autograph=False, jit_compile=True)
    time, grams = draw(keys.per_episode(keys.from_int(1), 1, NUM))
    return time.numpy()[0], grams.numpy()[0]


def test_how_often(days):
    share = (days[1] > 0).mean(axis=0)
    # A snack of 10 g, s.d. 5, is rounded to nothing in 3 % of cases.
    expected = np.array([0.95, 0.3, 0.95, 0.3, 0.95, 0.3]) * stats.norm.sf(
        0.5, [45, 10, 70, 10, 80, 10], [10, 5, 10, 5, 10, 5]
    )
    np.testing.assert_allclose(share, expected, atol=4 * 0.5 / np.sqrt(NUM))


def test_when(days):
    first, last = [5, 9, 10, 14, 16, 20], [9, 10, 14, 16, 20, 23]
    middle, spread = [7, 9.5, 12, 15, 18, 21.5], [1, 0.5, 1, 0.5, 1, 0.5]
    for slot, values in enumerate(days[0].T / 60):
        assert values.min() >= first[slot] and values.max() <= last[slot]
        low, high = (np.array([first[slot], last[slot]]) - middle[slot]) / spread[slot]
        expected = stats.truncnorm(low, high, middle[slot], spread[slot])
        # To the minute: a distribution in steps.
        assert stats.kstest(values, expected.cdf).statistic < 1.63 / np.sqrt(NUM) + 1 / 60
    np.testing.assert_array_equal(days[0], np.round(days[0]))


def test_how_much(days):
    grams = days[1]
    assert grams.min() == 0
    np.testing.assert_array_equal(grams, np.round(grams))
    for slot, (mean, spread) in enumerate(zip([45, 10, 70, 10, 80, 10], [10, 5, 10, 5, 10, 5])):
        eaten = grams[grams[:, slot] > 0, slot]
        # Of a normal number above 0.5, rounded to whole grams.
        expected = stats.truncnorm((0.5 - mean) / spread, np.inf, mean, spread)
        error = 4 * spread / np.sqrt(len(eaten))
        assert abs(eaten.mean() - expected.mean()) < error
        assert abs(eaten.std() - expected.std()) < error


def test_meals_are_announced_once_in_their_minute():
    time, grams = tf.constant([[[3.0, 7, 7]]]), tf.constant([[[10.0, 20, 5]]])
    found = meals.announced((time, grams), tf.constant([[2.0]]), 6)
    np.testing.assert_array_equal(found[:, 0, 0], [0, 10, 0, 0, 0, 25])
    assert meals.announced((time, grams), tf.constant([[8.0]]), 6).numpy().sum() == 0


def test_days_do_not_hang_on_their_batch():
    days = [meals.day(keys.per_episode(keys.from_int(1), 2, size)) for size in (2, 5)]
    for few, many in zip(*days):
        np.testing.assert_array_equal(few, many[:, :2])
