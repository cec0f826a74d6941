"""K-medoids on a distance matrix, by PAM."""

from __future__ import annotations

import numbers
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from tfcaml.divergence.arrays import distance_matrix, row_labels
from tfcaml.errors import check, checked_call

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

_RESTARTS = 20


class Clustering(NamedTuple):
    """medoids: [k] rows that represent the clusters; labels: [n] cluster of each row; cost: sum of
    distances of the rows to their medoids."""

    medoids: np.ndarray
    labels: np.ndarray
    cost: float


@checked_call
def k_medoids(distances: ArrayLike, k: int, seed: int = 0) -> Clustering:
    """Partitioning around medoids (Kaufman & Rousseeuw 1990): BUILD and random starts, then swaps.

    From every start the best swap of a medoid with another row is made until none lowers the cost;
    the cheapest result is kept. A medoid belongs to its own cluster, so that no cluster is empty,
    also when rows are identical.

    Args:
      distances: [n, n], symmetric, finite and >= 0.
      k: number of clusters, 1 <= k <= n.
      seed: an integer >= 0, Python's or NumPy's, for the random starts.

    Returns:
      `Clustering`.

    Raises:
      ConfigError: a matrix that is not square, symmetric, finite and >= 0, k out of range, or a
        seed that is not an integer >= 0.
    """
    distances = distance_matrix("distances", distances)
    n = len(distances)
    allowed = f"a whole number from 1 to {n}, the number of rows"
    check(isinstance(k, numbers.Integral) and 1 <= k <= n, "k", k, allowed)
    fits = isinstance(seed, numbers.Integral) and seed >= 0
    check(fits, "seed", seed, "an integer >= 0")
    rng = np.random.default_rng([int(seed), 0x3ED])
    starts = [_build(distances, k)]
    starts += [rng.permutation(n)[:k] for _ in range(_RESTARTS)]
    results = [_swap(distances, start) for start in starts]
    medoids = np.sort(min(results, key=lambda m: _cost(distances, m)))
    labels = distances[:, medoids].argmin(axis=1)
    labels[medoids] = np.arange(k)
    return Clustering(medoids, labels, float(_cost(distances, medoids)))


class Agreement(NamedTuple):
    """How well distances show known groups.

    ari: adjusted Rand index (Hubert & Arabie 1985) of K-medoids clusters, as many as groups
    silhouette: of the groups, in [-1, 1]
    nearest_neighbour: share of rows whose nearest other row is of their group
    """

    ari: float
    silhouette: float
    nearest_neighbour: float


@checked_call
def agreement(distances: ArrayLike, groups: ArrayLike, seed: int = 0) -> Agreement:
    """`Agreement` of distances [n, n] with known groups [n]; `seed` is that of `k_medoids`."""
    from sklearn import metrics  # loaded when used: it takes a second

    distances = distance_matrix("distances", distances)
    groups = row_labels("groups", groups, len(distances))
    labels = k_medoids(distances, len(set(groups)), seed).labels
    between = silhouette(distances, groups)
    np.fill_diagonal(distances, np.inf)
    same = groups[distances.argmin(axis=1)] == groups
    return Agreement(
        float(metrics.adjusted_rand_score(groups, labels)), between, float(same.mean())
    )


@checked_call
def spread(distances: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    """Mean and greatest distance of two rows, and the silhouette of their labels, as a dict."""
    distances = distance_matrix("distances", distances)
    pairs = distances[np.triu_indices(len(distances), 1)] if len(distances) > 1 else np.zeros(1)
    return {
        "mean": float(pairs.mean()),
        "max": float(pairs.max()),
        "silhouette": silhouette(distances, labels),
    }


@checked_call
def silhouette(distances: ArrayLike, labels: np.ndarray) -> float:
    """Mean silhouette of a labelling in [-1, 1] (Rousseeuw 1987); nan with one cluster only."""
    distances = distance_matrix("distances", distances)
    labels = row_labels("labels", labels, len(distances))
    np.fill_diagonal(distances, 0)
    if not 2 <= len(set(labels)) < len(distances):
        return float("nan")
    from sklearn import metrics  # loaded when used: it takes a second

    return float(metrics.silhouette_score(distances, labels, metric="precomputed"))


def _cost(distances: np.ndarray, medoids: np.ndarray) -> float:
    return distances[:, medoids].min(axis=1).sum()


def _build(distances: np.ndarray, k: int) -> np.ndarray:
    """Greedy start: each next medoid lowers the cost most."""
    medoids = [int(distances.sum(axis=1).argmin())]
    while len(medoids) < k:
        nearest = distances[:, medoids].min(axis=1)
        cost = np.minimum(nearest[:, None], distances).sum(axis=0)
        cost[medoids] = np.inf
        medoids.append(int(cost.argmin()))
    return np.array(medoids)


def _swap(distances: np.ndarray, medoids: np.ndarray) -> np.ndarray:
    """The best swaps, one after another, until none lowers the cost."""
    medoids = np.array(medoids)
    cost = _cost(distances, medoids)
    while True:
        candidates = []
        for position in range(len(medoids)):
            others = np.delete(medoids, position)
            nearest = distances[:, others].min(axis=1, initial=np.inf)
            swapped = np.minimum(nearest[:, None], distances).sum(axis=0)
            swapped[others] = np.inf
            candidates.append((swapped.min(), position, int(swapped.argmin())))
        best, position, row = min(candidates)
        if best >= cost - 1e-12 * (1 + abs(cost)):
            return medoids
        medoids[position], cost = row, best
