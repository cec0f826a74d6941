"""Trajectories of tfcaml as those of TF-Agents, and back."""

from collections.abc import Mapping

import numpy as np
import tensorflow as tf
from tf_agents.trajectories import policy_step
from tf_agents.trajectories import time_step as ts
from tf_agents.trajectories import trajectory as tf_agents_trajectory

from tfcaml import nest
from tfcaml.environments.base import TaskFamily
from tfcaml.errors import check, check_is, checked_call
from tfcaml.rollouts.demonstrations import Demonstrations
from tfcaml.types import Nest, Task, Trajectory


def policy_info(info: Nest, episode_noise: Nest, said: Nest) -> Nest:
    """TF-Agents' `policy_info` with what else is needed to live through an episode again.

    Args:
      info: `()`, or a dict.
      episode_noise: nest of what the policy drew once for the episode, repeated at each step.
      said: nest of the `info` of `Policy.play`.

    Returns:
      `info`, with "episode_noise" and "info" if there are any.
    """
    more = {"episode_noise": episode_noise, "info": said}
    more = {name: value for name, value in more.items() if tf.nest.flatten(value)}
    return {**dict(info), **more} if more else info


def recorded_info(trajectory: Trajectory) -> Nest:
    """The `policy_info` that `AdaptedPolicy` would have given at the steps of a `Trajectory`.

    Args:
      trajectory: `Trajectory` [N, E, T, ...].
    """
    steps = trajectory.reward.shape[2]
    at_each = lambda x: tf.repeat(x[:, :, None], steps, axis=2)
    info = policy_info((), nest.map(at_each, trajectory.episode_noise), trajectory.info)
    return policy_step.set_log_probability(info, trajectory.log_prob)


def to_tf_agents(trajectory: Trajectory, policy_info: Nest = ()) -> tf_agents_trajectory.Trajectory:
    """A `Trajectory` as TF-Agents' `Trajectory`, every leaf [N, E, T, ...].

    The last living step of an episode leads to a step of type LAST, with discount 0 if the episode
    terminated and 1 if it reached its horizon. Padded steps are what TF-Agents puts between
    episodes: from LAST to FIRST.

    Args:
      trajectory: `Trajectory`.
      policy_info: nest of [N, E, T, ...].
    """
    alive = trajectory.mask > 0
    next_alive = tf.concat([alive[..., 1:], tf.zeros_like(alive[..., :1])], axis=-1)
    is_first = tf.range(alive.shape[-1]) == 0
    in_episode = tf.where(is_first, ts.StepType.FIRST, ts.StepType.MID)
    step_type = tf.where(alive, in_episode, ts.StepType.LAST)
    next_in_episode = tf.where(next_alive, ts.StepType.MID, ts.StepType.LAST)
    return tf_agents_trajectory.Trajectory(
        step_type=step_type,
        observation=trajectory.observation,
        action=trajectory.action,
        policy_info=policy_info,
        next_step_type=tf.where(alive, next_in_episode, ts.StepType.FIRST),
        reward=trajectory.reward,
        discount=1 - trajectory.terminated,
    )


def from_tf_agents(trajectory: tf_agents_trajectory.Trajectory, log_prob: tf.Tensor) -> Trajectory:
    """TF-Agents' `Trajectory` as ours; the opposite of `to_tf_agents`.

    Rows begin with an episode's first step, as drivers and replay buffers give them when they keep
    episodes apart. What follows the end of a row's first episode is padding. Where a row ends with
    its episode, so that the observation after it is missing, the last one stands in for it.

    Args:
      trajectory: TF-Agents' `Trajectory`, every leaf [N, E, T, ...]. What its `policy_info` says
        beside the log-probability, see `policy_info`, is kept.
      log_prob: [N, E, T]  of the actions under the policy that acted, nats.
    """
    ended = tf.cumsum(tf.cast(trajectory.step_type == ts.StepType.LAST, tf.int32), axis=-1) > 0
    mask = tf.cast(~ended, trajectory.reward.dtype)
    terminated = (trajectory.next_step_type == ts.StepType.LAST) & (trajectory.discount == 0)
    length = tf.reduce_sum(tf.cast(~ended, tf.int32), axis=-1)
    last = tf.minimum(length, ended.shape[-1] - 1)
    told = trajectory.policy_info if isinstance(trajectory.policy_info, Mapping) else {}
    return Trajectory(
        observation=trajectory.observation,
        action=trajectory.action,
        reward=trajectory.reward * mask,
        mask=mask,
        log_prob=log_prob,
        terminated=tf.cast(terminated, mask.dtype) * mask,
        final_observation=nest.map(
            lambda x: tf.gather(x, last, axis=2, batch_dims=2), trajectory.observation
        ),
        episode_noise=nest.map(lambda x: x[:, :, 0], told.get("episode_noise", ())),
        info=told.get("info", ()),
    )


@checked_call
def demonstrations(
    trajectory: tf_agents_trajectory.Trajectory, task: Task, environment: TaskFamily
) -> Demonstrations:
    """What TF-Agents' trajectories show of tasks, to learn from, see `learners.MIL`.

    Of each row the first episode is taken, see `from_tf_agents`.

    Args:
      trajectory: TF-Agents' `Trajectory`, every leaf [N, E, T, ...]: E episodes of each task.
      task: nest, leading [N].
      environment: the `TaskFamily` of the tasks.

    Raises:
      ConfigError: something else than a `Trajectory`, one without the three axes, or one that is
        not of the family's tasks; see `Demonstrations.from_arrays`.
    """
    kind = tf_agents_trajectory.Trajectory
    check_is("trajectory", trajectory, kind, "a Trajectory of TF-Agents")
    step_type = tf.convert_to_tensor(trajectory.step_type)
    fits = step_type.shape.rank == 3 and 0 not in step_type.shape
    check(fits, "shape of step_type", step_type.shape, "[N, E, T], each 1 at least")
    for name in ("observation", "action", "next_step_type", "reward", "discount"):
        leaves = [np.asarray(x) for x in tf.nest.flatten(getattr(trajectory, name))]
        shapes = [list(x.shape) for x in leaves]
        first = list(step_type.shape)
        same = shapes and all(shape[:3] == first for shape in shapes)
        check(same, f"shapes of {name}", shapes, f"{first} and what follows, as of step_type")
    ours = from_tf_agents(
        nest.map(tf.convert_to_tensor, trajectory), tf.zeros(step_type.shape, tf.float32)
    )
    mask = tf.cast(ours.mask, tf.float32)
    return Demonstrations.from_arrays(environment, task, ours.observation, ours.action, mask)
