"""Outer steps: (objective, meta parameters, batch) -> meta parameters, as pure functions.

An objective maps (meta, batch) to a `Surrogate`: the loss [N] of the policies adapted from `meta`
on the batch's support, and their action distributions at the query's steps. Every outer step
lowers the mean of the losses; they differ in how far they trust one batch.
"""

import functools
import itertools
from collections.abc import Callable
from typing import NamedTuple

import tensorflow as tf

from tfcaml import losses, nest
from tfcaml.optimization import optimizers
from tfcaml.policies import distributions

_STEPS_PER_PART = 10_000  # of the query, see `_by_parts`
_MAX_PARTS = 8  # bounds the time that tracing takes


class OuterOptimizer(NamedTuple):
    """init(meta) -> slots; step(objective, meta, slots, batch) -> (meta, slots, metrics)."""

    init: Callable
    step: Callable


def adam(learning_rate, num_steps=1):
    """`num_steps` Adam steps on one batch, adapting anew from the moved parameters before each.

    With a clipped objective and several steps this is PPO; with one it is plain Adam.

    Args:
      learning_rate: number > 0.
      num_steps: at least 1.

    Returns:
      `OuterOptimizer`. Metrics: loss and KL from the policies that acted, before the first and
      before the last step.
    """
    optimizer = optimizers.adam(learning_rate)

    def step(objective, meta, slots, batch):
        def body(index, meta, slots, losses):
            loss, kl, gradients = _loss_and_gradient(objective, meta, batch)
            meta, slots = optimizer.apply(meta, gradients, slots)
            return index + 1, meta, slots, losses.write(index, tf.stack([loss, kl]))

        if num_steps == 1:  # a loop of one step would only hide it from the graph optimiser
            loss, kl, gradients = _loss_and_gradient(objective, meta, batch)
            meta, slots = optimizer.apply(meta, gradients, slots)
            return meta, slots, {"loss_before": loss, "kl": kl}
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


def trpo(
    max_kl=0.01,
    damping=1e-5,
    cg_iterations=10,
    backtrack_ratio=0.8,
    max_backtracks=15,
    products="gauss_newton",
    fisher_subsample=None,
):
    """Trust region policy optimisation of the adapted policies.

    J. Schulman et al., "Trust region policy optimization", ICML 2015, appendix C: conjugate
    gradient on products with the Hessian of the mean KL(old || new) of the adapted policies, then
    a backtracking line search that takes the first step with a lower loss and a KL of at most
    `max_kl`. When there is none the parameters stay as they are.

    Args:
      max_kl: delta, nats.
      damping: added to the Hessian's diagonal.
      cg_iterations: of the conjugate gradient.
      backtrack_ratio: from one length of the step to the next.
      max_backtracks: lengths tried.
      products: a name in `PRODUCTS`.
      fisher_subsample: tasks used in the products, or None for all. They are the first ones of
        the batch, a random choice as tasks come in random order; the line search sees all.

    Returns:
      `OuterOptimizer` without slots.
    """

    def step(objective, meta, slots, batch):
        theta, unravel = nest.ravel(meta)

        def evaluate(vector, batch=batch):
            return objective(unravel(vector), batch)

        if fisher_subsample is None:
            loss, gradient, hessian_product = _by_parts(PRODUCTS[products], evaluate, theta, batch)
        else:
            part = nest.map(lambda x: x[:fisher_subsample], batch)
            hessian_product = _by_parts(PRODUCTS[products], evaluate, theta, part)[-1]
            loss, gradient = _vector_gradient(evaluate, theta)
        product = lambda vector: hessian_product(vector) + damping * vector
        direction, residual = conjugate_gradient(product, gradient, cg_iterations)
        # x^T H x without another product: H x is what the residual lacks of the gradient.
        curvature = tf.tensordot(direction, gradient - residual, 1)
        full_step = direction * tf.sqrt(2 * max_kl / (tf.maximum(curvature, 0) + 1e-8))

        def outcome(vector):
            result = evaluate(vector)
            return tf.reduce_mean(result.loss), _mean_kl(result, batch)

        vector, metrics = line_search(
            outcome, theta, full_step, loss, max_kl, backtrack_ratio, max_backtracks
        )
        metrics["gradient_norm"] = tf.norm(gradient)
        return unravel(vector), slots, metrics

    return OuterOptimizer(lambda meta: (), step)


