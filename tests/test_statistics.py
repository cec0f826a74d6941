import numpy as np
import pytest
from scipy import stats

from tfcaml import statistics


def _values(num_seeds=8, num_tasks=3):
    return np.random.default_rng(0).normal(size=[num_seeds, num_tasks])


def test_mean_is_students_t_over_seeds():
    values = _values()
    result = statistics.mean(values)
    expected = stats.ttest_1samp(values.mean(axis=1), 0).confidence_interval(0.95)
    np.testing.assert_allclose(result, [values.mean(), expected.low, expected.high])


def test_interquartile_mean_drops_the_outer_quarters():
    values = np.arange(8.0).reshape(8, 1)
    assert statistics.interquartile_mean(values).value == np.mean([2, 3, 4, 5])


@pytest.mark.parametrize("summary", [statistics.median, statistics.interquartile_mean])
def test_bootstrap_interval_holds_its_value_and_repeats(summary):
    first, second = summary(_values()), summary(_values())
    assert first == second
    assert first.lower <= first.value <= first.upper


def test_median_ratio_is_bootstrapped_over_seeds_of_both_at_once():
    values = np.exp(_values())
    result = statistics.median_ratio(3 * values, values)
    np.testing.assert_allclose(result, 3)  # as large in every resample of seeds
    other = values[::-1]
    result = statistics.median_ratio(values + 1, other)
    assert result.value == pytest.approx(np.median(values + 1) / np.median(values))
    assert result.lower < result.value < result.upper


def test_bootstrap_interval_covers_the_truth_about_as_often_as_it_says():
    rng = np.random.default_rng(1)
    intervals = [statistics.median(rng.normal(size=[12, 3])) for _ in range(60)]
    covered = np.mean([i.lower <= 0 <= i.upper for i in intervals])
    assert covered >= 0.8


def test_a_single_seed_has_no_interval():
    result = statistics.mean([[1.0, 3.0]])
    assert result.value == 2
    assert np.isnan(result.lower) and np.isnan(result.upper)


def test_paired_compares_seed_by_seed():
    values = _values()
    result = statistics.paired(values + 0.5, values)
    np.testing.assert_allclose(result.difference, [0.5, 0.5, 0.5])
    assert (result.seeds_won, result.num_seeds) == (8, 8)
