"""Distances that know nothing of behaviour: what a divergence has to beat."""

import numpy as np
import scipy  # whose parts are loaded when used
import tensorflow as tf

from tfcaml.types import Nest


def euclidean(rows: Nest) -> np.ndarray:
    """Euclidean distances between the rows of a nest of [N, ...] (weights, tasks): [N, N]."""
    flat = [np.reshape(x, [x.shape[0], -1]) for x in tf.nest.flatten(rows)]
    flat = np.concatenate(flat, axis=1).astype(np.float64)
    # Differences, not the expanded square: that cancels where rows are close.
    return scipy.spatial.distance.squareform(scipy.spatial.distance.pdist(flat))


def random_distances(size: int, seed: int) -> np.ndarray:
    """A symmetric matrix of random numbers, 0 on the diagonal, [size, size]. seed: Python int."""
    noise = np.random.default_rng([seed & 0x7FFFFFFF, 0xBAD]).random([size, size])
    return (noise + noise.T) * (1 - np.eye(size))
