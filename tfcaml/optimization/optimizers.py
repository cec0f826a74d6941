"""Gradient optimisers as pure pairs of functions, for one set of weights or one per task.

`tf.keras` optimisers keep their state in variables and share one step count; adaptation needs the
state as a value with a task axis, so that it can travel with a policy, be gathered and be reset.
"""

from collections.abc import Callable
from typing import NamedTuple

import tensorflow as tf

from tfcaml import nest
from tfcaml.errors import check_one_of, check_positive
from tfcaml.types import Nest, Params


class Optimizer(NamedTuple):
    """init(params) -> slots; apply(params, gradients, slots) -> (params, slots)."""

    init: Callable
    apply: Callable


def sgd(learning_rate: float, later_step_scale: float = 1.0) -> Optimizer:
    """Gradient descent; differentiable to any order.

    Args:
      learning_rate: of the first step.
      later_step_scale: of the learning rate, from the second step on.

    Returns:
      `Optimizer`. Its slots are `()` if all steps are alike, else the steps taken so far: [N], or a
      scalar with `num_tasks=None`.
    """
    if later_step_scale == 1:

        def move_alike(params: Params, gradients: Nest, slots: Nest) -> tuple[Nest, Nest]:
            return nest.map(lambda p, g: p - learning_rate * g, params, gradients), slots

        return Optimizer(lambda params, num_tasks=None: (), move_alike)

    def init(params: Params, num_tasks: int | None = None) -> Nest:
        return tf.zeros([] if num_tasks is None else [num_tasks])

    def apply(params: Params, gradients: Nest, count: tf.Tensor) -> tuple[Nest, Nest]:
        rate = tf.where(count == 0, learning_rate, learning_rate * later_step_scale)

        def move(p: tf.Tensor, g: tf.Tensor) -> tf.Tensor:
            shape = count.shape + [1] * (p.shape.rank - count.shape.rank)
            return p - tf.reshape(tf.cast(rate, p.dtype), shape) * g

        return nest.map(move, params, gradients), count + 1

    return Optimizer(init, apply)


def adam(
    learning_rate: float,
    beta_1: float = 0.9,
    beta_2: float = 0.999,
    epsilon: float = 1e-8,
    decay_steps: int = 0,
) -> Optimizer:
    """Adam (Kingma & Ba 2015, Algorithm 1), with a step count per task.

    `init(params, num_tasks)` counts steps per task for params of leading [num_tasks], or once for
    all with `num_tasks=None`. Differentiable; where a second moment is 0, as of a weight that never
    had a gradient, its root counts as a constant.

    Args:
      learning_rate: of the first step.
      beta_1, beta_2, epsilon: as in the paper.
      decay_steps: steps over which the learning rate falls to 0, by as much in each, and stays
        there; 0: it stays as it is.
    """

    def init(params: Params, num_tasks: int | None = None) -> Nest:
        zeros = nest.map(tf.zeros_like, params)
        shape = [] if num_tasks is None else [num_tasks]
        return {"m": zeros, "v": nest.map(tf.identity, zeros), "count": tf.zeros(shape)}

    def apply(params: Params, gradients: Nest, slots: Nest) -> tuple[Nest, Nest]:
        count = slots["count"] + 1
        m = nest.map(lambda m, g: beta_1 * m + (1 - beta_1) * g, slots["m"], gradients)
        v = nest.map(lambda v, g: beta_2 * v + (1 - beta_2) * g * g, slots["v"], gradients)

        def step(p: tf.Tensor, m: tf.Tensor, v: tf.Tensor) -> tf.Tensor:
            n = tf.cast(
                tf.reshape(count, count.shape + [1] * (p.shape.rank - count.shape.rank)), p.dtype
            )
            m_hat = m / (1 - beta_1**n)
            v_hat = v / (1 - beta_2**n)
            left = tf.maximum(1 - (n - 1) / decay_steps, 0) if decay_steps else 1
            return p - learning_rate * left * m_hat / (_root(v_hat) + epsilon)

        return nest.map(step, params, m, v), {"m": m, "v": v, "count": count}

    return Optimizer(init, apply)


def _root(x: tf.Tensor) -> tf.Tensor:
    """The square root, of derivative 0 at 0."""
    # By selection: an export with a gradient of its own would warn whoever loads it.
    positive = x > 0
    return tf.where(positive, tf.sqrt(tf.where(positive, x, tf.ones_like(x))), tf.zeros_like(x))


def rmsprop(learning_rate: float, decay: float = 0.99, epsilon: float = 0.01) -> Optimizer:
    """RMSProp (T. Tieleman, G. Hinton 2012), epsilon within the root; differentiable to any order.

    As in TensorFlow 1, whose optimiser IMPALA has: v <- decay v + (1 - decay) g^2, from v = 1 on,
    and p <- p - rate g / sqrt(v + epsilon).
    """

    def init(params: Params, num_tasks: int | None = None) -> Nest:
        return nest.map(tf.ones_like, params)

    def apply(params: Params, gradients: Nest, slots: Nest) -> tuple[Nest, Nest]:
        slots = nest.map(lambda v, g: decay * v + (1 - decay) * g * g, slots, gradients)
        move = lambda p, g, v: p - learning_rate * g * tf.math.rsqrt(v + epsilon)
        return nest.map(move, params, gradients, slots), slots

    return Optimizer(init, apply)


def clipped(optimizer: Optimizer, max_norm: float) -> Optimizer:
    """The optimiser on gradients [N, ...] of at most this norm over all weights of a task.

    Differentiable where the optimiser is.
    """

    def apply(params: Params, gradients: Nest, slots: Nest) -> tuple[Nest, Nest]:
        square = lambda g: tf.reduce_sum(tf.reshape(g, [g.shape[0], -1]) ** 2, axis=1)
        total = tf.add_n([square(g) for g in tf.nest.flatten(gradients)])
        scale = max_norm * tf.math.rsqrt(tf.maximum(total, max_norm**2))
        gradients = nest.map(lambda g: g * nest.expand(scale, g), gradients)
        return optimizer.apply(params, gradients, slots)

    return Optimizer(optimizer.init, apply)


_OPTIMIZERS: dict[str, Callable[[float], Optimizer]] = {
    "adam": adam,
    "rmsprop": rmsprop,
    "sgd": sgd,
}


def by_name(name: str, learning_rate: float) -> Optimizer:
    """The optimiser called "adam", "rmsprop" or "sgd".

    Raises:
      ConfigError: another name, or a learning rate that is not positive.
    """
    check_one_of("optimizer", name, tuple(_OPTIMIZERS))
    check_positive(learning_rate=learning_rate)
    return _OPTIMIZERS[name](learning_rate)
