"""Summaries of repeated runs, with intervals.

Runs are [S seeds, Q tasks]. The tasks of a seed share a trained learner and are not independent, so
seeds are what is resampled, and what the degrees of freedom count.
"""

from typing import NamedTuple

import numpy as np
from scipy import stats

_RESAMPLES = 4000
_BLOCKS = 20  # of resamples that are held at a time


class Interval(NamedTuple):
    """A value with the bounds of its 95 % interval (nan with a single seed)."""

    value: float
    lower: float
    upper: float


def mean(values):
    """Mean over seeds of the seeds' means, with Student's t interval. values: [S, Q]."""
    per_seed = np.asarray(values, np.float64).mean(axis=1)
    center = per_seed.mean()
    if len(per_seed) < 2:
        return Interval(float(center), float("nan"), float("nan"))
    error = per_seed.std(ddof=1) / np.sqrt(len(per_seed))
    half = stats.t.ppf(0.975, len(per_seed) - 1) * error
    return Interval(float(center), float(center - half), float(center + half))


def median(values, seed=0):
    """Median of all cells, with a percentile bootstrap interval over seeds. values: [S, Q]."""
    return _bootstrap(lambda cells: np.median(cells, axis=-1), values, seed)


def median_ratio(values, others, seed=0):
    """median(values) / median(others), bootstrapped over the seeds of both at once.

    values, others: [S, Q], > 0, of the same seeds.
    """

    def ratio(cells):
        one, other = np.median(cells.reshape(len(cells), -1, 2), axis=1).T
        return one / other

    return _bootstrap(ratio, np.stack([values, others], axis=-1), seed)


def interquartile_mean(values, seed=0):
    """Mean of the middle half of all cells (IQM; Agarwal et al. 2021), bootstrapped likewise."""
    return _bootstrap(lambda cells: stats.trim_mean(cells, 0.25, axis=-1), values, seed)


class Paired(NamedTuple):
    """Difference of two methods over the same seeds and tasks."""

    difference: Interval
    seeds_won: int
    num_seeds: int


def paired(values, others):
    """values - others, seed by seed: [S, Q], [S, Q] -> `Paired`."""
    difference = np.asarray(values, np.float64) - np.asarray(others, np.float64)
    won = int((difference.mean(axis=1) > 0).sum())
    return Paired(mean(difference), won, len(difference))


def _bootstrap(statistic, values, seed):
    """statistic: (cells [R, M]) -> [R]; values: [S, Q, ...]."""
    values = np.asarray(values, np.float64)
    center = float(statistic(values.reshape(1, -1))[0])
    if len(values) < 2:
        return Interval(center, float("nan"), float("nan"))
    rng = np.random.default_rng([seed, 0xB007])
    rows = rng.integers(len(values), size=[_RESAMPLES, len(values)])
    blocks = np.split(rows, _BLOCKS)
    draws = [statistic(values[chosen].reshape(len(chosen), -1)) for chosen in blocks]
    lower, upper = np.percentile(np.concatenate(draws), [2.5, 97.5])
    return Interval(center, float(lower), float(upper))
