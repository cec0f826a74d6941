"""How often the 95 % intervals hold the true value, by simulation.

Values are those of a seed (its effect) plus those of its tasks. What is true is the value for very
many seeds, found once with 400,000 of them.
"""

import functools

import numpy as np
import pytest
from scipy import stats

from tfcaml import statistics

NUM_SEEDS = (3, 5, 10, 20)
LEAST, MOST = 0.92, 0.98
ON_AVERAGE = 0.935, 0.975  # over the cases, which has a fraction of the noise
TIMES = {3: 600, 5: 500, 10: 400, 20: 300}
RESAMPLES = 150  # for a standard error

CASES = {  # name -> (effects of seeds, of tasks, scale of the seeds' effects, tasks)
    "normal, 3 tasks": ("normal", "normal", 0.5, 3),
    "normal, 20 tasks": ("normal", "normal", 1.0, 20),
    "skewed tasks": ("normal", "lognormal", 0.5, 6),
    "skewed": ("lognormal", "lognormal", 0.3, 6),
    "heavy tails": ("t3", "t3", 0.5, 6),
    "two clusters of tasks": ("normal", "clusters", 1.0, 6),
}


def _draw(rng, shape, kind):
    if kind == "lognormal":
        return np.exp(0.75 * rng.normal(size=shape)) - np.exp(0.75**2 / 2)
    if kind == "t3":
        return rng.standard_t(3, size=shape) / np.sqrt(3)
    if kind == "clusters":
        return rng.choice([-1, 1], size=shape) + 0.3 * rng.normal(size=shape)
    if kind == "few far":
        return np.where(rng.random(shape) < 0.2, -3, 0) + 0.5 * rng.normal(size=shape)
    return rng.normal(size=shape)


def _values(rng, times, num_seeds, seeds, tasks, scale, num_tasks):
    """[times, S, Q]."""
    effects = scale * _draw(rng, [times, num_seeds, 1], seeds)
    return effects + _draw(rng, [times, num_seeds, num_tasks], tasks)


@functools.cache
def _true(statistic, seeds, tasks, scale):
    cells = _values(np.random.default_rng(1), 400_000, 1, seeds, tasks, scale, 1)
    return statistic(cells.ravel())


def _interquartile_mean(cells):
    return stats.trim_mean(cells, 0.25)


def _coverage(interval, statistic, case, num_seeds, times=None):
    """(share of intervals that hold the true value, its standard error if it is 0.95)."""
    times = times or TIMES[num_seeds]
    values = _values(np.random.default_rng(0), times, num_seeds, *case)
    true = _true(statistic, *case[:3])
    found = [interval(x) for x in values]
    held = np.mean([x.lower <= true <= x.upper for x in found])
    return held, np.sqrt(0.95 * 0.05 / times)


def _assert_covers(interval, statistic, num_seeds):
    shares = {}
    for name, case in CASES.items():
        shares[name], error = _coverage(interval, statistic, case, num_seeds)
        assert LEAST - 2 * error <= shares[name] <= MOST + 2 * error, shares
    assert ON_AVERAGE[0] <= np.mean(list(shares.values())) <= ON_AVERAGE[1], shares


def _median(values):
    return statistics.median(values, resamples=RESAMPLES)


def _iqm(values):
    return statistics.interquartile_mean(values, resamples=RESAMPLES)


@pytest.mark.slow
@pytest.mark.parametrize("num_seeds", NUM_SEEDS)
def test_mean(num_seeds):
    _assert_covers(statistics.mean, np.mean, num_seeds)


@pytest.mark.slow
@pytest.mark.parametrize("num_seeds", NUM_SEEDS)
def test_median(num_seeds):
    _assert_covers(_median, np.median, num_seeds)


@pytest.mark.slow
@pytest.mark.parametrize("num_seeds", NUM_SEEDS)
def test_interquartile_mean(num_seeds):
    _assert_covers(_iqm, _interquartile_mean, num_seeds)


@pytest.mark.slow
@pytest.mark.parametrize("num_seeds", NUM_SEEDS[:3])
def test_percentiles_of_the_bootstrap_would_not_pass(num_seeds):
    def percentiles(values):
        rows = np.random.default_rng(0).integers(len(values), size=[RESAMPLES, len(values)])
        draws = np.median(values[rows].reshape(RESAMPLES, -1), axis=1)
        return statistics.Interval(np.median(values), *np.percentile(draws, [2.5, 97.5]))

    with pytest.raises(AssertionError):
        _assert_covers(percentiles, np.median, num_seeds)


