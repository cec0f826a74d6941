"""The noise of a continuous glucose sensor. Research use only, not for dosing decisions.

M. Breton, B. Kovatchev, "Analysis, modeling, and simulation of the accuracy of continuous glucose
sensors", Journal of Diabetes Science and Technology 2 (2008), with the numbers that simglucose
0.2.11 has for the Dexcom sensor: an autoregressive process every 15 minutes, made skew by Johnson's
SU transform, and a cubic spline through it.
"""

import numpy as np
import scipy  # whose parts are loaded when used
import tensorflow as tf

from tfcaml import keys

LOWEST, HIGHEST = 39.0, 600.0  # readings, mg/dL
PERIOD = 15  # min between the process's values
# Of the autoregressive error: the share of one error that is in the next.
COEFFICIENT = 0.7
_GAMMA, _LAMBDA, _DELTA, _XI = -0.5444, 15.9574, 1.6898, -5.47


def noise(key: tf.Tensor, minutes: int, interval: int) -> tf.Tensor:
    """Errors of the readings of each episode, mg/dL.

    Args:
      key: [N, E, 2].
      minutes: length of an episode, a multiple of `interval`.
      interval: min between readings.

    Returns:
      [N, E, minutes / interval + 1], of the readings at 0, interval, ..., minutes.
    """
    steps = -(-minutes // PERIOD)
    process = tf.linalg.matvec(_recursion(steps + 1), keys.normal(key, [steps + 1]))
    errors = _XI + _LAMBDA * tf.sinh((process - _GAMMA) / _DELTA)
    knots = PERIOD * np.arange(steps + 1)
    spline = scipy.interpolate.CubicSpline(knots, np.eye(steps + 1))
    weights = spline(np.arange(0, minutes + 1, interval)).astype(np.float32)
    return tf.linalg.matvec(weights, errors)


def read(glucose: tf.Tensor, error: tf.Tensor | float = 0.0) -> tf.Tensor:
    """What the sensor shows: within its range, and nan of nan."""
    shown = glucose + error
    return tf.where(tf.math.is_nan(shown), shown, tf.clip_by_value(shown, LOWEST, HIGHEST))


def _recursion(size: int) -> np.ndarray:
    """e_0 = v_0, e_n = a (e_{n-1} + v_n) as the matrix that makes e of v, [size, size]."""
    lag = np.subtract.outer(np.arange(size), np.arange(size))
    matrix = np.where(lag >= 0, COEFFICIENT ** np.maximum(lag + 1.0, 0), 0)
    matrix[:, 0] /= COEFFICIENT
    return matrix.astype(np.float32)
