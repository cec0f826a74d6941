"""Outer losses: how good new policies are, judged by data of old ones; and how far they moved."""

import tensorflow as tf

from tfcaml import nest
from tfcaml.losses.policy_gradient import mean_over_steps


def probability_ratio(distribution, trajectory):
    """pi(a | s) / pi_old(a | s) of the trajectory's actions, pi_old being what acted: [N, E, T].

    Args:
      distribution: of batch shape [N, E * T], from `action_distribution`.
      trajectory: `Trajectory`.
    """
    log_prob = distribution.log_prob(nest.flat_steps(trajectory.action))
    return tf.exp(tf.reshape(log_prob, trajectory.log_prob.shape) - trajectory.log_prob)


def surrogate(ratio, advantage, mask):
    """L_i = - mean of ratio A. J. Schulman et al., "TRPO", ICML 2015, equation 14.

    Args:
      ratio, advantage, mask: [N, E, T].

    Returns:
      [N].
    """
    return -mean_over_steps(ratio * advantage, mask)


def clipped_surrogate(ratio, advantage, mask, clip_ratio):
    """L_i = - mean of min(ratio A, clip(ratio, 1 - eps, 1 + eps) A).

    J. Schulman et al., "Proximal policy optimization algorithms", arXiv 1707.06347, equation 7.

    Args:
      ratio, advantage, mask: [N, E, T].
      clip_ratio: eps.

    Returns:
      [N].
    """
    clipped = tf.clip_by_value(ratio, 1 - clip_ratio, 1 + clip_ratio)
    return -mean_over_steps(tf.minimum(ratio * advantage, clipped * advantage), mask)


def mean_kl(old, new, mask):
    """Mean over living steps of KL(old || new), nats.

    Args:
      old, new: `tfd.Distribution`s of batch shape [N, E * T].
      mask: [N, E, T].

    Returns:
      [N].
    """
    divergence = old.kl_divergence(new)
    return mean_over_steps(tf.reshape(divergence, mask.shape), mask)
