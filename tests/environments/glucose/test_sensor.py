"""The sensor's noise against its own formulae."""

import numpy as np
import pytest
import tensorflow as tf

from tfcaml import keys
from tfcaml.environments.glucose import sensor

DAY, NUM = 1440, 500


@pytest.fixture(scope="module")
def errors():
    draw = tf.function(lambda key: sensor.noise(key, DAY, 5), autograph=False)
    return draw(keys.per_episode(keys.from_int(2), 1, NUM))[0].numpy()


def test_spread_and_skew(errors):
    """The process has variance 0.7^2 / (1 - 0.7^2); sinh of a normal number has known moments."""
    gamma, scale, delta, offset = -0.5444, 15.9574, 1.6898, -5.47
    variance = 0.49 / 0.51 / delta**2
    shift = -gamma / delta
    mean = np.exp(variance / 2) * np.sinh(shift)
    square = (np.exp(2 * variance) * np.cosh(2 * shift) - 1) / 2
    knots = errors[:, 30::3]  # every 15 minutes, after the start has been forgotten
    assert knots.mean() == pytest.approx(offset + scale * mean, abs=0.4)
    assert knots.std() == pytest.approx(scale * np.sqrt(square - mean**2), rel=0.05)


def test_memory(errors):
    """Undone, Johnson's transform leaves a process whose neighbours correlate by 0.7."""
    process = -0.5444 + 1.6898 * np.arcsinh((errors[:, ::3] + 5.47) / 15.9574)
    now, before = process[:, 11:].ravel(), process[:, 10:-1].ravel()
    assert np.corrcoef(now, before)[0, 1] == pytest.approx(0.7, abs=0.02)
    steps = (process[:, 1:] / 0.7 - process[:, :-1]).ravel()  # the numbers it is made of
    assert steps.mean() == pytest.approx(0, abs=0.02) and steps.std() == pytest.approx(1, abs=0.02)


def test_between_the_process_s_values_it_is_smooth(errors):
    assert errors.shape == (NUM, DAY // 5 + 1)
    curvature = np.abs(np.diff(errors, 2, axis=1))
    assert np.median(curvature) < 0.5 * np.abs(np.diff(errors[:, ::3], axis=1)).mean()
    often = sensor.noise(keys.per_episode(keys.from_int(2), 1, 2), DAY, 3)[0].numpy()
    np.testing.assert_allclose(often[:, ::5], errors[:2, ::3], rtol=1e-3, atol=1e-3)


def test_range():
    found = sensor.read(tf.constant([20.0, 100, 900, np.nan]), tf.constant([0.0, -5, 0, 0]))
    np.testing.assert_array_equal(found, [39, 95, 600, np.nan])
