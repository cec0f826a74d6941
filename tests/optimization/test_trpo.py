import numpy as np
import tensorflow as tf

from tfcaml.optimization import outer, trpo
from tfcaml.types import Experience, MetaBatch, Surrogate


def test_conjugate_gradient_solves():
    rng = np.random.default_rng(0)
    root = rng.normal(size=(8, 8))
    matrix, b = root @ root.T + np.eye(8), rng.normal(size=8)
    product = lambda v: tf.linalg.matvec(tf.constant(matrix), v)
    x, residual = trpo.conjugate_gradient(product, tf.constant(b), 20)
    np.testing.assert_allclose(x, np.linalg.solve(matrix, b), atol=1e-5)
    np.testing.assert_allclose(residual, b - matrix @ x.numpy(), atol=1e-10)
    x, residual = trpo.conjugate_gradient(product, tf.constant(b), 3)
    np.testing.assert_allclose(residual, b - matrix @ x.numpy(), atol=1e-10)


def search(outcome, max_tries=15):
    theta, step = tf.constant([0.0, 0.0]), tf.constant([-1.0, 0.0])
    return trpo.line_search(outcome, theta, step, tf.constant(1.0), 0.01, 0.5, max_tries)


def test_line_search_takes_the_longest_step_that_is_allowed():
    # Too far at 1 and at 1/2, no lower at 1/4, good at 1/8.
    outcome = lambda v: (tf.where(v[0] > 0.2, 2.0, 0.5), 0.04 * v[0] ** 2)
    vector, metrics = search(outcome)
    assert vector[0] == 0.125
    assert metrics["step_accepted"] == 1 and metrics["step_rejected"] == 0
    assert metrics["line_search_tries"] == 4
    assert metrics["refused_by_loss"] == 3 and metrics["refused_by_kl"] == 1
    assert metrics["loss_after"] == 0.5 and metrics["kl"] == np.float32(0.04 * 0.125**2)


def test_line_search_refuses_what_is_a_little_too_far():
    """The limit is 0.01: not 0.012, but 0.0099."""
    for kl, accepted in ((0.012, 0), (0.0099, 1)):
        outcome = lambda v: (tf.constant(0.5), tf.constant(kl))
        vector, metrics = search(outcome, max_tries=1)
        assert metrics["step_accepted"] == accepted and vector[0] == accepted


def test_line_search_restores_the_parameters_when_nothing_is_allowed():
    for loss, kl in ((2.0, 0.0), (0.5, 1.0), (np.nan, 0.0), (0.5, np.nan)):
        outcome = lambda v: (tf.constant(loss), tf.constant(kl))
        vector, metrics = search(outcome, max_tries=3)
        assert (vector.numpy() == 0).all()
        assert metrics["step_rejected"] == 1 and metrics["line_search_tries"] == 3
        if np.isfinite(loss + kl):
            assert metrics["loss_after"] == 1 and metrics["kl"] == 0
        else:  # left to be seen
            assert not np.isfinite(metrics["loss_after"] + metrics["kl"])


def of_trial(meta, batch):
    """A linear loss and a KL of the learner's own, x^T A x / 2; no action distributions."""
    x = meta["x"][None]
    slope, curvature = batch.per_task["slope"], batch.per_task["curvature"]
    kl = 0.5 * tf.reduce_sum(x * tf.linalg.matvec(curvature, x), axis=1)
    return Surrogate(tf.reduce_sum(slope * x, axis=1), None, kl)


def test_a_kl_of_the_learners_own_bounds_the_step():
    """TRPO by the Hessian of its mean over tasks; `Surrogate.kl` is what the metrics tell."""
    curvature = np.array([[[2.0, 0.5], [0.5, 1.0]], [[4.0, -0.5], [-0.5, 3.0]]])
    slope = np.array([[1.0, -1.0], [2.0, 0.0]])
    per_task = {"slope": tf.constant(slope), "curvature": tf.constant(curvature)}
    query = Experience((), tf.zeros([2, 1, 1], tf.float64))
    batch = MetaBatch((), query, per_task)
    start = {"x": tf.zeros([2], tf.float64)}
    g, hessian = slope.mean(axis=0), curvature.mean(axis=0)
    direction = np.linalg.solve(hessian, g)
    expected = -np.sqrt(2 * 0.02 / (g @ direction)) * direction
    for products in trpo.PRODUCTS:
        settings = {"cg_iterations": 10, "fisher_subsample": 0, "products": products}
        optimizer = trpo.trpo(max_kl=0.02, damping=0.0, backtrack_ratio=0.999, **settings)
        meta, _, metrics = optimizer.step(of_trial, start, (), batch)
        np.testing.assert_allclose(meta["x"], expected, rtol=2e-3)
        assert 0.0198 < metrics["kl"] <= 0.02
        moved = meta["x"].numpy()
        np.testing.assert_allclose(metrics["kl"], moved @ hessian @ moved / 2, rtol=1e-9)
    adam = outer.adam(0.1)
    _, _, metrics = adam.step(of_trial, meta, adam.init(meta), batch)
    np.testing.assert_allclose(metrics["kl"], moved @ hessian @ moved / 2, rtol=1e-9)
