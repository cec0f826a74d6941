"""Policy gradients from episodes that another policy acted in."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import tensorflow as tf

from tfcaml.losses.policy_gradient import action_log_prob, mean_over_steps
from tfcaml.types import Params, Trajectory

if TYPE_CHECKING:
    from tfcaml.policies.base import Policy


def per_decision_weights(
    log_ratio: tf.Tensor, mask: tf.Tensor, clip: float | None = 5.0, self_normalized: bool = False
) -> tf.Tensor:
    """How much more probable an episode is up to each step: w_t = min(c, prod_{u <= t} pi / beta).

    Per-decision importance weights (D. Precup, R. Sutton, S. Singh, "Eligibility traces for
    off-policy policy evaluation", 2000): a step answers for what came before it and not for what
    comes after. Without clipping what they weigh is unbiased; clipped, it leans towards what beta
    did, with bounded variance.

    Args:
      log_ratio: [N, E, T], log pi(a | s) - log beta(a | s), beta being what acted.
      mask: [N, E, T].
      clip: c, or None.
      self_normalized: divide by the mean weight, over episodes that live, at the same step of the
        same task: they then have mean 1; biased and consistent.

    Returns:
      [N, E, T], 0 on padded steps.
    """
    log_weight = tf.cumsum(log_ratio * mask, axis=-1)
    if clip is not None:
        log_weight = tf.minimum(log_weight, tf.math.log(tf.cast(clip, log_weight.dtype)))
    weight = tf.exp(log_weight) * mask
    if not self_normalized:
        return weight
    alive = tf.reduce_sum(mask, axis=1, keepdims=True)
    mean = tf.math.divide_no_nan(tf.reduce_sum(weight, axis=1, keepdims=True), alive)
    return tf.math.divide_no_nan(weight, mean)


def per_step_weights(log_ratio: tf.Tensor, mask: tf.Tensor, clip: float | None = 5.0) -> tf.Tensor:
    """How much more probable each action is where it was taken: w_t = min(c, pi / beta).

    Of off-policy actor-critic (T. Degris, M. White, R. Sutton, "Off-policy actor-critic", ICML
    2012): how the episode got there does not count, so that places which the policy itself would
    never have reached are learned from too. The price is a gradient over the states that beta
    visits, and not over the policy's own.

    Args:
      log_ratio: [N, E, T], log pi(a | s) - log beta(a | s), beta being what acted.
      mask: [N, E, T].
      clip: c, or None.

    Returns:
      [N, E, T], 0 on padded steps.
    """
    if clip is not None:
        log_ratio = tf.minimum(log_ratio, tf.math.log(tf.cast(clip, log_ratio.dtype)))
    return tf.exp(log_ratio * mask) * mask


def unit_weights(log_ratio: tf.Tensor, mask: tf.Tensor, clip: float | None = None) -> tf.Tensor:
    """1 on living steps, [N, E, T]: as if the policy itself had acted. Arguments as above."""
    return mask


# name in a config -> (log_ratio, mask, clip) -> weights [N, E, T]
IMPORTANCE_WEIGHTS: dict[str, Callable[..., tf.Tensor]] = {
    "per_step": per_step_weights,
    "per_decision": per_decision_weights,
    "none": unit_weights,
}


def effective_sample_share(weight: tf.Tensor, mask: tf.Tensor) -> tf.Tensor:
    """(sum w)^2 / sum w^2 over living steps, as a share of their number: [N], in (0, 1].

    1 where all weights are the same; small where a few steps decide, so that data of the policy
    itself are worth more. Of clipped weights it says less than of those that are not.

    Args:
      weight: [N, E, T], of `per_decision_weights`.
      mask: [N, E, T].
    """
    weight = weight * mask
    total = tf.reduce_sum(weight, axis=[1, 2])
    squares = tf.reduce_sum(weight**2, axis=[1, 2])
    steps = tf.reduce_sum(mask, axis=[1, 2])
    return tf.math.divide_no_nan(total**2, squares * steps)


def importance_weighted(
    policy: Policy,
    params: Params,
    trajectory: Trajectory,
    advantage: tf.Tensor,
    clip: float | None = 5.0,
    self_normalized: bool = False,
) -> tf.Tensor:
    """L_i = - mean over living steps of w_t log pi(a_t | s_t) A_t, with w_t a constant.

    Its gradient estimates the policy gradient at `params` from episodes of any behaviour whose
    log-probabilities the trajectory holds; of episodes of `params` themselves it is that of
    `policy_gradient`. Episodes of both kinds may share a trajectory. Advantages have to be the
    policy's own: what was earned after a step by another behaviour is that behaviour's.

    Args:
      policy: a `Policy`.
      params: weights, each [N, ...].
      trajectory: `Trajectory`; its `log_prob` is that of what acted.
      advantage: [N, E, T], a constant.
      clip, self_normalized: as `per_decision_weights`.

    Returns:
      [N].
    """
    log_prob = action_log_prob(policy, params, trajectory)
    log_ratio = tf.stop_gradient(log_prob) - trajectory.log_prob
    weight = per_decision_weights(log_ratio, trajectory.mask, clip, self_normalized)
    return -mean_over_steps(weight * log_prob * advantage, trajectory.mask)
