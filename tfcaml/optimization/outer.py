"""Outer steps: (objective, meta parameters, batch) -> meta parameters, as pure functions.

An objective maps (meta, batch) to a `Surrogate`: the loss [N] of the policies adapted from `meta`
on the batch's support, and their action distributions at the query's steps. Every outer step
lowers the mean of the losses; they differ in how far they trust one batch.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import tensorflow as tf

from tfcaml import losses, nest
from tfcaml.optimization import optimizers
from tfcaml.policies import distributions
from tfcaml.types import MetaBatch, Metric, Nest, Surrogate

LOSS = "loss of the outer step"  # a chart
# What Adam as the outer step reports, by name.
METRICS = {
    "loss_before": Metric("Mean loss over the tasks of the batch before the outer step.", LOSS),
    "loss_after": Metric(
        "Mean loss over the tasks of the batch after the outer step; where Adam takes several "
        "steps on a batch, before the last of them, or of the parameters that are kept.",
        LOSS,
    ),
    "kl": Metric(
        "Mean KL divergence, nats, from the policies that acted to those adapted from the moved "
        "meta parameters, over the query's steps.",
        "KL of the outer step, nats",
    ),
}


class OuterOptimizer(NamedTuple):
    """init(meta) -> slots; step(objective, meta, slots, batch) -> (meta, slots, metrics)."""

    init: Callable
    step: Callable


def adam(
    learning_rate: float,
    num_steps: int = 1,
    keep_below_kl: float | None = None,
    minibatches: int = 1,
    max_grad_norm: float | None = None,
    decay_steps: int = 0,
) -> OuterOptimizer:
    """`num_steps` Adam steps on one batch, adapting anew from the moved parameters before each.

    With a clipped objective and several steps this is PPO; with one it is plain Adam.

    Args:
      learning_rate: number > 0.
      num_steps: at least 1.
      keep_below_kl: nats; of the parameters before each step, those of the lowest loss are kept
        whose KL from the policies that acted is below it. Adam's moments are those of all steps.
        None: the parameters after the last step are kept.
      minibatches: parts of the batch, of which a step takes the next one. Task i is in part
        i mod `minibatches`, a divisor of the number of tasks.
      max_grad_norm: number > 0, to which gradients of a larger norm over all parameters are scaled;
        None: none is.
      decay_steps: Adam steps over which the learning rate falls linearly to 0; 0: it doesn't.

    Returns:
      `OuterOptimizer`. Metrics: loss and KL from the policies that acted, before the first step and
      before the last, or of the parameters that are kept; of these steps' parts of the batch.
    """
    optimizer = optimizers.adam(learning_rate, decay_steps=decay_steps)
    if keep_below_kl is not None:
        return _guarded_adam(optimizer, num_steps, keep_below_kl, max_grad_norm)

    def step(
        objective: Callable[[Nest, MetaBatch], Surrogate], meta: Nest, slots: Nest, batch: MetaBatch
    ) -> tuple[Nest, Nest, dict[str, tf.Tensor]]:
        def body(
            index: tf.Tensor, meta: Nest, slots: Nest, losses: tf.TensorArray
        ) -> tuple[Any, ...]:
            part = _part(batch, index, minibatches)
            loss, kl, gradients, _ = _loss_and_gradient(objective, meta, part, max_grad_norm)
            meta, slots = optimizer.apply(meta, gradients, slots)
            return index + 1, meta, slots, losses.write(index, tf.stack([loss, kl]))

        if num_steps == 1:  # a loop of one step would only hide it from the graph optimiser
            loss, kl, gradients, more = _loss_and_gradient(objective, meta, batch, max_grad_norm)
            meta, slots = optimizer.apply(meta, gradients, slots)
            return meta, slots, {"loss_before": loss, "kl": kl, **dict(more)}
        dtype = tf.nest.flatten(meta)[0].dtype
        history = tf.TensorArray(dtype, num_steps, element_shape=[2])
        _, meta, slots, history = tf.while_loop(
            lambda index, *_: index < num_steps,
            body,
            (0, meta, slots, history),
            maximum_iterations=num_steps,
            parallel_iterations=1,
        )
        history = history.stack()
        metrics = {"loss_before": history[0, 0], "loss_after": history[-1, 0], "kl": history[-1, 1]}
        return meta, slots, metrics

    return OuterOptimizer(optimizer.init, step)


def _guarded_adam(
    optimizer: optimizers.Optimizer,
    num_steps: int,
    keep_below_kl: float,
    max_grad_norm: float | None,
) -> OuterOptimizer:
    """`adam` with `keep_below_kl`."""

    def step(
        objective: Callable[[Nest, MetaBatch], Surrogate], meta: Nest, slots: Nest, batch: MetaBatch
    ) -> tuple[Nest, Nest, dict[str, tf.Tensor]]:
        def body(
            index: tf.Tensor, meta: Nest, slots: Nest, kept: Nest, found: dict[str, tf.Tensor]
        ) -> tuple[Any, ...]:
            loss, kl, gradients, _ = _loss_and_gradient(objective, meta, batch, max_grad_norm)
            first = index == 0
            better = first | ((loss < found["loss_after"]) & (kl < keep_below_kl))
            kept = nest.map(lambda new, old: tf.where(better, new, old), meta, kept)
            finite = tf.math.is_finite(loss + kl)  # what is not stays to be seen
            found = {
                "loss_before": tf.where(first, loss, found["loss_before"]),
                "loss_after": tf.where(better | ~finite, loss, found["loss_after"]),
                "kl": tf.where(better | ~finite, kl, found["kl"]),
            }
            meta, slots = optimizer.apply(meta, gradients, slots)
            return index + 1, meta, slots, kept, found

        zero = tf.zeros([], tf.nest.flatten(meta)[0].dtype)
        found = dict.fromkeys(("loss_before", "loss_after", "kl"), zero)
        _, _, slots, kept, found = tf.while_loop(
            lambda index, *_: index < num_steps,
            body,
            (0, meta, slots, meta, found),
            maximum_iterations=num_steps,
            parallel_iterations=1,
        )
        return kept, slots, found

    return OuterOptimizer(optimizer.init, step)


def _part(batch: MetaBatch, index: tf.Tensor, minibatches: int) -> MetaBatch:
    """The part of a batch that step number `index` takes."""
    if minibatches == 1:
        return batch

    def rows(x: tf.Tensor) -> tf.Tensor:
        parts = tf.reshape(x, [x.shape[0] // minibatches, minibatches, *x.shape[1:]])
        return tf.gather(parts, index % minibatches, axis=1)

    return nest.map(rows, batch)


def _loss_and_gradient(
    objective: Callable[[Nest, MetaBatch], Surrogate],
    meta: Nest,
    batch: MetaBatch,
    max_grad_norm: float | None = None,
) -> tuple[tf.Tensor, tf.Tensor, Nest, Nest]:
    """(mean loss, KL from what acted, gradient of a norm that is no larger: nest like meta, the
    metrics of the `Surrogate`)."""
    leaves = tf.nest.flatten(meta)
    with tf.GradientTape() as tape:
        tape.watch(leaves)
        result = objective(meta, batch)
        loss = tf.reduce_mean(result.loss)
    gradients = tape.gradient(loss, leaves, unconnected_gradients="zero")
    gradients = [tf.convert_to_tensor(g) for g in gradients]
    if max_grad_norm is not None:
        gradients, _ = tf.clip_by_global_norm(gradients, max_grad_norm)
    packed = tf.nest.pack_sequence_as(meta, gradients)
    return loss, mean_kl(result, batch), packed, result.metrics


def mean_kl(result: Surrogate, batch: MetaBatch) -> tf.Tensor:
    """Mean over tasks of KL(acted || adapted) on the query, nats; 0 without distributions."""
    if result.kl is not None:
        return tf.reduce_mean(result.kl)
    if result.distribution is None:
        return tf.zeros([], result.loss.dtype)
    acted = distributions.rebuild(result.distribution, batch.query.distribution)
    mask = batch.query.trajectory.mask
    return tf.reduce_mean(losses.mean_kl(acted, result.distribution, mask))
