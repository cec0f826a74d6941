"""The meta-gradient against central differences and against explicit Hessians, in float64."""

import functools

import numpy as np
import pytest
import tensorflow as tf

from tfcaml import learners, nest

slow = functools.partial(pytest.param, marks=pytest.mark.slow)


def central_difference(function, vector, direction, step):
    """Directional derivative by the five-point rule, of error step^4."""
    at = lambda k: function(vector + k * step * direction)
    return (8 * (at(1) - at(-1)) - (at(2) - at(-2))) / (12 * step)


def worst_error(case, gradient, step, directions=6):
    """Largest error of `gradient` along random directions, relative to its norm."""
    vector, unravel = nest.ravel(case.meta)
    loss = tf.function(lambda v: case.loss(unravel(v)), autograph=False)
    errors = []
    for _ in range(directions):
        direction = case.rng.normal(size=vector.shape)
        direction = tf.constant(direction / np.linalg.norm(direction))
        truth = central_difference(loss, vector, direction, step)
        errors.append(abs(truth - tf.tensordot(gradient, direction, 1)) / tf.norm(gradient))
    return float(max(errors))


@pytest.mark.slow
@pytest.mark.parametrize("steps", [1, 3, 5])
@pytest.mark.parametrize("head, step", [("gaussian", 1e-4), ("categorical", 1e-2)])
def test_maml_agrees_with_central_differences(case, head, step, steps):
    case = case(head=head, inner_updates=steps, inner_learning_rate=0.3)
    for jit_compile in (False, True):
        gradient = tf.function(case.gradient, autograph=False, jit_compile=jit_compile)(case.meta)
        assert worst_error(case, gradient, step) < 1e-6


@pytest.mark.parametrize(
    "learner, estimator",
    [
        (learners.MAML, "likelihood_ratio"),
        slow(learners.ANIL, "log_likelihood"),
        slow(learners.CAVIA, "log_likelihood"),
        slow(learners.MetaSGD, "log_likelihood"),
        slow(learners.EMAML, "log_likelihood"),
        slow(learners.ProMP, "likelihood_ratio"),
        slow(learners.NaturalPolicyGradient, "log_likelihood"),
    ],
)
def test_every_learner_agrees_with_central_differences(case, learner, estimator):
    case = case(learner, inner_estimator=estimator, inner_updates=2, inner_learning_rate=0.3)
    gradient = tf.function(case.gradient, autograph=False)(case.meta)
    assert worst_error(case, gradient, 1e-4) < 1e-6


@pytest.mark.slow
@pytest.mark.parametrize("steps", [1, 3])
def test_first_order_is_another_gradient(case, relative_error, steps):
    settings = {"inner_updates": steps, "inner_learning_rate": 0.3}
    second, first = case(**settings), case(learners.FOMAML, **settings)
    gradients = [tf.function(c.gradient, autograph=False)(second.meta) for c in (first, second)]
    assert relative_error(*gradients) > 1e-2


@pytest.mark.slow
@pytest.mark.parametrize("learner", [learners.ANIL, learners.CAVIA])
def test_first_order_is_another_gradient_of_what_is_not_adapted_too(case, relative_error, learner):
    settings = {"inner_updates": 2, "inner_learning_rate": 0.3}
    second, first = case(learner, **settings), case(learner, **settings, first_order=True)
    gradients = [tf.function(c.gradient, autograph=False)(second.meta) for c in (first, second)]
    kernel = second.meta["params"][0].shape.num_elements()  # of the first layer, which comes first
    assert relative_error(*(gradient[:kernel] for gradient in gradients)) > 1e-2


@pytest.mark.slow
@pytest.mark.parametrize("head", ["gaussian", "categorical"])
def test_maml_agrees_with_explicit_hessians_task_by_task(case, relative_error, head):
    case = case(head=head, inner_updates=2, inner_learning_rate=0.3)
    learner, alpha = case.learner, case.learner.config.inner_learning_rate
    vector, unravel = nest.ravel(case.meta["params"])
    params = lambda phi: nest.repeat(unravel(phi), 1)

    @tf.function(autograph=False)
    def slope_and_hessian(phi, support):
        with tf.GradientTape() as second:
            second.watch(phi)
            with tf.GradientTape() as first:
                first.watch(phi)
                loss = learner.loss.inner(None, params(phi), support)
            slope = first.gradient(loss, phi)
        return slope, second.jacobian(slope, phi)

    @tf.function(autograph=False)
    def query_slope(phi, query):
        with tf.GradientTape() as tape:
            tape.watch(phi)
            loss = learner.loss.surrogate(None, params(phi), query).loss
        return tape.gradient(loss, phi)

    total = np.zeros(vector.shape)
    for i in range(case.shape[0]):
        own = nest.map(lambda x: x[i : i + 1], case.batch)
        phi, jacobian = vector, np.eye(len(vector))
        for support in own.support:
            slope, hessian = slope_and_hessian(phi, support)
            jacobian = (np.eye(len(vector)) - alpha * hessian.numpy()) @ jacobian
            phi -= alpha * slope
        total += jacobian.T @ query_slope(phi, own.query).numpy() / case.shape[0]
    gradient = tf.function(case.gradient, autograph=False)(case.meta)
    bound = 1e-10 if head == "gaussian" else 1e-6  # the softmax head rounds to float32
    assert relative_error(gradient, total) < bound


@pytest.mark.slow
def test_every_task_keeps_its_own_parameters(case):
    case = case(inner_updates=3, inner_learning_rate=0.3)
    readapt = tf.function(
        lambda batch: case.learner.readapt(case.meta, batch).params, autograph=False
    )
    together = readapt(case.batch)
    for i in range(case.shape[0]):
        alone = readapt(nest.map(lambda x: x[i : i + 1], case.batch))
        for a, b in zip(alone, together):
            np.testing.assert_allclose(a[0], b[i], rtol=1e-9, atol=1e-12)


def test_no_gradient_reaches_the_data(case):
    case = case()
    tape = tf.GradientTape()
    with tape:
        leaves = tf.nest.flatten(case.meta)
        tape.watch(leaves)
        experience = case.learner.experience(
            case.meta, case.learner.start(case.meta, 3), case.batch.query.trajectory
        )
        total = tf.add_n([tf.reduce_sum(x) for x in tf.nest.flatten(experience.distribution)])
        total += tf.reduce_sum(experience.weight)
    assert tape.gradient(total, leaves) == [None] * len(leaves)
