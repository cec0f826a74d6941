"""The interquartile mean, by sorting."""

import numpy as np
import pytest

from tfcaml import statistics


@pytest.mark.parametrize("shape", [(5, 4), (4, 10)])
def test_interquartile_mean_is_that_of_the_middle_half(shape):
    values = np.random.default_rng(0).lognormal(size=shape)
    ordered = np.sort(values, axis=None)
    quarter = len(ordered) // 4
    expected = ordered[quarter:-quarter].mean()
    np.testing.assert_allclose(statistics.interquartile_mean(values).value, expected, rtol=1e-12)
