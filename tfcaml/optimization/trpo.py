"""Trust region policy optimisation as an outer step.

J. Schulman, S. Levine, P. Moritz, M. Jordan, P. Abbeel, "Trust region policy optimization",
ICML 2015, appendix C.
"""

import functools
import itertools
from collections.abc import Callable, Iterable
from typing import Any

import tensorflow as tf

from tfcaml import nest
from tfcaml.optimization.outer import OuterOptimizer, mean_kl
from tfcaml.policies import distributions
from tfcaml.types import MetaBatch, Metric, Nest, Surrogate

_LINE_SEARCH = "line search of the outer step"
# What TRPO reports, by name.
METRICS = {
    "gradient_norm": Metric("Length of the gradient of the outer loss."),
    "step_accepted": Metric("1 where the line search took a step, else 0."),
    "step_rejected": Metric(
        "1 where the line search took no step, so that the meta parameters stayed, else 0.",
        _LINE_SEARCH,
    ),
    "line_search_tries": Metric("How many lengths of the step were tried.", _LINE_SEARCH),
    "refused_by_loss": Metric(
        "How many lengths were refused because they did not lower the loss.", _LINE_SEARCH
    ),
    "refused_by_kl": Metric(
        "How many lengths were refused because their KL divergence was above the limit.",
        _LINE_SEARCH,
    ),
}

_STEPS_PER_PART = 10_000  # of the query, see `_by_parts`
_MAX_PARTS = 8  # bounds the time that tracing takes


def trpo(
    max_kl: float = 0.01,
    damping: float = 1e-5,
    cg_iterations: int = 5,
    backtrack_ratio: float = 0.8,
    max_backtracks: int = 15,
    products: str = "gauss_newton",
    fisher_subsample: int = 5,
) -> OuterOptimizer:
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
      fisher_subsample: tasks used in the products, at most; 0: all. They are the first ones of
        the batch, a random choice as tasks come in random order; the line search sees all.

    Returns:
      `OuterOptimizer` without slots.
    """

    def step(
        objective: Callable[[Nest, MetaBatch], Surrogate], meta: Nest, slots: Nest, batch: MetaBatch
    ) -> tuple[Nest, Nest, dict[str, tf.Tensor]]:
        theta, unravel = nest.ravel(meta)

        def evaluate(vector: tf.Tensor, batch: MetaBatch = batch) -> Surrogate:
            return objective(unravel(vector), batch)

        if not 0 < fisher_subsample < nest.leading(batch):
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

        def outcome(vector: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            result = evaluate(vector)
            return tf.reduce_mean(result.loss), mean_kl(result, batch)

        vector, metrics = line_search(
            outcome, theta, full_step, loss, max_kl, backtrack_ratio, max_backtracks
        )
        metrics["gradient_norm"] = tf.norm(gradient)
        return unravel(vector), slots, metrics

    return OuterOptimizer(lambda meta: (), step)


def conjugate_gradient(
    product: Callable[[tf.Tensor], tf.Tensor], b: tf.Tensor, num_iterations: int
) -> tuple[tf.Tensor, tf.Tensor]:
    """Solves A x = b for a symmetric positive definite A given by its products.

    Args:
      product: [P] -> [P].
      b: [P].
      num_iterations: at most; fewer when the squared residual is below 1e-10.

    Returns:
      (x [P], residual b - A x [P]).
    """

    def body(
        index: tf.Tensor, x: tf.Tensor, residual: tf.Tensor, p: tf.Tensor, squared: tf.Tensor
    ) -> tuple[Any, ...]:
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


def line_search(
    outcome: Callable[[tf.Tensor], tuple[tf.Tensor, tf.Tensor]],
    theta: tf.Tensor,
    full_step: tf.Tensor,
    loss_before: tf.Tensor,
    max_kl: float,
    ratio: float,
    max_tries: int,
) -> tuple[tf.Tensor, dict[str, tf.Tensor]]:
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

    def body(
        tries: tf.Tensor,
        length: tf.Tensor,
        vector: tf.Tensor,
        loss: tf.Tensor,
        kl: tf.Tensor,
        accepted: tf.Tensor,
        by_loss: tf.Tensor,
        by_kl: tf.Tensor,
    ) -> tuple[Any, ...]:
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


def gauss_newton_products(
    evaluate: Callable[..., Surrogate], theta: tf.Tensor, batch: MetaBatch
) -> tuple[tf.Tensor, tf.Tensor, Callable[[tf.Tensor], tf.Tensor]]:
    """v -> J^T M J v: J of the distributions' parameters, M the Hessian of the KL in these.

    At the policies that acted the gradient of the KL is 0, so this is its whole Hessian in `theta`
    and no second derivative of the policies is needed. J is linearised once, for all products: a
    product is one pass forward (the derivative of J^T u with respect to u) and one back.

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
        if result.kl is not None:  # which is not that of the distributions
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
            kl = mean_kl(result._replace(distribution=moved), batch)
        slope = first.gradient(kl, values, unconnected_gradients="zero")

    def product(vector: tf.Tensor) -> tf.Tensor:
        tangent = backward.gradient(
            pulled, cotangent, output_gradients=vector, unconnected_gradients="zero"
        )
        metric = second.gradient(
            slope, values, output_gradients=tangent, unconnected_gradients="zero"
        )
        return forward.gradient(y, theta, output_gradients=metric, unconnected_gradients="zero")

    return loss, forward.gradient(loss, theta), product


