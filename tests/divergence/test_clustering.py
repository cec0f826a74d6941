import itertools

import numpy as np
import pytest
import sklearn.metrics
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from tfcaml.divergence import agreement, k_medoids, silhouette
from tfcaml.errors import ConfigError


def exhaustive(distances, k):
    """The least cost over every choice of k medoids."""
    choices = itertools.combinations(range(len(distances)), k)
    return min(distances[:, list(chosen)].min(axis=1).sum() for chosen in choices)


def check_consistent(distances, k, clustering):
    medoids, labels, cost = clustering
    assert len(set(medoids)) == k and labels.shape == (len(distances),)
    assert set(labels) == set(range(k))  # no empty cluster
    np.testing.assert_array_equal(labels[medoids], np.arange(k))
    np.testing.assert_allclose(distances[np.arange(len(labels)), medoids[labels]].sum(), cost)


@st.composite
def instances(draw):
    n = draw(st.integers(1, 10))
    numbers = st.floats(0, 100) | st.integers(0, 3).map(float)  # with ties
    upper = draw(hnp.arrays(np.float64, (n, n), elements=numbers))
    distances = np.triu(upper, 1)
    return distances + distances.T, draw(st.integers(1, min(n, 3)))


@given(instances())
def test_it_finds_the_optimum(instance):
    distances, k = instance
    clustering = k_medoids(distances, k)
    check_consistent(distances, k, clustering)
    np.testing.assert_allclose(clustering.cost, exhaustive(distances, k), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("metric", [True, False])
def test_it_finds_the_optimum_of_every_seeded_instance(metric):
    rng = np.random.default_rng(0)
    for _ in range(150):
        n = int(rng.integers(3, 11))
        k = int(rng.integers(1, 4))
        if metric:
            points = rng.normal(size=(n, 2))
            distances = np.linalg.norm(points[:, None] - points[None], axis=-1)
        else:
            distances = np.triu(rng.uniform(size=(n, n)), 1)
            distances += distances.T
        clustering = k_medoids(distances, k)
        np.testing.assert_allclose(clustering.cost, exhaustive(distances, k), rtol=1e-9)


def test_separated_groups_are_found():
    rng = np.random.default_rng(1)
    group = np.repeat(np.arange(4), 6)
    points = 10 * np.array([[0, 0], [0, 1], [1, 0], [1, 1]])[group] + rng.normal(size=(24, 2))
    distances = np.linalg.norm(points[:, None] - points[None], axis=-1)
    clustering = k_medoids(distances, 4, seed=3)
    check_consistent(distances, 4, clustering)
    assert sklearn.metrics.adjusted_rand_score(group, clustering.labels) == 1


@pytest.mark.parametrize("k", [1, 3, 5])
def test_duplicates_leave_no_cluster_empty(k):
    distances = np.zeros([5, 5])
    check_consistent(distances, k, k_medoids(distances, k))
    twins = np.ones([6, 6]) - np.kron(np.eye(2), np.ones([3, 3]))
    check_consistent(twins, k, k_medoids(twins, k))


def test_every_row_its_own_cluster():
    distances = 1 - np.eye(4)
    clustering = k_medoids(distances, 4)
    assert clustering.cost == 0
    np.testing.assert_array_equal(clustering.medoids, np.arange(4))


def test_same_seed_same_clusters():
    rng = np.random.default_rng(2)
    distances = np.triu(rng.integers(1, 3, (12, 12)), 1).astype(float)
    distances += distances.T
    first, second = k_medoids(distances, 3, seed=5), k_medoids(distances, 3, seed=5)
    np.testing.assert_array_equal(first.medoids, second.medoids)
    np.testing.assert_array_equal(first.labels, second.labels)


@pytest.mark.parametrize(
    ("distances", "k", "message"),
    [
        (np.zeros([2, 3]), 1, r"\[n, n\]; received shape \(2, 3\)"),
        (np.zeros(4), 1, r"received shape \(4,\)"),
        ([[0, -1], [-1, 0]], 1, "finite and >= 0"),
        ([[0, np.nan], [np.nan, 0]], 1, "finite and >= 0"),
        ([[0, np.inf], [np.inf, 0]], 1, "finite and >= 0"),
        ([[0, 1], [2, 0]], 1, "symmetric"),
        (np.zeros([3, 3]), 0, "k to be .* 1 to 3, .* received k=0"),
        (np.zeros([3, 3]), 4, "k to be .* 1 to 3, .* received k=4"),
    ],
)
def test_errors(distances, k, message):
    with pytest.raises(ConfigError, match=message):
        k_medoids(distances, k)


def test_silhouette_is_that_of_scikit_learn():
    rng = np.random.default_rng(3)
    points = rng.normal(size=(20, 3))
    distances = np.linalg.norm(points[:, None] - points[None], axis=-1)
    for k in (2, 5):
        labels = rng.permutation(np.arange(20) % k)
        expected = sklearn.metrics.silhouette_score(points, labels)
        np.testing.assert_allclose(silhouette(distances, labels), expected)


def test_silhouette_needs_two_clusters_and_fewer_than_rows():
    distances = 1 - np.eye(3)
    assert np.isnan(silhouette(distances, [0, 0, 0]))
    assert np.isnan(silhouette(distances, [0, 1, 2]))
    before = np.full([3, 3], 2.0)  # a diagonal of rounding errors is no hindrance, and is kept
    silhouette(before, [0, 0, 1])
    np.testing.assert_array_equal(before, 2)


def test_agreement_of_groups_far_apart_is_one():
    points = np.repeat([0.0, 10.0, 20.0], 4) + np.tile(np.arange(4) * 0.1, 3)
    found = agreement(np.abs(points[:, None] - points), np.repeat([2, 0, 1], 4))
    assert found.ari == 1 and found.nearest_neighbour == 1 and found.silhouette > 0.9


def test_agreement_of_groups_that_distances_do_not_show():
    points = np.tile(np.arange(4) * 10.0, 3) + np.repeat([0, 0.1, 0.2], 4)
    found = agreement(np.abs(points[:, None] - points), np.repeat([0, 1, 2], 4))
    assert found.ari < 0.2 and found.nearest_neighbour == 0 and found.silhouette < 0


def test_seeds_are_integers_of_any_kind_but_not_negative():
    distances = 1 - np.eye(5)
    first = k_medoids(distances, 2, seed=3)
    np.testing.assert_array_equal(k_medoids(distances, 2, seed=np.int8(3)).labels, first.labels)
    for seed in (-1, np.int64(-1), 0.5):
        with pytest.raises(ConfigError, match=r"seed to be an integer >= 0; received seed="):
            k_medoids(distances, 2, seed=seed)
    with pytest.raises(ConfigError, match="received seed=-2"):
        agreement(distances, [0, 0, 1, 1, 1], seed=-2)
