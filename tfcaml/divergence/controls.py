"""Distances that know nothing of behaviour: what a divergence has to beat."""

import numpy as np
import scipy  # whose parts are loaded when used
import tensorflow as tf

from tfcaml.divergence.arrays import float_tensors
from tfcaml.errors import check, check_whole, checked_call
from tfcaml.types import Nest


@checked_call
def euclidean(rows: Nest) -> np.ndarray:
    """Euclidean distances between the rows of a nest of [N, ...] (weights, tasks): [N, N]."""
    leaves = [float_tensors(1, rows=x)[0] for x in tf.nest.flatten(rows)]
    sizes = [x.shape[0] for x in leaves]
    check(len(set(sizes)) == 1, "the numbers of rows", sizes, "the same in every leaf")
    flat = [np.reshape(x, [x.shape[0], x.shape[1:].num_elements()]) for x in leaves]
    flat = np.concatenate(flat, axis=1).astype(np.float64)
    # Differences, not the expanded square: that cancels where rows are close.
    return scipy.spatial.distance.squareform(scipy.spatial.distance.pdist(flat))


@checked_call
def random_distances(size: int, seed: int) -> np.ndarray:
    """A symmetric matrix of random numbers, 0 on the diagonal, [size, size]. seed: Python int."""
    check_whole("size", size, 0)
    check_whole("seed", seed, -(2**62), 2**62)
    noise = np.random.default_rng([seed & 0x7FFFFFFF, 0xBAD]).random([size, size])
    return (noise + noise.T) * (1 - np.eye(size))
