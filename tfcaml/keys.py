"""Stateless random numbers: every number is a function of (seed, iteration, task, episode).

There is no global random stream, so a run that was stopped and resumed draws what it would have
drawn, and the numbers of a task do not depend on which other tasks share its batch. (XLA's
generator is not TensorFlow's: with and without `jit_compile` the same seed gives other numbers.)
"""

import operator

import tensorflow as tf

from tfcaml import nest
from tfcaml.errors import ConfigError

ACTIONS, STEPS, RESET, EPISODES = 1, 2, 3, 4  # salts: what an episode's random numbers are for
START = 0x57A7  # what is drawn when a task is started on, apart from the phases of its iteration
LATER = 8  # times the steps played before, the salt of what is played from there on
_BITS = 31  # of each half of a seed [2], so that neither half is negative


def as_int(seed):
    """The seed that a user gave, as a Python int.

    Args:
      seed: an integer from 0 to 2**62 - 1: a Python int, or an integer scalar of NumPy or of an
        eager TensorFlow tensor.

    Raises:
      ConfigError: anything else, such as a negative number or a float.
    """
    try:
        number = operator.index(seed)
    except TypeError:
        number = None
    if number is None or not 0 <= number < 2 ** (2 * _BITS):
        raise ConfigError(f"expected seed to be an integer from 0 to 2**62 - 1; received {seed=!r}")
    return number


def from_int(seed):
    """The seed [2] of an integer that a user gave; no two integers have the same.

    Args:
      seed: see `as_int`.

    Raises:
      ConfigError: see `as_int`.
    """
    seed = as_int(seed)
    low, high = seed & (2**_BITS - 1), seed >> _BITS
    return tf.constant([low, 0x5EED ^ high], tf.int32)


def fold(seed, *data):
    """Derives a new seed [2] from `seed` [2] and integers."""
    for value in data:
        seed = tf.random.experimental.stateless_fold_in(seed, tf.cast(value, tf.int32))
    return seed


def per_episode(seed, num_tasks, num_episodes):
    """seed [2] -> one seed per task and episode, [N, E, 2], independent of N and E."""
    return of_episodes(seed, tf.repeat(tf.range(num_episodes)[None], num_tasks, axis=0))


def of_episodes(seed, episode):
    """The seeds of numbered episodes of each task: seed [2], episode [N, E] -> [N, E, 2]."""
    # A seed is folded by hashing it and putting the number beside the hash, so one hash per task
    # does for all of its episodes.
    task_hash = lambda task: fold(seed, task, 0)[0]
    hashes = tf.map_fn(task_hash, tf.range(episode.shape[0]))
    hashes = tf.broadcast_to(hashes[:, None], episode.shape)
    return tf.stack([hashes, episode], axis=-1)


def per_task(seed, num_tasks):
    """seed [2] -> one seed per task, [N, 2], independent of N."""
    return tf.map_fn(lambda task: fold(seed, task), tf.range(num_tasks))


def salted(seed, salt):
    """Other seeds for another use of the same episodes: seed [..., 2], `salt` one of the above."""
    return tf.bitwise.bitwise_xor(seed, [salt, 0])


def uniform(seed, shape, dtype=tf.float32):
    """U(0, 1) numbers for a batch of seeds: seed [..., 2] -> [..., *shape]."""
    if 0 in [size for size in shape if isinstance(size, int)]:  # a family without noise
        return tf.zeros([*seed.shape[:-1], *shape], dtype)
    rows = tf.reshape(seed, [-1, 2])
    draw = lambda row: tf.random.stateless_uniform(shape, row, dtype=dtype)
    numbers = tf.map_fn(draw, rows, fn_output_signature=dtype)
    return tf.reshape(numbers, [*nest.sizes(seed.shape[:-1]), *shape])


def normal(seed, shape, dtype=tf.float32):
    """N(0, 1) numbers for a batch of seeds: seed [..., 2] -> [..., *shape]."""
    rows = tf.reshape(seed, [-1, 2])
    draw = lambda row: tf.random.stateless_normal(shape, row, dtype=dtype)
    numbers = tf.map_fn(draw, rows, fn_output_signature=dtype)
    return tf.reshape(numbers, [*nest.sizes(seed.shape[:-1]), *shape])
