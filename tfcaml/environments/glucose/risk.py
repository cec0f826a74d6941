"""Risk of a glucose value. Research use only, not for dosing decisions.

B. Kovatchev, D. Cox, L. Gonder-Frederick, W. Clarke, "Symmetrization of the blood glucose
measurement scale and its applications", Diabetes Care 20 (1997).
"""

import numpy as np
import tensorflow as tf

LOWEST, HIGHEST = 20.0, 600.0  # mg/dL, between which the scale was fitted
GREATEST = 100.0  # risk at either end


def risk(glucose: tf.Tensor | np.ndarray) -> tf.Tensor:
    """Risk, 0 (near 112.5 mg/dL) to 100 (at 20 and less, at 600 and more); nan of nan.

    Args:
      glucose: mg/dL, tensor of any shape.

    Returns:
      tensor like it: 10 f^2 with f = 1.509 (ln(glucose)^1.084 - 5.381).
    """
    low, high = sides(glucose)
    return low + high


def sides(glucose: tf.Tensor | np.ndarray) -> tuple[tf.Tensor, tf.Tensor]:
    """The risks of low and of high glucose, of which one is 0: two tensors like `glucose`."""
    within = tf.where(tf.math.is_nan(glucose), glucose, tf.clip_by_value(glucose, LOWEST, HIGHEST))
    f = 1.509 * (tf.math.log(within) ** 1.084 - 5.381)
    value = tf.minimum(10 * f**2, GREATEST)
    outside = (glucose <= LOWEST) | (glucose >= HIGHEST)
    value = tf.where(outside, GREATEST, value)
    zero = 0 * f  # nan of nan
    return tf.where(f < 0, value, zero), tf.where(f >= 0, value, zero)
