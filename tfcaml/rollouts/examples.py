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


def classify(
    policy: Policy, environment: Any, params: Params, task: Task, num_episodes: int, key: tf.Tensor
) -> Trajectory:
    """Queries of few-shot tasks as one-step episodes, all of a task named together.

    Args:
      policy: a `Policy` of labels.
      environment: a `TaskFamily` with `query`.
      params: weights, each [N, ...].
      task: nest, leading [N].
      num_episodes: E, queries, of each class in turn; the same ones at every call.
      key: [2], which nothing depends on.

    Returns:
      `Trajectory` of one step, see `named`.
    """
    return named(policy, params, *environment.query(task, num_episodes))


def named(policy: Policy, params: Params, images: tf.Tensor, label: tf.Tensor) -> Trajectory:
    """Labelled images as one-step episodes, the label in place of the action.

    An episode's return is 1 where the policy's most probable label is the right one, else 0, so
    that a mean return is an accuracy.

    Args:
      policy: a `Policy` of labels.
      params: weights, each [N, ...].
      images: [N, E, ...].
      label: [N, E].

    Returns:
      `Trajectory` of one step.
    """
    distribution = policy(params, images)
    chosen = tf.argmax(distribution.logits_parameter(), axis=-1, output_type=label.dtype)
    reward = tf.cast(chosen == label, tf.float32)[:, :, None]
    log_prob = distribution.log_prob(label)[:, :, None]
    return labelled(images, label)._replace(reward=reward, log_prob=log_prob)


def labelled(images: tf.Tensor, label: tf.Tensor) -> Trajectory:
    """Labelled images [N, E, ...] as one-step episodes that nobody has named yet."""
    one_step = lambda value: value[:, :, None]
    ones = tf.ones([*label.shape, 1])
    examples = one_step(images), one_step(label)
    return Trajectory(*examples, 0 * ones, ones, 0 * ones, ones, images)
