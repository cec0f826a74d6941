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


@pytest.mark.parametrize("num_seeds", [3, 8])
@pytest.mark.parametrize("summary", [statistics.median, statistics.interquartile_mean])
def test_interval_holds_its_value_and_repeats(summary, num_seeds):
    values = _values(num_seeds)
    first, second = summary(values), summary(values)
    assert first == second
    assert first.lower < first.value < first.upper


def test_interval_of_middle_half_is_students_where_nothing_is_dropped():
    values = _values(8, 3)[:3, :1]  # a quarter of three is none
    found, expected = statistics.interquartile_mean(values), statistics.mean(values)
    np.testing.assert_allclose(found, expected, rtol=0.05)  # but for resampling


def test_interval_of_median_is_what_a_t_test_over_seeds_does_not_refuse():
    values = _values(9, 5)
    found = statistics.median(values)
    step = 1e-3
    candidates = np.arange(values.min() + step / 2, values.max(), step)
    shares = (values[None] <= candidates[:, None, None]).mean(axis=2)  # [candidates, S]
    kept = candidates[stats.ttest_1samp(shares, 0.5, axis=1).pvalue >= 0.05]
    np.testing.assert_allclose(found[1:], [kept.min(), kept.max()], atol=2 * step)
    assert found.value == np.median(values)


def test_interval_of_median_follows_its_values():
    """A change of scale that keeps the order changes the bounds alike; unknown ones stay so."""
    values = _values(9, 5)
    found, scaled = statistics.median(values), statistics.median(np.exp(values))
    np.testing.assert_allclose(np.exp(found[1:]), scaled[1:])
    cut = np.where(values > found.value, np.inf, values)
    assert statistics.median(cut)[1:] == (found.lower, np.inf)
    assert statistics.median(np.full([6, 2], 4.0)) == (4, 4, 4)


def test_median_ratio_is_bootstrapped_over_seeds_of_both_at_once():
    values = np.exp(_values())
    result = statistics.median_ratio(3 * values, values)
    np.testing.assert_allclose(result, 3)  # as large in every resample of seeds
    other = values[::-1]
    result = statistics.median_ratio(values + 1, other)
    assert result.value == pytest.approx(np.median(values + 1) / np.median(values))
    assert result.lower < result.value < result.upper


def test_median_ratio_reaches_as_far_as_unknown_values_allow():
    known = np.full([6, 3], 6.0)
    unknown = np.array(3 * [3 * [12.0]] + 3 * [3 * [np.inf]])
    assert statistics.median_ratio(known, unknown)[1:] == (0, 0.5)
    assert statistics.median_ratio(unknown, known)[1:] == (2, np.inf)
    assert statistics.median_ratio(unknown, unknown)[1:] == (0, np.inf)


def test_two_seeds_have_no_interval():
    for summary in (statistics.mean, statistics.median, statistics.interquartile_mean):
        for values in ([[1.0, 3.0]], [[1.0, 3.0], [2.0, 2.0]]):
            result = summary(values)
            assert result.value == 2
            assert np.isnan(result.lower) and np.isnan(result.upper)
    assert np.isnan(statistics.median_ratio(_values(4) + 9, _values(4) + 9).lower)
    assert np.isnan(statistics.paired(_values(2), 0).p_value)
    found = statistics.paired_entities(_values(2), 0 * _values(2), np.arange(6).reshape(2, 3))
    assert np.isnan(found.difference.lower) and np.isnan(found.p_value)


def test_paired_compares_seed_by_seed():
    values = _values()
    result = statistics.paired(values + 0.5, values)
    np.testing.assert_allclose(result.difference, [0.5, 0.5, 0.5])
    assert (result.seeds_won, result.num_seeds) == (8, 8)
    other = values + np.random.default_rng(1).normal(size=values.shape)
    expected = stats.ttest_1samp((values - other).mean(axis=1), 0).pvalue
    assert statistics.paired(values, other).p_value == pytest.approx(expected)
    assert statistics.paired(values, values).p_value == 1


def test_entities_count_once_however_often_they_are_held_out():
    entities = np.array([["a", "b"], ["a", "c"], ["a", "d"]])
    values = np.array([[1.0, 4.0], [2.0, 6.0], [6.0, -1.0]])  # a: 3 on average
    found = statistics.paired_entities(values, np.zeros([3, 2]), entities)
    assert found.difference.value == pytest.approx((3 + 4 + 6 - 1) / 4)
    assert (found.entities_won, found.num_entities) == (3, 4)


def test_variance_of_entities_is_that_of_both_clusterings():
    rng = np.random.default_rng(0)
    entities = np.stack([rng.permutation(12)[:5] for _ in range(6)])
    values = rng.normal(size=[6, 5]) + rng.normal(size=12)[entities] + rng.normal(size=[6, 1])
    found = statistics.paired_entities(values, 0 * values, entities).difference
    names = np.unique(entities)
    center = np.mean([values[entities == name].mean() for name in names])
    part = {  # what each cell adds to the mean over entities, less the mean
        (s, q): (values[s, q] - center) / (len(names) * np.sum(entities == entities[s, q]))
        for s in range(6)
        for q in range(5)
    }
    scatter = lambda groups: (
        sum(sum(part[cell] for cell in group) ** 2 for group in groups)
        * (len(groups) / (len(groups) - 1))
    )
    of_entities = scatter([[c for c in part if entities[c] == name] for name in names])
    of_seeds = scatter([[c for c in part if c[0] == s] for s in range(6)])
    variance = of_entities + of_seeds - scatter([[c] for c in part])
    assert variance > max(of_entities, of_seeds)
    freedom = variance**2 / (of_entities**2 / (len(names) - 1) + of_seeds**2 / 5)
    half = stats.t.ppf(0.975, freedom) * np.sqrt(variance)
    np.testing.assert_allclose(found, [center, center - half, center + half])


def test_holm_multiplies_by_what_is_left_to_compare():
    found = statistics.holm([0.01, 0.04, np.nan, 0.03, 0.6])
    np.testing.assert_allclose(found, [0.04, 0.09, np.nan, 0.09, 0.6])
    np.testing.assert_allclose(statistics.holm([0.6, 0.7]), [1, 1])
