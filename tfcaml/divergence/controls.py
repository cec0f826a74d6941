"""Distances that know nothing of behaviour: what a divergence has to beat."""

import numpy as np
import tensorflow as tf


def euclidean(rows):
    """Euclidean distances between the rows of a nest of [N, ...] (weights, tasks): [N, N]."""
    flat = [np.reshape(x, [x.shape[0], -1]) for x in tf.nest.flatten(rows)]
    flat = np.concatenate(flat, axis=1).astype(np.float64)
    squared = np.sum(flat**2, axis=1)
    distances = np.sqrt(np.maximum(squared[:, None] + squared - 2 * flat @ flat.T, 0))
    np.fill_diagonal(distances, 0)
    return distances


def random_distances(size, seed):
    """A symmetric matrix of random numbers, 0 on the diagonal, [size, size]. seed: Python int."""
    noise = np.random.default_rng([seed & 0x7FFFFFFF, 0xBAD]).random([size, size])
    return (noise + noise.T) * (1 - np.eye(size))
