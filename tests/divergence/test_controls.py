import numpy as np
import pytest
import scipy.spatial
import tensorflow as tf

from tfcaml.divergence import euclidean, random_distances


def test_euclidean_distances_of_all_leaves_together():
    rng = np.random.default_rng(0)
    nest = {"a": tf.constant(rng.normal(size=(5, 2, 3))), "b": (tf.constant(rng.normal(size=5)),)}
    flat = np.concatenate([np.reshape(x, [5, -1]) for x in tf.nest.flatten(nest)], axis=1)
    expected = scipy.spatial.distance.cdist(flat, flat)
    np.testing.assert_allclose(euclidean(nest), expected, atol=1e-7)


@pytest.mark.parametrize("seed", [0, -7])
def test_random_distances(seed):
    matrix = random_distances(6, seed)
    np.testing.assert_array_equal(matrix, matrix.T)
    assert (np.diag(matrix) == 0).all() and (matrix >= 0).all()
    np.testing.assert_array_equal(matrix, random_distances(6, seed))
    assert np.abs(matrix - random_distances(6, seed + 1)).max() > 0.1


def test_close_rows_far_from_the_origin():
    rows = np.array([[1e4, 1e4], [1e4, 1e4 + 1e-6]])
    np.testing.assert_allclose(euclidean(rows)[0, 1], np.diff(rows[:, 1])[0], rtol=1e-12)
