"""Inner losses that share their gradient and differ in their curvature.

All have, in expectation, the policy gradient as first derivative (with the sign of a loss). The
meta-gradient also contains the second derivative of what the inner step descends. With
g = sum_t grad log pi_t, that of the expected return is H1 + H2 + H12 + H12^T, where

    H1  = E sum_t grad log pi_t (grad log pi_t)^T Q_t
    H2  = E sum_t (grad grad log pi_t) Q_t
    H12 = E sum_t grad log pi_t (grad Q_t)^T

(J. Rothfuss et al., "ProMP: Proximal meta-policy search", ICLR 2019, section 4). Each docstring
says which of them its estimator keeps. Every function takes

    policy, params: weights [N, ...], trajectory: `Trajectory`, credit: [N, E, T] constants

and returns [N], minus the mean over valid steps; `credit` is an advantage unless stated.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import tensorflow as tf

from tfcaml.losses.policy_gradient import action_log_prob, mean_over_steps, policy_gradient
from tfcaml.types import Params, Trajectory

if TYPE_CHECKING:
    from tfcaml.policies.base import Policy


def log_likelihood(
    policy: Policy, params: Params, trajectory: Trajectory, credit: tf.Tensor
) -> tf.Tensor:
    """log pi_t A_t. Second derivative: H2 only.

    The loss of the original MAML-RL (C. Finn et al., ICML 2017). With an exact advantage the part
    of H2 that does not depend on the action averages to 0: for a tabular softmax policy all of it,
    for a network all but its own curvature, so the meta-gradient is close to first order.
    """
    return policy_gradient(policy, params, trajectory, credit)


def likelihood_ratio(
    policy: Policy, params: Params, trajectory: Trajectory, credit: tf.Tensor
) -> tf.Tensor:
    """(pi_t / pi_t,old) A_t, the "low variance curvature" of ProMP. Second derivative: H1 + H2.

    Biased, as H12 is missing: how the policy at one step changes what later
    steps earn; in return its variance is about half of DiCE's. The denominator is the policy that
    acted, a number, so the loss stays a proper surrogate when the meta parameters move.
    """
    log_prob = action_log_prob(policy, params, trajectory)
    return -mean_over_steps(tf.exp(log_prob - trajectory.log_prob) * credit, trajectory.mask)


def dice(policy: Policy, params: Params, trajectory: Trajectory, credit: tf.Tensor) -> tf.Tensor:
    """box_t r_t with box_t = exp(sum_{u <= t} log pi_u - sg[...]). Second derivative: all terms.

    J. Foerster et al., "DiCE: the infinitely differentiable Monte Carlo estimator", ICML 2018.
    Unbiased at every order, with high variance. `credit` is the discounted *reward*
    of the step (`baselines.reward_credit`); an unbiased advantage is right as well, a reward-to-go
    is not, already at first order. The sum goes over all steps: after an episode's end the box
    stands still, and a credit of reward 0 less a mean counts there like everywhere.
    """
    box = _magic_box(policy, params, trajectory)[0]
    total = tf.reduce_sum(box * credit, axis=[1, 2])
    return -total / tf.maximum(tf.reduce_sum(trajectory.mask, axis=[1, 2]), 1)


def loaded_dice(
    policy: Policy, params: Params, trajectory: Trajectory, credit: tf.Tensor
) -> tf.Tensor:
    """(box_t - box_{t-1}) A_t. Second derivative: all terms.

    G. Farquhar, S. Whiteson, J. Foerster, "Loaded DiCE", NeurIPS 2019, with lambda 1.
    Unbiased for exact advantages, with less variance than `dice` because a baseline may depend on
    the state.
    """
    box, previous = _magic_box(policy, params, trajectory)
    return -mean_over_steps((box - previous) * credit, trajectory.mask)


def _magic_box(
    policy: Policy, params: Params, trajectory: Trajectory
) -> tuple[tf.Tensor, tf.Tensor]:
    """(box_t, box_{t-1}), each [N, E, T], of value 1."""
    log_prob = action_log_prob(policy, params, trajectory) * trajectory.mask
    up_to = tf.cumsum(log_prob, axis=-1)
    before = up_to - log_prob
    # The value is 1, the derivative that of the log-probabilities: sg cuts the value's path only.
    box = lambda total: tf.exp(total - tf.stop_gradient(total))
    return box(up_to), box(before)


# name in a config -> loss
ESTIMATORS = {
    "log_likelihood": log_likelihood,
    "likelihood_ratio": likelihood_ratio,
    "dice": dice,
    "loaded_dice": loaded_dice,
}
