"""What learners lower on tasks, as values: the loss of an inner step and that of the outer one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import tensorflow as tf

from tfcaml import nest
from tfcaml.advantages import baselines
from tfcaml.losses.estimators import ESTIMATORS
from tfcaml.losses.policy_gradient import action_distribution, policy_gradient
from tfcaml.losses.surrogate import clipped_surrogate, probability_ratio, surrogate
from tfcaml.policies import distributions
from tfcaml.types import Experience, Nest, Params, Surrogate, Trajectory

if TYPE_CHECKING:
    from tfcaml.policies.base import Policy


class TaskLoss:
    """Base: what is learned from a trajectory, and by which loss.

    `meta` is the learner's meta parameters, of which a loss that is itself learned takes its own.

    Attributes:
      policy: the `Policy` whose parameters the losses are of.
      outer_optimizers: names of the outer optimisers that suit the loss.
    """

    policy: Policy
    outer_optimizers: tuple[str, ...] = ("adam", "ppo", "trpo")

    def experience(self, meta: Nest, params: Params, trajectory: Trajectory) -> Experience:
        """`Experience` for an inner step, of a `Trajectory` that `params` [N, ...] made."""
        raise NotImplementedError

    def query_experience(self, meta: Nest, params: Params, trajectory: Trajectory) -> Experience:
        """`Experience` for the outer step; that for an inner step unless a loss says otherwise."""
        return self.experience(meta, params, trajectory)

    def inner(self, meta: Nest, params: Params, support: Experience) -> tf.Tensor:
        """The loss [N] an inner step descends: params [N, ...], `Experience`."""
        raise NotImplementedError

    def surrogate(self, meta: Nest, params: Params, query: Experience) -> Surrogate:
        """`Surrogate` of adapted params [N, ...] on the query, an `Experience`."""
        raise NotImplementedError


class PolicyGradientLoss(TaskLoss):
    """The policy gradient with the advantages that a learner's config describes.

    Args:
      policy: a `Policy`.
      config: a `LearnerConfig`.
    """

    def __init__(self, policy: Policy, config: Any) -> None:
        self.policy = policy
        self.config = config

    def advantage(self, trajectory: Trajectory) -> tf.Tensor:
        """Advantages of a trajectory by the config's rule, [N, E, T]."""
        config = self.config.advantage
        return baselines.advantage(
            trajectory,
            config.discount,
            config.return_type,
            config.baseline,
            config.normalize,
            config.gae_lambda,
        )

    def experience(self, meta: Nest, params: Params, trajectory: Trajectory) -> Experience:
        return Experience(trajectory, self.advantage(trajectory))

    def inner(self, meta: Nest, params: Params, support: Experience) -> tf.Tensor:
        return policy_gradient(self.policy, params, support.trajectory, support.weight)


class SurrogateLoss(PolicyGradientLoss):
    """Of the gradient-based family: an estimator within, the surrogate of TRPO or PPO outside.

    Args:
      policy: a `Policy`.
      config: a `GradientConfig`.
    """

    def experience(self, meta: Nest, params: Params, trajectory: Trajectory) -> Experience:
        if self.config.inner_estimator != "dice":
            return self.query_experience(meta, params, trajectory)
        config = self.config.advantage
        credit = baselines.reward_credit(trajectory, config.discount, config.normalize)
        return Experience(trajectory, credit, self.acted(params, trajectory))

    def query_experience(self, meta: Nest, params: Params, trajectory: Trajectory) -> Experience:
        advantage = self.advantage(trajectory)
        return Experience(trajectory, advantage, self.acted(params, trajectory))

    def inner(self, meta: Nest, params: Params, support: Experience) -> tf.Tensor:
        estimator = ESTIMATORS[self.config.inner_estimator]
        return estimator(self.policy, params, support.trajectory, support.weight)

    def surrogate(self, meta: Nest, params: Params, query: Experience) -> Surrogate:
        trajectory = query.trajectory
        distribution = action_distribution(self.policy, params, trajectory)
        ratio = probability_ratio(distribution, trajectory)
        outer = self.config.outer
        if outer.optimizer == "ppo":
            loss = clipped_surrogate(ratio, query.weight, trajectory.mask, outer.clip_ratio)
        else:
            loss = surrogate(ratio, query.weight, trajectory.mask)
        return Surrogate(loss, distribution)

    def acted(self, params: Params, trajectory: Trajectory) -> Nest:
        """Parameters of the behaviour policy's distributions, as numbers: nest [N, E * T, ...]."""
        distribution = action_distribution(self.policy, params, trajectory)
        return nest.stop_gradient(distributions.tensors(distribution))  # data, like the actions