@pytest.mark.slow
def test_what_is_said_where_means_and_medians_cover_less():
    rare = ("few far", "normal", 1.0, 6)
    held, _ = _coverage(statistics.mean, np.mean, rare, 5, times=2000)
    assert 0.83 <= held <= 0.92
    skewed = ("lognormal", "lognormal", 1.0, 20)
    held, _ = _coverage(statistics.mean, np.mean, skewed, 5, times=2000)
    assert 0.85 <= held <= 0.92
    held, _ = _coverage(_median, np.median, skewed, 5, times=1000)
    assert 0.89 <= held <= 0.93
    held, _ = _coverage(_iqm, _interquartile_mean, skewed, 5, times=600)
    assert 0.88 <= held <= 0.93
    apart = ("normal", "clusters", 0.0, 3)
    held, _ = _coverage(_median, np.median, apart, 3)
    assert 0.79 <= held <= 0.9
    held, error = _coverage(_median, np.median, apart, 5)  # no longer
    assert LEAST - 2 * error <= held <= MOST + 2 * error


@pytest.mark.slow
@pytest.mark.parametrize("num_seeds", NUM_SEEDS[1:])
def test_median_ratio(num_seeds):
    for seeds, tasks in (("normal", "normal"), ("lognormal", "t3")):
        rng, times = np.random.default_rng(0), 250
        one, other = (
            np.exp(_values(rng, times, num_seeds, seeds, tasks, 0.5, 6)) for _ in range(2)
        )
        found = [statistics.median_ratio(x, y, resamples=1000) for x, y in zip(one, other)]
        held = np.mean([x.lower <= 1 <= x.upper for x in found])
        assert LEAST - 0.02 <= held <= MOST + 0.02


@pytest.mark.parametrize("num_seeds", NUM_SEEDS)
def test_paired_differences(num_seeds):
    rng, times = np.random.default_rng(0), 1500
    shared = rng.normal(size=[times, num_seeds, 6])
    one, other = (shared + _draw(rng, shared.shape, kind) for kind in ("normal", "t3"))
    found = [statistics.paired(x, y).difference for x, y in zip(one, other)]
    held = np.mean([x.lower <= 0 <= x.upper for x in found])
    assert LEAST <= held <= MOST


@pytest.mark.parametrize("num_seeds", NUM_SEEDS)
@pytest.mark.parametrize("of_seeds, of_entities", [(0.0, 1.0), (0.5, 0.5), (1.0, 0.5)])
def test_paired_entities_cover_for_new_entities_and_new_seeds(num_seeds, of_seeds, of_entities):
    rng, times, cohort, held_out = np.random.default_rng(0), 500, 30, 9
    covered, over_seeds = 0, 0
    for _ in range(times):
        entities = np.stack([rng.permutation(cohort)[:held_out] for _ in range(num_seeds)])
        values = of_entities * rng.normal(size=cohort)[entities]
        values += of_seeds * rng.normal(size=[num_seeds, 1])
        values += 0.5 * rng.normal(size=values.shape)
        found = statistics.paired_entities(values, 0 * values, entities).difference
        covered += found.lower <= 0 <= found.upper
        found = statistics.mean(values)
        over_seeds += found.lower <= 0 <= found.upper
    error = np.sqrt(0.95 * 0.05 / times)
    assert LEAST - 2 * error <= covered / times <= MOST + 2 * error
    if of_seeds == 0 and num_seeds >= 5:  # seeds draw on one cohort: they know only its entities
        assert over_seeds / times < 0.88


@pytest.mark.parametrize("num_episodes", [10, 20, 40])
def test_tasks_over_episodes(num_episodes):
    rng, times = np.random.default_rng(0), 1500
    for kind in ("normal", "t3", "clusters"):
        found = [statistics.mean(x[:, None]) for x in _draw(rng, [times, num_episodes], kind)]
        held = np.mean([x.lower <= 0 <= x.upper for x in found])
        assert LEAST <= held <= MOST
