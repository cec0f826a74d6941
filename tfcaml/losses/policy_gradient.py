"""The policy-gradient loss (REINFORCE)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import tensorflow as tf

from tfcaml import nest
from tfcaml.types import Params, Trajectory

if TYPE_CHECKING:
    from tensorflow_probability import distributions as tfd

    from tfcaml.policies.base import Policy


def policy_gradient(
    policy: Policy, params: Params, trajectory: Trajectory, advantage: tf.Tensor
) -> tf.Tensor:
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


def action_log_prob(policy: Policy, params: Params, trajectory: Trajectory) -> tf.Tensor:
    """log pi(a | s) of the trajectory's actions under `params`, [N, E, T]."""
    distribution = action_distribution(policy, params, trajectory)
    log_prob = distribution.log_prob(nest.flat_steps(trajectory.action))
    return tf.reshape(log_prob, trajectory.reward.shape)


def action_distribution(policy: Policy, params: Params, trajectory: Trajectory) -> tfd.Distribution:
    """The policies' distributions at all steps of a trajectory, batch shape [N, E * T].

    The one place where losses ask a policy: one with memory lives through the episodes again.
    """
    return policy.unroll(params, trajectory)


def mean_over_steps(value: tf.Tensor, mask: tf.Tensor) -> tf.Tensor:
    """Mean over a task's living steps: value, mask [N, E, T] -> [N]."""
    steps = tf.reduce_sum(mask, axis=[1, 2])
    return tf.reduce_sum(value * mask, axis=[1, 2]) / tf.maximum(steps, 1)
