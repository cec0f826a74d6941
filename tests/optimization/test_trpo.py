import numpy as np
import tensorflow as tf

from tfcaml.optimization import trpo


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
