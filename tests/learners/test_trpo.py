"""TRPO's products and steps on MAML."""

import numpy as np
import pytest
import tensorflow as tf

from tfcaml import learners, nest
from tfcaml.optimization import outer, trpo
from tfcaml.policies import distributions


def explicit_jacobian(evaluate, theta, batch):
    """J^T M J v with J written out and M by hand for diagonal Gaussians."""
    mask = batch.query.trajectory.mask
    weight = tf.reshape(mask / tf.reduce_sum(mask, axis=[1, 2], keepdims=True), [mask.shape[0], -1])
    weight /= mask.shape[0]

    def product(v):
        with tf.GradientTape(persistent=True) as tape:
            tape.watch(theta)
            # In the order of their names: loc, scale_diag.
            y = tf.nest.flatten(distributions.tensors(evaluate(theta).distribution))
        total = 0.0
        for x, information in zip(y, (1, 2)):
            jacobian = tape.jacobian(x, theta)  # [N, B, A, P]
            tangent = tf.linalg.matvec(jacobian, v)
            metric = information * tangent * weight[..., None] / y[1] ** 2
            total += tf.einsum("nbap,nba->p", jacobian, metric)
        return total

    return product


def finite_difference(evaluate, theta, batch, step=1e-4):
    """The Hessian times v by the five-point rule on the KL's gradient."""

    @tf.function(autograph=False)
    def slope(vector):
        with tf.GradientTape() as tape:
            tape.watch(vector)
            kl = outer.mean_kl(evaluate(vector), batch)
        return tape.gradient(kl, vector)

    def product(v):
        at = lambda k: slope(theta + k * step * v)
        return (8 * (at(1) - at(-1)) - (at(2) - at(-2))) / (12 * step)

    return product


@pytest.mark.slow
@pytest.mark.parametrize("steps", [1, 2])
def test_four_forms_of_hessian_products_agree(case, relative_error, steps):
    case = case(inner_updates=steps, inner_learning_rate=0.3)
    theta, unravel = nest.ravel(case.acted)
    evaluate = lambda vector: case.learner.objective(unravel(vector), case.batch)
    v = tf.constant(case.rng.normal(size=theta.shape))

    @tf.function(autograph=False)
    def products(v):
        return [make(evaluate, theta, case.batch)[2](v) for make in trpo.PRODUCTS.values()]

    gauss_newton, truth = products(v)
    assert relative_error(gauss_newton, truth) < 1e-8
    for make in (explicit_jacobian, finite_difference):
        value = tf.function(make(evaluate, theta, case.batch), autograph=False)(v)
        assert relative_error(value, truth) < 1e-8


def test_gauss_newton_is_the_hessian_for_discrete_actions_too(case, relative_error):
    case = case(head="categorical", inner_learning_rate=0.3)
    theta, unravel = nest.ravel(case.acted)
    evaluate = lambda vector: case.learner.objective(unravel(vector), case.batch)
    v = tf.constant(case.rng.normal(size=theta.shape))

    @tf.function(autograph=False)
    def products(v):
        return [make(evaluate, theta, case.batch)[2](v) for make in trpo.PRODUCTS.values()]

    assert relative_error(*products(v)) < 1e-5  # the softmax head rounds to float32


@pytest.mark.slow
def test_both_products_give_the_same_step(case, relative_error):
    steps = []
    for products in trpo.PRODUCTS:
        trial = case(outer={"hessian_products": products}, inner_learning_rate=0.3)
        step = tf.function(trial.learner.outer.step, autograph=False)
        moved, _, metrics = step(trial.learner.objective, trial.acted, (), trial.batch)
        assert metrics["step_accepted"] == 1
        steps.append(nest.ravel(moved)[0] - nest.ravel(trial.acted)[0])
    assert relative_error(*steps) < 1e-6


@pytest.mark.slow
@pytest.mark.parametrize(
    ("learner", "subsample"),
    [
        (learners.MAML, 2),
        (learners.EMAML, 0),
        pytest.param(learners.MAML, 0, marks=pytest.mark.soak),
        pytest.param(learners.EMAML, 2, marks=pytest.mark.soak),
    ],
)
def test_a_step_worked_out_part_by_part_is_the_same(
    case, learner, subsample, relative_error, monkeypatch
):
    case = case(learner, inner_learning_rate=0.3)
    optimizer = trpo.trpo(fisher_subsample=subsample)
    steps = []
    for steps_per_part in (10_000, 30, 1):  # one part, two of unequal size, three
        monkeypatch.setattr(trpo, "_STEPS_PER_PART", steps_per_part)
        step = tf.function(optimizer.step, autograph=False)
        moved, _, metrics = step(case.learner.objective, case.acted, (), case.batch)
        assert metrics["step_accepted"] == 1
        steps.append(nest.ravel(moved)[0] - nest.ravel(case.acted)[0])
    whole, *by_parts = steps
    assert all(relative_error(step, whole) < 1e-8 for step in by_parts)


@pytest.mark.slow
@pytest.mark.parametrize("learner", [learners.MAML, learners.EMAML])
def test_accepted_steps_keep_the_kl_limit_and_lower_the_loss(case, learner):
    case = case(learner, inner_learning_rate=0.3, outer={"max_kl": 0.02})
    step = tf.function(
        lambda meta, batch: case.learner.outer.step(case.learner.objective, meta, (), batch),
        autograph=False,
    )

    @tf.function(autograph=False)
    def measure(meta, batch):
        result = case.learner.objective(meta, batch)
        return tf.reduce_mean(result.loss), outer.mean_kl(result, batch)

    accepted = 0
    for _ in range(6):
        case.acted = nest.map(case.noisy(0.3), case.acted)
        batch = case._batch()
        before, _ = measure(case.acted, batch)
        moved, _, metrics = step(case.acted, batch)
        after, kl = measure(moved, batch)
        if metrics["step_accepted"]:
            accepted += 1
            assert 0 < kl <= 0.02 * (1 + 1e-9)
            assert after < before
        else:
            assert metrics["step_rejected"] == 1
            np.testing.assert_array_equal(nest.ravel(moved)[0], nest.ravel(case.acted)[0])
        refused = metrics["refused_by_loss"] + metrics["refused_by_kl"]
        assert metrics["line_search_tries"] - metrics["step_accepted"] <= refused
    assert accepted > 0


@pytest.mark.slow
def test_all_tasks_in_the_products_is_no_subsample(case, relative_error):
    steps = []
    for fisher_subsample in (0, 3, 1):
        trial = case(outer={"fisher_subsample": fisher_subsample}, inner_learning_rate=0.3)
        step = tf.function(trial.learner.outer.step, autograph=False)
        moved, _, metrics = step(trial.learner.objective, trial.acted, (), trial.batch)
        assert metrics["kl"] <= trial.learner.config.outer.max_kl
        steps.append(nest.ravel(moved)[0] - nest.ravel(trial.acted)[0])
    assert relative_error(steps[1], steps[0]) < 1e-9
    assert relative_error(steps[2], steps[0]) > 1e-2