def conjugate_gradient(product, b, num_iterations):
    """Solves A x = b for a symmetric positive definite A given by its products.

    Args:
      product: [P] -> [P].
      b: [P].
      num_iterations: at most; fewer when the squared residual is below 1e-10.

    Returns:
      (x [P], residual b - A x [P]).
    """

    def body(index, x, residual, p, squared):
        a_p = product(p)
        rate = squared / tf.tensordot(p, a_p, 1)
        x += rate * p
        residual -= rate * a_p
        next_squared = tf.tensordot(residual, residual, 1)
        return index + 1, x, residual, residual + next_squared / squared * p, next_squared

    state = (0, tf.zeros_like(b), b, b, tf.tensordot(b, b, 1))
    return tf.while_loop(
        lambda index, x, residual, p, squared: (index < num_iterations) & (squared > 1e-10),
        body,
        state,
        parallel_iterations=1,
    )[1:3]


def line_search(outcome, theta, full_step, loss_before, max_kl, ratio, max_tries):
    """The longest of theta - ratio^j full_step, j < max_tries, that is allowed; else theta.

    Allowed is a loss below `loss_before` and a KL of at most `max_kl`; neither holds for a NaN,
    which is left in the metrics when no step was allowed.

    Args:
      outcome: vector [P] -> (loss, KL).
      theta, full_step: [P].
      loss_before, max_kl, ratio: numbers.
      max_tries: at least 1.

    Returns:
      (vector [P], metrics: losses, KL, whether a step was accepted, and how many were tried and
      refused for their loss or their KL).
    """

    def body(tries, length, vector, loss, kl, accepted, by_loss, by_kl):
        vector = theta - length * full_step
        loss, kl = outcome(vector)
        lower, near = loss < loss_before, kl <= max_kl
        count = lambda total, fine: total + tf.cast(~fine, tf.int32)
        return (
            tries + 1,
            length * ratio,
            vector,
            loss,
            kl,
            lower & near,
            count(by_loss, lower),
            count(by_kl, near),
        )

    one = tf.ones([], theta.dtype)
    state = (0, one, theta, loss_before, 0 * one, tf.constant(False), 0, 0)
    tries, _, vector, loss, kl, accepted, by_loss, by_kl = tf.while_loop(
        lambda tries, length, vector, loss, kl, accepted, *_: (tries < max_tries) & ~accepted,
        body,
        state,
        parallel_iterations=1,
    )
    # Where the shortest step still gave no number it stays to be seen.
    shown = accepted | ~tf.math.is_finite(loss + kl)
    metrics = {
        "loss_before": loss_before,
        "loss_after": tf.where(shown, loss, loss_before),
        "kl": tf.where(shown, kl, 0),
        "step_accepted": tf.cast(accepted, tf.int32),
        "step_rejected": tf.cast(~accepted, tf.int32),
        "line_search_tries": tries,
        "refused_by_loss": by_loss,
        "refused_by_kl": by_kl,
    }
    return tf.where(accepted, vector, theta), metrics


def gauss_newton_products(evaluate, theta, batch):
    """v -> J^T M J v: J of the distributions' parameters, M the Hessian of the KL in these.

    At the policies that acted the gradient of the KL is 0, so this is its whole Hessian in `theta`
    and no second derivative of the policies is needed. J is linearised once, for all products: a
    product is one pass forward (the derivative of J^T u with respect to u) and one back.

    Of a `Surrogate` with a KL of its own `hessian_products` are taken.

    Args:
      evaluate: vector [P] -> `Surrogate`.
      theta: [P].
      batch: `MetaBatch` whose query holds the distributions that acted.

    Returns:
      (mean loss, its gradient [P], products: [P] -> [P]).
    """
    with tf.GradientTape(persistent=True) as forward:
        forward.watch(theta)
        result = evaluate(theta)
        if result.kl is not None:
            return hessian_products(evaluate, theta, batch)
        loss = tf.reduce_mean(result.loss)
        y = distributions.tensors(result.distribution)
    cotangent = nest.map(tf.zeros_like, y)
    with tf.GradientTape(persistent=True) as backward:
        backward.watch(tf.nest.flatten(cotangent))
        pulled = forward.gradient(
            y, theta, output_gradients=cotangent, unconnected_gradients="zero"
        )
    values = nest.stop_gradient(y)  # the metric is taken at theta, as a number
    with tf.GradientTape(persistent=True) as second:
        second.watch(tf.nest.flatten(values))
        with tf.GradientTape() as first:
            first.watch(tf.nest.flatten(values))
            moved = distributions.rebuild(result.distribution, values)
            kl = _mean_kl(result._replace(distribution=moved), batch)
        slope = first.gradient(kl, values, unconnected_gradients="zero")

    def product(vector):
        tangent = backward.gradient(
            pulled, cotangent, output_gradients=vector, unconnected_gradients="zero"
        )
        metric = second.gradient(
            slope, values, output_gradients=tangent, unconnected_gradients="zero"
        )
        return forward.gradient(y, theta, output_gradients=metric, unconnected_gradients="zero")

    return loss, forward.gradient(loss, theta), product


