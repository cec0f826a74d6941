"""Baselines and advantages, fitted per task on the batch they are used on."""

import tensorflow as tf

from tfcaml import returns

RETURNS = {"reward_to_go": returns.reward_to_go, "whole_return": returns.whole_return}


def no_baseline(value, mask):
    """0. REINFORCE without a baseline does not learn the personalised particles."""
    return tf.zeros_like(value)


def batch_mean(value, mask):
    """Mean over all living steps of the task's episodes: [N, E, T] -> [N, 1, 1]."""
    return _mean(value, mask, axis=[1, 2])


def time_step_mean(value, mask):
    """Mean over the task's episodes that live at each time step: [N, E, T] -> [N, 1, T]."""
    return _mean(value, mask, axis=[1])


BASELINES = {"none": no_baseline, "batch_mean": batch_mean, "time_step_mean": time_step_mean}


def advantage(trajectory, discount, return_type, baseline, normalize):
    """Return minus baseline, and optionally divided by its root mean square over the task's batch.

    Args:
      trajectory: `Trajectory`.
      discount: number in (0, 1].
      return_type: a name in `RETURNS`.
      baseline: a name in `BASELINES`.
      normalize: whether to divide by one scale per task.

    Returns:
      [N, E, T], 0 on padded steps, without gradient.
    """
    mask = trajectory.mask
    value = RETURNS[return_type](trajectory.reward, discount)
    value = (value - BASELINES[baseline](value, mask)) * mask
    if normalize:
        value /= tf.sqrt(_mean(value**2, mask, axis=[1, 2])) + 1e-6
    return tf.stop_gradient(value)


def _mean(value, mask, axis):
    total = tf.reduce_sum(value * mask, axis, keepdims=True)
    return total / tf.maximum(tf.reduce_sum(mask, axis, keepdims=True), 1)
