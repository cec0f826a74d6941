"""Risk and clinical measures."""

import numpy as np
import pytest
import tensorflow as tf

from tfcaml.environments.glucose import measures, risk, summary
from tfcaml.errors import ConfigError


def test_risk_is_that_of_the_formula():
    glucose = np.array([25.0, 54, 70, 112.5, 140, 180, 250, 400, 599], np.float32)
    expected = 10 * (1.509 * (np.log(glucose.astype(float)) ** 1.084 - 5.381)) ** 2
    np.testing.assert_allclose(risk.risk(tf.constant(glucose)), expected, rtol=1e-3, atol=1e-3)
    low, high = risk.sides(tf.constant(glucose))
    np.testing.assert_array_equal(np.asarray(low) > 0, glucose < 113)
    np.testing.assert_array_equal(np.asarray(low) * np.asarray(high), 0)


def test_risk_at_the_ends():
    found = risk.risk(tf.constant([-3.0, 0, 20, 600, 1e4, np.nan, np.inf]))
    np.testing.assert_array_equal(found, [100, 100, 100, 100, 100, np.nan, 100])


def test_risk_never_falls_away_from_the_middle():
    found = risk.risk(tf.linspace(1.0, 700.0, 2000)).numpy()
    lowest = found.argmin()
    assert (np.diff(found[:lowest]) <= 1e-4).all() and (np.diff(found[lowest:]) >= -1e-4).all()


def test_measures_of_a_known_day():
    glucose = [[40, 54, 69.9, 70, 100, 180, 180.1, 250, 251, 300]]
    found = {name: float(value[0]) for name, value in measures(glucose).items()}
    assert found["time_in_range"] == 0.3
    assert found["time_below_70"] == 0.3 and found["time_below_54"] == 0.1
    assert found["time_above_180"] == 0.4 and found["time_above_250"] == 0.2
    assert found["risk"] == pytest.approx(found["low_risk"] + found["high_risk"])
    assert found["mean_glucose"] == pytest.approx(np.mean(glucose))
    assert measures(np.full([2, 3, 4], 100.0))["time_in_range"].shape == (2, 3)


def test_summary_has_intervals_over_the_first_axis():
    rng = np.random.default_rng(0)
    glucose = rng.uniform(60, 260, [6, 4, 50])
    found = summary(glucose)["time_in_range"]
    rows = ((glucose >= 70) & (glucose <= 180)).mean((1, 2))
    assert found.value == pytest.approx(rows.mean())
    assert found.upper - found.value == pytest.approx(
        2.571 * rows.std(ddof=1) / np.sqrt(6), rel=1e-3
    )


def test_values_that_are_not_finite_are_refused():
    with pytest.raises(ConfigError, match="expected glucose to be finite"):
        measures([[100.0, np.nan]])
