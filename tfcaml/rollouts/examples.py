"""Sampling the examples of supervised tasks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import tensorflow as tf

from tfcaml.types import Params, Task, Trajectory

if TYPE_CHECKING:
    from tfcaml.policies.base import Policy


def sample(
    policy: Policy, environment: Any, params: Params, task: Task, num_episodes: int, key: tf.Tensor
) -> Trajectory:
    """Examples as one-step episodes, the target in place of the action.

    An episode's return is minus the squared error of the policy's mean, so that a supervised task
    is evaluated like any other.

    Args:
      policy: a `Policy` of continuous actions.
      environment: a `TaskFamily` with `examples`.
      params: weights, each [N, ...].
      task: nest, leading [N].
      num_episodes: E, examples.
      key: [2].

    Returns:
      `Trajectory` of one step.
    """
    x, y = environment.examples(task, num_episodes, key)
    one_step = lambda value: value[:, :, None]
    error = tf.reduce_sum((policy(params, x).mean() - y) ** 2, axis=-1)
    ones = one_step(tf.ones_like(error))
    reward = one_step(-error)
    return Trajectory(one_step(x), one_step(y), reward, ones, 0 * ones, ones, x)
