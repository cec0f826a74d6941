"""Stateless random numbers: every number is a function of (seed, iteration, task, episode).

There is no global random stream, so a run that was stopped and resumed draws what it would have
drawn, and the numbers of a task do not depend on which other tasks share its batch. (XLA's
generator is not TensorFlow's: with and without `jit_compile` the same seed gives other numbers.)
"""

import tensorflow as tf


def from_int(seed):
    """A Python int -> seed [2]."""
    return tf.constant([seed & 0x7FFFFFFF, 0x5EED], tf.int32)


def fold(seed, *data):
    """Derives a new seed [2] from `seed` [2] and integers."""
    for value in data:
        seed = tf.random.experimental.stateless_fold_in(seed, tf.cast(value, tf.int32))
    return seed


def per_episode(seed, num_tasks, num_episodes):
    """seed [2] -> one seed per task and episode, [N, E, 2], independent of N and E."""

    def episode_seeds(task):
        task_seed = fold(seed, task)
        return tf.map_fn(lambda episode: fold(task_seed, episode), tf.range(num_episodes))

    seeds = tf.map_fn(episode_seeds, tf.range(num_tasks))
    return tf.ensure_shape(seeds, [num_tasks, num_episodes, 2])


def uniform(seed, shape, dtype=tf.float32):
    """U(0, 1) numbers for a batch of seeds: seed [..., 2] -> [..., *shape]."""
    rows = tf.reshape(seed, [-1, 2])
    draw = lambda row: tf.random.stateless_uniform(shape, row, dtype=dtype)
    numbers = tf.map_fn(draw, rows, fn_output_signature=dtype)
    return tf.reshape(numbers, [*seed.shape[:-1], *shape])


def normal(seed, shape, dtype=tf.float32):
    """N(0, 1) numbers for a batch of seeds: seed [..., 2] -> [..., *shape]."""
    rows = tf.reshape(seed, [-1, 2])
    draw = lambda row: tf.random.stateless_normal(shape, row, dtype=dtype)
    numbers = tf.map_fn(draw, rows, fn_output_signature=dtype)
    return tf.reshape(numbers, [*seed.shape[:-1], *shape])
