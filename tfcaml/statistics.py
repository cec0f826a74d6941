"""Summaries of repeated runs, with 95 % intervals.

Runs are [S seeds, Q tasks]. The tasks of a seed share a trained learner and are not independent, so
seeds are what is resampled, and what the degrees of freedom count. With fewer than three seeds no
interval is given: its bounds are nan.

How often an interval holds the true value was simulated with 3, 5, 10 and 20 seeds of 3 to 40 tasks
whose values are normal, log-normal, of Student's t with 3 degrees of freedom, or in two clusters
(`tests/test_coverage.py`). It is 0.92 to 0.98, except where a docstring below says less, and of
medians and interquartile means 0.90 to 0.92 with up to five seeds whose effects are log-normal and
as large as those of 20 or more tasks.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import scipy  # whose parts are loaded when used

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

LEAST_SEEDS = 3  # that have an interval
_LEAST_FOR_QUANTILES = 5  # seeds: the range of fewer holds a median too seldom
_LEVEL = 0.975
_BLOCK = 200  # resamples that are held at a time


class Interval(NamedTuple):
    """A value with the bounds of its 95 % interval (nan where there are too few seeds)."""

    value: float
    lower: float
    upper: float


def mean(values: ArrayLike) -> Interval:
    """Mean over seeds of the seeds' means, with Student's t interval.

    It covers 95 % where the seeds' means are normal, and less where they are skewed and few: 0.88
    to 0.93 for log-normal effects of seeds, 0.85 where one seed in five is far from the others
    and none of it may have been seen.

    Args:
      values: [S, Q].

    Returns:
      `Interval`.
    """
    per_seed = np.asarray(values, np.float64).mean(axis=1)
    error = per_seed.std(ddof=1) / np.sqrt(len(per_seed)) if len(per_seed) > 1 else np.nan
    return _student(per_seed.mean(), error, len(per_seed) - 1)


def median(values: ArrayLike, seed: int = 0, resamples: int = 4000) -> Interval:
    """Median of all cells, with an interval over seeds.

    With five or more seeds the interval holds all values m for which Student's t test over seeds
    does not refuse that half of the cells are below m (R. Woodruff, "Confidence intervals for
    medians and other position measures", JASA 47 (1952), with seeds as clusters). Its bounds are
    values of cells, so that cells which are only known to be large may be inf. With three or four
    seeds it is made as that of `interquartile_mean`; where half of the tasks are in each of two
    clusters far apart, it then covers 0.82 to 0.90 only.

    Args:
      values: [S, Q].
      seed: Python int, of the bootstrap.
      resamples: number of bootstrap samples.

    Returns:
      `Interval`.
    """
    values = np.asarray(values, np.float64)
    if len(values) < _LEAST_FOR_QUANTILES:
        return _bootstrap_t(lambda cells: np.median(cells, axis=-1), values, seed, resamples)
    cells = np.unique(values)
    rows = np.sort(values, axis=1)
    below = np.stack([np.searchsorted(row, cells, side="right") for row in rows], axis=1)
    share = below / values.shape[1]  # of each seed's cells that are at most a cell: [cells, S]
    excess = share.mean(axis=1) - 0.5
    allowed = scipy.stats.t.ppf(_LEVEL, len(values) - 1) * share.std(axis=1, ddof=1)
    allowed = allowed / np.sqrt(len(values)) + 1e-12
    first = np.argmax(excess + allowed >= 0)
    last = np.flatnonzero(np.append(-0.5, excess[:-1] - allowed[:-1]) <= 0)[-1]
    return Interval(float(np.median(values)), float(cells[first]), float(cells[last]))


def interquartile_mean(values: ArrayLike, seed: int = 0, resamples: int = 4000) -> Interval:
    """Mean of the middle half of all cells (IQM; Agarwal et al. 2021), with an interval over seeds.

    The interval is Student's t with the standard error from a bootstrap over seeds, times
    sqrt(S / (S - 1)): of the plain mean that is its usual interval. Percentiles of the bootstrap,
    which are common, cover 0.70, 0.84, 0.90 and 0.93 with 3, 5, 10 and 20 seeds.

    Args:
      values: [S, Q].
      seed: Python int, of the bootstrap.
      resamples: number of bootstrap samples.

    Returns:
      `Interval`.
    """

    def middle(cells: np.ndarray) -> np.ndarray:
        cut = cells.shape[-1] // 4
        return np.sort(cells, axis=-1)[..., cut : cells.shape[-1] - cut].mean(axis=-1)

    return _bootstrap_t(middle, np.asarray(values, np.float64), seed, resamples)


def median_ratio(
    values: ArrayLike, others: ArrayLike, seed: int = 0, resamples: int = 4000
) -> Interval:
    """median(values) / median(others), with an interval over the seeds of both at once.

    The interval has percentiles of the bootstrap over seeds as bounds, at levels that are expanded
    for few seeds (T. Hesterberg, "What teachers should know about the bootstrap", The American
    Statistician 69 (2015), section 5.3). It needs five seeds. Cells may be inf, if they are only
    known to be large: bounds are then as far as such cells allow, 0 and inf at most.

    Args:
      values, others: [S, Q], > 0, of the same seeds.
      seed: Python int, of the bootstrap.
      resamples: number of bootstrap samples.

    Returns:
      `Interval`.
    """
    cells = np.stack([values, others], axis=-1).astype(np.float64)

    def ratio(cells: np.ndarray) -> np.ndarray:
        one, other = np.median(cells, axis=-2).T
        with np.errstate(invalid="ignore"):
            return one / other  # nan: of two that are only known to be large

    center = float(ratio(cells.reshape(1, -1, 2))[0])
    if len(cells) < _LEAST_FOR_QUANTILES:
        return Interval(center, float("nan"), float("nan"))
    draws = _resampled(ratio, cells, seed, resamples)
    low, high = np.where(np.isnan(draws), 0, draws), np.where(np.isnan(draws), np.inf, draws)
    expanded = scipy.stats.t.ppf(_LEVEL, len(cells) - 1) * np.sqrt(len(cells) / (len(cells) - 1))
    rank = int(scipy.stats.norm.cdf(-expanded) * (resamples - 1))
    return Interval(center, float(np.sort(low)[rank]), float(np.sort(high)[-1 - rank]))


class Paired(NamedTuple):
    """Difference of two methods over the same seeds and tasks.

    `p_value` is of Student's t test that the difference is 0, two-sided (nan: too few seeds).
    """

    difference: Interval
    seeds_won: int
    num_seeds: int
    p_value: float


def paired(values: ArrayLike, others: ArrayLike) -> Paired:
    """values - others, seed by seed: [S, Q], [S, Q] -> `Paired`; the interval is that of `mean`."""
    difference = np.asarray(values, np.float64) - np.asarray(others, np.float64)
    per_seed = difference.mean(axis=1)
    found = mean(difference)
    p_value = _p_value(found, len(per_seed) - 1)
    return Paired(found, int((per_seed > 0).sum()), len(per_seed), p_value)


class PairedEntities(NamedTuple):
    """Difference of two methods over the entities of one cohort that was split several times.

    `entities_won` counts the entities whose mean difference is positive.
    """

    difference: Interval
    entities_won: int
    num_entities: int
    p_value: float


def paired_entities(
    values: ArrayLike, others: ArrayLike, entities: Sequence[Sequence[Any]]
) -> PairedEntities:
    """values - others, over entities that several seeds may have held out.

    Each entity counts once, by its mean over the seeds that held it out; `difference` is the mean
    over entities. Entities in a seed share a learner, and seeds share entities, so that the
    variance is that of both clusterings less that of single cells (C. Cameron, J. Gelbach and
    D. Miller, "Robust inference with multiway clustering", Journal of Business & Economic
    Statistics 29 (2011)), at least that of either, with Satterthwaite's degrees of freedom. An
    interval over seeds alone, as of `paired`, covers less the more seeds draw on one cohort: 0.83
    with 5 and 0.53 with 20 seeds that hold out 9 of 30 entities, if entities are what differs.

    Args:
      values, others: [S, Q].
      entities: [S, Q], names or numbers; the same name is the same entity.

    Returns:
      `PairedEntities`.
    """
    difference = np.asarray(values, np.float64) - np.asarray(others, np.float64)
    names, index = np.unique(entities, return_inverse=True)
    index = np.reshape(index, difference.shape)
    times = np.bincount(index.ravel())
    per_entity = np.bincount(index.ravel(), difference.ravel()) / times
    center, won = float(per_entity.mean()), int((per_entity > 0).sum())
    num_seeds, num_entities = len(difference), len(names)
    if min(num_seeds, num_entities) < LEAST_SEEDS:
        found = Interval(center, float("nan"), float("nan"))
        return PairedEntities(found, won, num_entities, float("nan"))
    parts = (difference - center) / (num_entities * times[index])  # sum to 0
    variance = lambda sums: np.sum(sums**2) * np.size(sums) / (np.size(sums) - 1)
    of_entities = variance(np.bincount(index.ravel(), parts.ravel()))
    of_seeds = variance(parts.sum(axis=1))
    total = max(of_entities + of_seeds - variance(parts), of_entities, of_seeds)
    spread = of_entities**2 / (num_entities - 1) + of_seeds**2 / (num_seeds - 1)
    freedom = max(total**2 / spread if spread else 0, min(num_seeds, num_entities) - 1)
    found = _student(center, np.sqrt(total), freedom)
    return PairedEntities(found, won, num_entities, _p_value(found, freedom))


def holm(p_values: ArrayLike) -> np.ndarray:
    """Adjusts the p values of many comparisons (S. Holm, Scandinavian J. of Statistics 6 (1979)).

    Those that stay below 0.05 are different from 0, all of them, with 95 % confidence.

    Args:
      p_values: [n]; nan stays nan and is not counted.

    Returns:
      float64 [n].
    """
    p_values = np.asarray(p_values, np.float64)
    adjusted = np.full_like(p_values, np.nan)
    order = np.argsort(p_values)[: np.sum(~np.isnan(p_values))]  # nan is last
    factors = np.arange(len(order), 0, -1)
    adjusted[order] = np.minimum(np.maximum.accumulate(factors * p_values[order]), 1)
    return adjusted


def _student(center: float, error: float, freedom: float) -> Interval:
    """Student's t interval, without bounds where there are too few seeds."""
    if freedom < LEAST_SEEDS - 1 or not np.isfinite(error):
        return Interval(float(center), float("nan"), float("nan"))
    half = scipy.stats.t.ppf(_LEVEL, freedom) * error
    return Interval(float(center), float(center - half), float(center + half))


def _p_value(interval: Interval, freedom: float) -> float:
    """Of the hypothesis that the value is 0, by an interval of `_student`."""
    if np.isnan(interval.lower):
        return float("nan")
    if interval.upper == interval.lower:
        return float(interval.value == 0)
    half = (interval.upper - interval.lower) / 2
    statistic = abs(interval.value) / half * scipy.stats.t.ppf(_LEVEL, freedom)
    return float(2 * scipy.stats.t.sf(statistic, freedom))


def _bootstrap_t(
    statistic: Callable[[np.ndarray], np.ndarray], values: np.ndarray, seed: int, resamples: int
) -> Interval:
    """statistic: (cells [R, M]) -> [R]; values: [S, Q] -> `Interval`."""
    center = float(statistic(values.reshape(1, -1))[0])
    if len(values) < LEAST_SEEDS:
        return Interval(center, float("nan"), float("nan"))
    with np.errstate(invalid="ignore"):  # cells that are inf have no error
        spread = np.std(_resampled(statistic, values, seed, resamples))
    return _student(center, spread * np.sqrt(len(values) / (len(values) - 1)), len(values) - 1)


def _resampled(
    statistic: Callable[[np.ndarray], np.ndarray], values: np.ndarray, seed: int, resamples: int
) -> np.ndarray:
    """statistic: (cells [R, M, ...]) -> [R]; values: [S, Q, ...] -> [resamples], of drawn seeds."""
    rng = np.random.default_rng([seed, 0xB007])
    rows = rng.integers(len(values), size=[resamples, len(values)])
    blocks = np.split(rows, range(_BLOCK, resamples, _BLOCK))
    return np.concatenate(
        [statistic(values[chosen].reshape(len(chosen), -1, *values.shape[2:])) for chosen in blocks]
    )
