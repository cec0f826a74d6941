"""One adaptation step: (fast parameters, trajectories) -> fast parameters.

The gradient of a sum over tasks with respect to weights [N, ...] is the stack of the tasks' own
gradients, because the loss of a task depends on that task's weights only. So one tape serves all
tasks, at every order of differentiation.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import tensorflow as tf

from tfcaml import nest
from tfcaml.types import FastState, Nest, Params

if TYPE_CHECKING:
    from tfcaml.optimization.optimizers import Optimizer


def gradient(loss: Callable[[Params], tf.Tensor], params: Params) -> tuple[tf.Tensor, Nest]:
    """Per-task gradient of a per-task loss.

    Args:
      loss: params -> [N].
      params: nest of [N, ...].

    Returns:
      (loss [N], gradient: nest like params; 0 for weights the loss does not depend on).
    """
    leaves = tf.nest.flatten(params)
    with tf.GradientTape() as tape:
        tape.watch(leaves)
        value = loss(params)
        total = tf.reduce_sum(value)
    gradients = tape.gradient(total, leaves, unconnected_gradients="zero")
    # A gather's gradient is sparse, and made dense it has lost its static shape.
    gradients = [tf.ensure_shape(g, leaf.shape) for g, leaf in zip(gradients, leaves)]
    return value, tf.nest.pack_sequence_as(params, gradients)


def step(
    loss: Callable[[Params], tf.Tensor],
    optimizer: Optimizer,
    fast: FastState,
    first_order: bool = False,
) -> tuple[FastState, tf.Tensor]:
    """One optimiser step on every task's own loss.

    Args:
      loss: params -> [N].
      optimizer: an `Optimizer`.
      fast: `FastState`.
      first_order: treat the gradient as a constant, so that the derivative of the result with
        respect to `fast.params` is the identity.

    Returns:
      (`FastState`, loss [N] before the step).
    """
    value, gradients = gradient(loss, fast.params)
    if first_order:
        gradients = nest.stop_gradient(gradients)  # cuts the path through the inner gradient
    params, slots = optimizer.apply(fast.params, gradients, fast.slots)
    return fast._replace(params=params, slots=slots), value