def hessian_products(evaluate, theta, batch):
    """v -> (Hessian of the mean KL in theta) v by two passes back; arguments as above.

    The same numbers as `gauss_newton_products`, at about twice its price.
    """
    with tf.GradientTape(persistent=True) as second:
        second.watch(theta)
        with tf.GradientTape(persistent=True) as first:
            first.watch(theta)
            result = evaluate(theta)
            loss = tf.reduce_mean(result.loss)
            kl = _mean_kl(result, batch)
        slope = first.gradient(kl, theta)

    def product(vector):
        return second.gradient(slope, theta, output_gradients=vector)

    return loss, first.gradient(loss, theta), product


def _by_parts(products, evaluate, theta, batch):
    """`products` over a few tasks at a time, averaged: the same numbers from nearer memory.

    A sixth quicker for 20 tasks of 2,000 steps with 100 units, as what a part touches stays in the
    processor's cache.
    """
    num_tasks = nest.leading(batch)
    num_steps = batch.query.weight.shape.num_elements()
    num_parts = min(-(-num_steps // _STEPS_PER_PART), _MAX_PARTS, num_tasks)
    bounds = [num_tasks * i // num_parts for i in range(num_parts + 1)]
    parts = [nest.map(lambda x: x[i:j], batch) for i, j in itertools.pairwise(bounds)]
    sizes = [j - i for i, j in itertools.pairwise(bounds)]
    results = [products(functools.partial(evaluate, batch=part), theta, part) for part in parts]
    part_losses, gradients, part_products = zip(*results)

    def average(values):
        return sum(value * (size / num_tasks) for value, size in zip(values, sizes))

    def product(vector):
        return average([part_product(vector) for part_product in part_products])

    return average(part_losses), average(gradients), product


# name in a config -> (evaluate, theta, batch) -> (loss, gradient, products)
PRODUCTS = {"gauss_newton": gauss_newton_products, "hessian": hessian_products}


def _vector_gradient(evaluate, theta):
    """(mean loss, its gradient [P])."""
    with tf.GradientTape() as tape:
        tape.watch(theta)
        loss = tf.reduce_mean(evaluate(theta).loss)
    return loss, tape.gradient(loss, theta)


def _loss_and_gradient(objective, meta, batch):
    """(mean loss, KL from what acted, gradient: nest like meta)."""
    leaves = tf.nest.flatten(meta)
    with tf.GradientTape() as tape:
        tape.watch(leaves)
        result = objective(meta, batch)
        loss = tf.reduce_mean(result.loss)
    gradients = tape.gradient(loss, leaves, unconnected_gradients="zero")
    gradients = [tf.convert_to_tensor(g) for g in gradients]
    return loss, _mean_kl(result, batch), tf.nest.pack_sequence_as(meta, gradients)


def _mean_kl(result, batch):
    """Mean over tasks of KL(acted || adapted) on the query, nats; 0 without distributions."""
    if result.kl is not None:
        return tf.reduce_mean(result.kl)
    if result.distribution is None:
        return tf.zeros([], result.loss.dtype)
    acted = distributions.rebuild(result.distribution, batch.query.distribution)
    mask = batch.query.trajectory.mask
    return tf.reduce_mean(losses.mean_kl(acted, result.distribution, mask))
