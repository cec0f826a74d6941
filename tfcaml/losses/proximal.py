"""The loss of PPO with a critic beside the policy, of steps that were played once.

    L = - mean of min(ratio A, clip(ratio, 1 - eps, 1 + eps) A) + b KL(old, new) + (V - target)^2

J. Schulman, F. Wolski, P. Dhariwal, A. Radford, O. Klimov, "Proximal policy optimization
algorithms", arXiv 1707.06347.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import tensorflow as tf

from tfcaml import nest
from tfcaml.advantages import returns
from tfcaml.losses.policy_gradient import action_distribution, mean_over_steps
from tfcaml.losses.surrogate import clipped_surrogate, mean_kl
from tfcaml.policies import distributions
from tfcaml.types import Experience, Params, Trajectory

if TYPE_CHECKING:
    from tfcaml.policies.base import Policy

_FARTHEST = 5.0  # nats that a log-probability has grown by, from which on it is not followed


def experience(
    policy: Policy, params: Params, trajectory: Trajectory, discount: float, gae_lambda: float
) -> Experience:
    """What `loss` learns from.

    Advantages are generalised, of mean 0 and standard deviation 1 over a task's steps. Episodes
    that are cut bootstrap from the value of what they led to.

    Args:
      policy: a `Policy` with a critic.
      params: that played, each [N, ...].
      trajectory: `Trajectory`.
      discount, gae_lambda: in [0, 1].

    Returns:
      `Experience` with advantages as weights; `extra` is {"target": what the critic should have
      said, [N, E, T]}.
    """
    values = policy.value(params, trajectory)
    advantage, target = credit(trajectory, *values, discount, gae_lambda)
    acted = distributions.tensors(action_distribution(policy, params, trajectory))
    return Experience(trajectory, *nest.stop_gradient((advantage, acted, {"target": target})))


def credit(
    trajectory: Trajectory,
    value: tf.Tensor,
    final: tf.Tensor,
    discount: float,
    gae_lambda: float,
) -> tuple[tf.Tensor, tf.Tensor]:
    """What actions are credited with, and what a critic should have said, both [N, E, T].

    Args:
      trajectory: `Trajectory`.
      value: [N, E, T], of the states in which actions were taken.
      final: [N, E], of what episodes led to.
      discount, gae_lambda: in [0, 1].
    """
    mask = trajectory.mask
    cut = returns.at_cut(final, mask, trajectory.terminated)
    reward = trajectory.reward + discount * cut
    advantage = returns.generalized_advantage(reward, value, mask, discount, gae_lambda)
    return _standardized(advantage, mask), value + advantage


def loss(
    policy: Policy, params: Params, support: Experience, clip_ratio: float, kl_weight: float = 0.0
) -> tf.Tensor:
    """L of the module, [N].

    Args:
      policy: a `Policy` with a critic.
      params: each [N, ...].
      support: as of `experience`, or a part of it.
      clip_ratio: eps.
      kl_weight: b.
    """
    trajectory = support.trajectory
    mask = trajectory.mask
    distribution = action_distribution(policy, params, trajectory)
    log_prob = distribution.log_prob(nest.flat_steps(trajectory.action))
    change = tf.reshape(log_prob, trajectory.log_prob.shape) - trajectory.log_prob
    # Actions that were all but impossible may become likely within a few steps.
    ratio = tf.exp(tf.minimum(change, _FARTHEST))
    found = clipped_surrogate(ratio, support.weight, mask, clip_ratio)
    if kl_weight:
        old = distributions.rebuild(distribution, support.distribution)
        found += kl_weight * mean_kl(old, distribution, mask)
    value, _ = policy.value(params, trajectory)
    return found + mean_over_steps((value - support.extra["target"]) ** 2, mask)


def part_of(support: Experience, number: int | tf.Tensor, parts: int) -> Experience:
    """Every `parts`-th step of the support, from step `number` on, as one episode.

    Args:
      support: `Experience` with [N, E, T], the steps of which `parts` divides.
      number: below `parts`.
      parts: how many there are.
    """
    if parts == 1:
        return support
    episodes, steps = support.weight.shape[1:]

    def some(x: tf.Tensor) -> tf.Tensor:  # [N, E * T, ...]
        rows = tf.reshape(x, [x.shape[0], episodes * steps // parts, parts, *x.shape[2:]])
        return tf.gather(rows, number, axis=2)

    trajectory = support.trajectory
    own = lambda x: some(tf.reshape(x, [x.shape[0], episodes * steps, *x.shape[3:]]))[:, None]
    one = lambda x: x[:, :1]
    fields = ("observation", "action", "reward", "mask", "log_prob", "terminated", "info")
    found = {name: nest.map(own, getattr(trajectory, name)) for name in fields}
    final, noise = nest.map(one, (trajectory.final_observation, trajectory.episode_noise))
    found |= {"final_observation": final, "episode_noise": noise, "start": ()}
    return Experience(
        trajectory._replace(**found),
        own(support.weight),
        nest.map(some, support.distribution),
        {"target": own(support.extra["target"])},
    )


def _standardized(value: tf.Tensor, mask: tf.Tensor) -> tf.Tensor:
    """Brought to mean 0 and standard deviation 1 over the valid steps of a task: [N, E, T]."""
    mean = lambda x: mean_over_steps(x, mask)[:, None, None]
    deviation = (value - mean(value)) * mask
    return deviation * tf.math.rsqrt(mean(deviation**2) + 1e-8)
