"""Outer losses: how good new policies are, judged by data of old ones; and how far they moved."""

from __future__ import annotations

from typing import TYPE_CHECKING

import tensorflow as tf

from tfcaml import nest
from tfcaml.losses.policy_gradient import mean_over_steps
from tfcaml.types import Trajectory

if TYPE_CHECKING:
    from tensorflow_probability import distributions as tfd


def probability_ratio(distribution: tfd.Distribution, trajectory: Trajectory) -> tf.Tensor:
    """pi(a | s) / pi_old(a | s) of the trajectory's actions, pi_old being what acted: [N, E, T].

    Args:
      distribution: of batch shape [N, E * T], from `action_distribution`.
      trajectory: `Trajectory`.
    """
    log_prob = distribution.log_prob(nest.flat_steps(trajectory.action))
    return tf.exp(tf.reshape(log_prob, trajectory.log_prob.shape) - trajectory.log_prob)


def surrogate(ratio: tf.Tensor, advantage: tf.Tensor, mask: tf.Tensor) -> tf.Tensor:
    """L_i = - mean of ratio A. J. Schulman et al., "TRPO", ICML 2015, equation 14.

    Args:
      ratio, advantage, mask: [N, E, T].

    Returns:
      [N].
    """
    return -mean_over_steps(ratio * advantage, mask)


def clipped_surrogate(
    ratio: tf.Tensor, advantage: tf.Tensor, mask: tf.Tensor, clip_ratio: float
) -> tf.Tensor:
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


def mean_kl(old: tfd.Distribution, new: tfd.Distribution, mask: tf.Tensor) -> tf.Tensor:
    """Mean over living steps of KL(old || new), nats.

    Args:
      old, new: `tfd.Distribution`s of batch shape [N, E * T].
      mask: [N, E, T].

    Returns:
      [N].
    """
    divergence = old.kl_divergence(new)
    return mean_over_steps(tf.reshape(divergence, mask.shape), mask)
