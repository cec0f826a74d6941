"""The policy-gradient loss (REINFORCE)."""

import tensorflow as tf


def policy_gradient(policy, params, trajectory, advantage):
    """L_i = - mean over living steps of log pi(a | s) A.

    Its first derivative is minus the policy gradient of Williams (1992); its second derivative
    holds the curvature of log pi only, not that of the sampling distribution.

    Args:
      policy: a `Policy`.
      params: weights, each [N, ...].
      trajectory: `Trajectory`.
      advantage: [N, E, T], a constant.

    Returns:
      [N].
    """
    log_prob = action_log_prob(policy, params, trajectory)
    return -mean_over_steps(log_prob * advantage, trajectory.mask)


def action_log_prob(policy, params, trajectory):
    """log pi(a | s) of the trajectory's actions under `params`, [N, E, T]."""
    distribution = policy(params, flat_steps(trajectory.observation))
    log_prob = distribution.log_prob(flat_steps(trajectory.action))
    return tf.reshape(log_prob, trajectory.reward.shape)


def flat_steps(x):
    """[N, E, T, ...] -> [N, E * T, ...]."""
    return tf.reshape(x, [x.shape[0], x.shape[1] * x.shape[2], *x.shape[3:]])


def mean_over_steps(value, mask):
    """Mean over a task's living steps: value, mask [N, E, T] -> [N]."""
    steps = tf.reduce_sum(mask, axis=[1, 2])
    return tf.reduce_sum(value * mask, axis=[1, 2]) / tf.maximum(steps, 1)
