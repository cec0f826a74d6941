"""The meals of a random day. Research use only, not for dosing decisions.

Three meals and three snacks; each may be left out, and comes at a time and in an amount that are
drawn anew. Numbers of the standard random scenario of simglucose 0.2.11.
"""

import numpy as np
import scipy  # whose parts are loaded when used
import tensorflow as tf

from tfcaml import keys

# Of each of the six meals of a day.
PROBABILITY = np.array([0.95, 0.3, 0.95, 0.3, 0.95, 0.3], np.float32)
# Between which each meal begins, min after midnight.
EARLIEST, LATEST = np.array([[5, 9, 10, 14, 16, 20], [9, 10, 14, 16, 20, 23]], np.float32) * 60
MEAN_TIME = np.array([7, 9.5, 12, 15, 18, 21.5], np.float32) * 60  # min after midnight
TIME_SPREAD = np.array([60, 30, 60, 30, 60, 30], np.float32)  # standard deviation, min
# Carbohydrate of each meal, g.
MEAN_GRAMS = np.array([45, 10, 70, 10, 80, 10], np.float32)
# Its standard deviation, g.
GRAMS_SPREAD = np.array([10, 5, 10, 5, 10, 5], np.float32)
_LEAST = 1e-6  # of a uniform number, whose normal quantile is to be finite


def day(key: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Draws a day for each episode.

    Args:
      key: [N, E, 2].

    Returns:
      (time [N, E, 6], whole minutes after midnight; grams [N, E, 6], whole, 0 of a meal left out).
    """
    uniform = keys.uniform(key, [3, len(PROBABILITY)])
    taken, when, much = tf.unstack(tf.clip_by_value(uniform, _LEAST, 1 - _LEAST), axis=-2)
    # A normal number cut off at both ends: the quantile of a number between their ranks.
    low, high = (
        scipy.stats.norm.cdf((end - MEAN_TIME) / TIME_SPREAD).astype(np.float32)
        for end in (EARLIEST, LATEST)
    )
    time = tf.round(MEAN_TIME + TIME_SPREAD * _normal(low + (high - low) * when))
    grams = tf.maximum(tf.round(MEAN_GRAMS + GRAMS_SPREAD * _normal(much)), 0.0)
    return time, tf.where(taken < PROBABILITY, grams, 0.0)


def announced(schedule: tuple[tf.Tensor, tf.Tensor], start: tf.Tensor, minutes: int) -> tf.Tensor:
    """What is announced in each of the next minutes.

    Args:
      schedule: what `day` returned.
      start: minutes after midnight, [N, E].
      minutes: M.

    Returns:
      g, [M, N, E].
    """
    time, grams = schedule
    minute = start[..., None] + tf.range(minutes, dtype=tf.float32)
    now = tf.cast(time[..., None, :] == minute[..., None], tf.float32)
    return tf.transpose(tf.reduce_sum(now * grams[..., None, :], axis=-1), [2, 0, 1])


def _normal(uniform: tf.Tensor) -> tf.Tensor:
    """U(0, 1) numbers -> N(0, 1) numbers."""
    return np.sqrt(2).astype(np.float32) * tf.math.erfinv(2 * uniform - 1)
