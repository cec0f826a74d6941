"""Losses of supervised tasks, whose examples are episodes of one step."""

from __future__ import annotations

from typing import TYPE_CHECKING

import tensorflow as tf

from tfcaml.losses.task_loss import TaskLoss
from tfcaml.types import Experience, Nest, Params, Surrogate, Trajectory

if TYPE_CHECKING:
    from tfcaml.policies.base import Policy


class MeanSquaredError(TaskLoss):
    """The mean squared error of the policy's mean, of the targets that stand for the actions.

    C. Finn et al., ICML 2017, equation 2.

    Args:
      policy: a `Policy` of continuous actions.
    """

    outer_optimizers = ("adam",)

    def __init__(self, policy: Policy) -> None:
        self.policy = policy

    def experience(self, meta: Nest, params: Params, trajectory: Trajectory) -> Experience:
        return Experience(trajectory, trajectory.mask)

    def inner(self, meta: Nest, params: Params, support: Experience) -> tf.Tensor:
        trajectory = support.trajectory
        prediction = self.policy(params, trajectory.observation[:, :, 0]).mean()
        squared = tf.reduce_sum((prediction - trajectory.action[:, :, 0]) ** 2, axis=-1)
        return tf.reduce_mean(squared, axis=1)

    def surrogate(self, meta: Nest, params: Params, query: Experience) -> Surrogate:
        return Surrogate(self.inner(meta, params, query))


class CrossEntropy(TaskLoss):
    """Minus the mean log-probability of the labels, which stand for the actions.

    C. Finn et al., ICML 2017, equation 3, divided by the number of examples.

    Args:
      policy: a `Policy` of discrete actions.
    """

    outer_optimizers = ("adam",)

    def __init__(self, policy: Policy) -> None:
        self.policy = policy

    def experience(self, meta: Nest, params: Params, trajectory: Trajectory) -> Experience:
        return Experience(trajectory, trajectory.mask)

    def inner(self, meta: Nest, params: Params, support: Experience) -> tf.Tensor:
        trajectory = support.trajectory
        distribution = self.policy(params, trajectory.observation[:, :, 0])
        return -tf.reduce_mean(distribution.log_prob(trajectory.action[:, :, 0]), axis=1)

    def surrogate(self, meta: Nest, params: Params, query: Experience) -> Surrogate:
        return Surrogate(self.inner(meta, params, query))
