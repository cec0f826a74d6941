"""Behaviour cloning: how far a policy is from what demonstrations show."""

from __future__ import annotations

import tensorflow as tf

from tfcaml import nest
from tfcaml.losses.policy_gradient import mean_over_steps
from tfcaml.losses.task_loss import TaskLoss
from tfcaml.policies.imitation import ImitationPolicy
from tfcaml.types import Experience, Nest, Params, Surrogate, Trajectory


class BehaviourCloning(TaskLoss):
    """The mean square of m times the error, over valid steps and the parts of an action.

    C. Finn, T. Yu et al., "One-shot visual imitation learning via meta-learning", CoRL 2017,
    equation 1 and section 4.2: an inner step judges a demonstration by what
    `ImitationPolicy.judged` says, held against its actions or, where it has none, against 0. Where
    the policy predicts poses at the end of an episode, `pose_weight` times the mean square of their
    error is added, except in demonstrations that do not tell it.

    Args:
      policy: an `ImitationPolicy`.
      multiplier: m.
      pose_weight: of poses, in deviations.
      has_actions: whether demonstrations have actions.
      has_states: whether they tell where they end.
    """

    outer_optimizers = ("adam",)
    policy: ImitationPolicy

    def __init__(
        self,
        policy: ImitationPolicy,
        multiplier: float,
        pose_weight: float,
        has_actions: bool,
        has_states: bool,
    ) -> None:
        self.policy = policy
        self.multiplier, self.pose_weight = multiplier, pose_weight
        self.has_actions, self.has_states = has_actions, has_states

    def experience(self, meta: Nest, params: Params, trajectory: Trajectory) -> Experience:
        return Experience(trajectory, trajectory.mask)

    def inner(self, meta: Nest, params: Params, support: Experience) -> tf.Tensor:
        trajectory = support.trajectory
        said, pose = self.policy.judged(params, trajectory.observation, trajectory.mask)
        wanted = trajectory.action if self.has_actions else tf.zeros_like(trajectory.action)
        poses = self._of_poses(params, trajectory, pose) if self.has_states else 0.0
        return self._of_actions(said, wanted, trajectory.mask) + poses

    def surrogate(self, meta: Nest, params: Params, query: Experience) -> Surrogate:
        trajectory = query.trajectory
        flat = nest.flat_steps(trajectory.observation)
        steps = lambda x: tf.reshape(x, [*nest.axes(trajectory.mask), x.shape[-1]])
        action, pose = map(steps, self.policy.predicted(params, flat))
        loss = self._of_actions(action, trajectory.action, trajectory.mask)
        return Surrogate(loss + self._of_poses(params, trajectory, pose))

    def _of_actions(self, action: tf.Tensor, wanted: tf.Tensor, mask: tf.Tensor) -> tf.Tensor:
        error = self.multiplier * (action - tf.cast(wanted, action.dtype))
        mask = tf.cast(mask, action.dtype)
        return mean_over_steps(tf.reduce_mean(error**2, axis=-1), mask)

    def _of_poses(
        self, params: Params, trajectory: Trajectory, predicted: tf.Tensor
    ) -> tf.Tensor | float:
        """The weighted error [N] of the poses [N, D, T, P] at the end of episodes."""
        if not self.policy.pose:
            return 0.0
        ends = self.policy.pose_of(params, trajectory.final_observation)
        error = tf.reduce_mean((predicted - ends[:, :, None]) ** 2, axis=-1)
        return self.pose_weight * mean_over_steps(error, tf.cast(trajectory.mask, error.dtype))
