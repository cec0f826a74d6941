"""Losses of supervised tasks, whose examples are episodes of one step."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

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
        return self.surrogate(meta, params, support).loss

    def surrogate(self, meta: Nest, params: Params, query: Experience) -> Surrogate:
        trajectory = query.trajectory
        distribution = self.policy(params, trajectory.observation[:, :, 0])
        return cross_entropy(distribution, trajectory.action[:, :, 0])


def cross_entropy(distribution: Any, label: tf.Tensor) -> Surrogate:
    """`Surrogate` of minus the mean log-probability of labels [N, B], with the accuracy.

    Args:
      distribution: `tfd.Categorical` of batch shape [N, B].
      label: [N, B].
    """
    said = tf.argmax(distribution.logits_parameter(), axis=-1, output_type=label.dtype)
    accuracy = tf.reduce_mean(tf.cast(said == label, tf.float32))
    loss = -tf.reduce_mean(distribution.log_prob(label), axis=1)
    return Surrogate(loss, metrics={"return_after": accuracy})