def hessian_products(
    evaluate: Callable[..., Surrogate], theta: tf.Tensor, batch: MetaBatch
) -> tuple[tf.Tensor, tf.Tensor, Callable[[tf.Tensor], tf.Tensor]]:
    """v -> (Hessian of the mean KL in theta) v by two passes back; arguments as above.

    The same numbers as `gauss_newton_products`, at about twice its price.
    """
    with tf.GradientTape(persistent=True) as second:
        second.watch(theta)
        with tf.GradientTape(persistent=True) as first:
            first.watch(theta)
            result = evaluate(theta)
            loss = tf.reduce_mean(result.loss)
            kl = mean_kl(result, batch)
        slope = first.gradient(kl, theta)

    def product(vector: tf.Tensor) -> tf.Tensor:
        return second.gradient(slope, theta, output_gradients=vector)

    return loss, first.gradient(loss, theta), product


def _by_parts(
    products: Callable[..., Any],
    evaluate: Callable[..., Surrogate],
    theta: tf.Tensor,
    batch: MetaBatch,
) -> tuple[tf.Tensor, tf.Tensor, Callable[[tf.Tensor], tf.Tensor]]:
    """`products` over a few tasks at a time, averaged: the same numbers from nearer memory.

    A tenth quicker for 20 tasks of 2,000 steps with 100 units, as what a part touches stays in the
    processor's cache. A differentiated `tf.while_loop` over the parts would be traced once, but
    takes a third longer than no parts at all.
    """
    num_tasks = nest.leading(batch)
    num_steps = batch.query.weight.shape.num_elements()
    num_parts = min(-(-num_steps // _STEPS_PER_PART), _MAX_PARTS, num_tasks)
    bounds = [num_tasks * i // num_parts for i in range(num_parts + 1)]
    parts = [nest.map(lambda x: x[i:j], batch) for i, j in itertools.pairwise(bounds)]
    sizes = [j - i for i, j in itertools.pairwise(bounds)]
    results = [products(functools.partial(evaluate, batch=part), theta, part) for part in parts]
    part_losses, gradients, part_products = zip(*results)

    def average(values: Iterable[tf.Tensor]) -> tf.Tensor:
        return sum(value * (size / num_tasks) for value, size in zip(values, sizes))

    def product(vector: tf.Tensor) -> tf.Tensor:
        return average([part_product(vector) for part_product in part_products])

    return average(part_losses), average(gradients), product


# name in a config -> (evaluate, theta, batch) -> (loss, gradient, products)
PRODUCTS = {"gauss_newton": gauss_newton_products, "hessian": hessian_products}


def _vector_gradient(
    evaluate: Callable[[tf.Tensor], Surrogate], theta: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    """(mean loss, its gradient [P])."""
    with tf.GradientTape() as tape:
        tape.watch(theta)
        loss = tf.reduce_mean(evaluate(theta).loss)
    return loss, tape.gradient(loss, theta)
