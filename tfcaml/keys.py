"""Stateless random numbers: every number is a function of (seed, iteration, task, episode).

There is no global random stream, so a run that was stopped and resumed draws what it would have
drawn, and the numbers of a task do not depend on which other tasks share its batch. (XLA's
generator is not TensorFlow's: with and without `jit_compile` the same seed gives other numbers.)
"""

from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from tfcaml import nest
from tfcaml.errors import ConfigError, as_index, shown

# Salts: integers that are folded into a key or XORed with it, so that each use has numbers of its
# own. Those of an episode's key; the first three bits are theirs:
ACTIONS = 1  # the policy's noise at each step
STEPS = 2  # the family's noise at each step
RESET = 3  # the start of the episode
EPISODES = 4  # what a policy draws once per episode
CHOICES = 5  # choices of a policy on top of others
LATER = 8  # times the steps played before: what is played from there on
# Those of the key of a user's seed, or of an iteration:
SMALL = 0x5EED  # the second half of the key of a seed below 2**31
TRAINING = 0x7EA1  # the iterations of training
EVALUATION = 0xE7A1  # adaptation and measurement of evaluation
MONITOR = 0xD17E  # adaptation and episodes whose divergence is followed during training
START = 0x57A7  # what is drawn when a task is started on, apart from the phases of its iteration
POPULATION = 0xE0  # the changes of the members of a population, in the key of an iteration
LATENT = 0x1A7E  # in the key of the initial weights' seed: the latents of the training tasks
EXAMPLES = 0x5407  # in place of a seed: the examples that a new regression task is learned from
OCCUPANCY = 0xD1  # states and actions at which occupancies are compared
STATE_BANK = 0xB4A  # states at which the metrics of policies are taken
ACTION_DISTANCE = 0x15D  # actions of the Monte-Carlo distance of distributions
_BITS = 31  # of each half of a key [2], so that neither half is negative
NUM_SEEDS = 2 ** (2 * _BITS)  # a user's seed is one of 0 to NUM_SEEDS - 1


def as_int(seed: Any) -> int:
    """The seed that a user gave, as a Python int.

    Args:
      seed: an integer from 0 to 2**62 - 1: a Python int, or an integer scalar of NumPy or of an
        eager TensorFlow tensor.

    Raises:
      ConfigError: anything else, such as a negative number or a float.
    """
    number = as_index(seed)
    if number is None or not 0 <= number < NUM_SEEDS:
        rule = "an integer from 0 to 2**62 - 1"
        raise ConfigError(f"expected seed to be {rule}; received seed={shown(seed)}")
    return number


def from_int(seed: Any) -> tf.Tensor:
    """The key [2] of an integer that a user gave; no two integers have the same.

    Args:
      seed: see `as_int`.

    Raises:
      ConfigError: see `as_int`.
    """
    seed = as_int(seed)
    low, high = seed & (2**_BITS - 1), seed >> _BITS
    return tf.constant([low, SMALL ^ high], tf.int32)


def fold(key: tf.Tensor, *data: int | tf.Tensor) -> tf.Tensor:
    """Derives a new key [2] from `key` [2] and integers."""
    for value in data:
        key = tf.random.experimental.stateless_fold_in(key, tf.cast(value, tf.int32))
    return key


def per_episode(key: tf.Tensor, num_tasks: int, num_episodes: int) -> tf.Tensor:
    """key [2] -> one key per task and episode, [N, E, 2], independent of N and E."""
    return of_episodes(key, tf.repeat(tf.range(num_episodes)[None], num_tasks, axis=0))


def of_episodes(key: tf.Tensor, episode: tf.Tensor) -> tf.Tensor:
    """The keys of numbered episodes of each task: key [2], episode [N, E] -> [N, E, 2]."""
    # A key is folded by hashing it and putting the number beside the hash, so one hash per task
    # does for all of its episodes.
    task_hash = lambda task: fold(key, task, 0)[0]
    hashes = tf.map_fn(task_hash, tf.range(episode.shape[0]))
    hashes = tf.broadcast_to(hashes[:, None], episode.shape)
    return tf.stack([hashes, episode], axis=-1)


def per_task(key: tf.Tensor, num_tasks: int) -> tf.Tensor:
    """key [2] -> one key per task, [N, 2], independent of N."""
    return tf.map_fn(lambda task: fold(key, task), tf.range(num_tasks))


def salted(key: tf.Tensor, salt: int) -> tf.Tensor:
    """Other keys for another use of the same episodes: key [..., 2], `salt` an integer."""
    return tf.bitwise.bitwise_xor(key, [salt, 0])


def uniform(
    key: tf.Tensor, shape: Sequence[int | tf.Tensor], dtype: tf.DType = tf.float32
) -> tf.Tensor:
    """U(0, 1) numbers for a batch of keys: key [..., 2] -> [..., *shape]."""
    if 0 in [size for size in shape if isinstance(size, int)]:  # a family without noise
        return tf.zeros([*key.shape[:-1], *shape], dtype)
    rows = tf.reshape(key, [-1, 2])
    draw = lambda row: tf.random.stateless_uniform(shape, row, dtype=dtype)
    numbers = tf.map_fn(draw, rows, fn_output_signature=dtype)
    return tf.reshape(numbers, [*nest.sizes(key.shape[:-1]), *shape])


def normal(
    key: tf.Tensor, shape: Sequence[int | tf.Tensor], dtype: tf.DType = tf.float32
) -> tf.Tensor:
    """N(0, 1) numbers for a batch of keys: key [..., 2] -> [..., *shape]."""
    rows = tf.reshape(key, [-1, 2])
    draw = lambda row: tf.random.stateless_normal(shape, row, dtype=dtype)
    numbers = tf.map_fn(draw, rows, fn_output_signature=dtype)
    return tf.reshape(numbers, [*nest.sizes(key.shape[:-1]), *shape])
