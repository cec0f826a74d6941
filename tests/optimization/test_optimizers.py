import numpy as np
import pytest
import tensorflow as tf

from tfcaml import nest
from tfcaml.errors import ConfigError
from tfcaml.optimization import optimizers


def random_nest(rng, *leading):
    return (
        tf.constant(rng.normal(size=(*leading, 3, 2)), tf.float32),
        tf.constant(rng.normal(size=(*leading, 2)), tf.float32),
    )


def test_sgd_step():
    rng = np.random.default_rng(0)
    params, gradients = random_nest(rng, 2), random_nest(rng, 2)
    optimizer = optimizers.sgd(0.3, later_step_scale=0.5)
    slots = optimizer.init(params, 2)
    for rate in (0.3, 0.15, 0.15):
        moved, slots = optimizer.apply(params, gradients, slots)
        for p, g, m in zip(params, gradients, moved):
            np.testing.assert_allclose(m, p - rate * g, rtol=1e-5, atol=1e-6)
        params = moved
    np.testing.assert_array_equal(slots, [3, 3])


def test_adam_is_the_adam_of_keras_step_by_step():
    rng = np.random.default_rng(1)
    params = random_nest(rng)
    variables = [tf.Variable(p) for p in params]
    keras = tf.keras.optimizers.Adam(0.02, beta_1=0.8, beta_2=0.95, epsilon=1e-8)
    optimizer = optimizers.adam(0.02, beta_1=0.8, beta_2=0.95)
    slots = optimizer.init(params)
    for _ in range(20):
        gradients = random_nest(rng)
        keras.apply_gradients(zip(gradients, variables))
        params, slots = optimizer.apply(params, gradients, slots)
        for p, variable in zip(params, variables):
            np.testing.assert_allclose(p, variable, rtol=1e-5, atol=1e-6)
    assert float(slots["count"]) == 20


def test_adam_of_gradients_as_small_as_epsilon():
    """D. Kingma, J. Ba, 2015, Algorithm 1: epsilon is added to the root, not below it."""
    gradient, epsilon = np.array([1e-8, -3e-8, 1e-3]), 1e-8
    optimizer = optimizers.adam(0.1)
    params = (tf.zeros([3], tf.float64),)
    moved, _ = optimizer.apply(params, (tf.constant(gradient),), optimizer.init(params))
    expected = -0.1 * gradient / (np.abs(gradient) + epsilon)
    np.testing.assert_allclose(moved[0], expected, rtol=1e-6)


def test_adam_keeps_tasks_apart_also_with_different_counts():
    """Rows of different age, put side by side, go on as each would on its own."""
    rng = np.random.default_rng(2)
    optimizer = optimizers.adam(0.1)
    states = []
    for age in (0, 3, 7):
        params = random_nest(rng, 1)
        slots = optimizer.init(params, 1)
        for _ in range(age):
            params, slots = optimizer.apply(params, random_nest(rng, 1), slots)
        states.append((params, slots))
    together = nest.concat(*states)
    np.testing.assert_array_equal(together[1]["count"], [0, 3, 7])
    gradients = random_nest(rng, 3)
    params, slots = optimizer.apply(together[0], gradients, together[1])
    np.testing.assert_array_equal(slots["count"], [1, 4, 8])
    for i, (own_params, own_slots) in enumerate(states):
        own_gradients = nest.map(lambda g: g[i : i + 1], gradients)
        own_params, own_slots = optimizer.apply(own_params, own_gradients, own_slots)
        for row, own in zip(
            tf.nest.flatten((params, slots)), tf.nest.flatten((own_params, own_slots))
        ):
            np.testing.assert_allclose(row[i], own[0], rtol=1e-6)


def test_first_adam_step_has_the_length_of_the_learning_rate():
    params = (tf.zeros([1, 2]),)
    optimizer = optimizers.adam(0.01)
    moved, _ = optimizer.apply(params, (tf.constant([[5.0, -0.1]]),), optimizer.init(params, 1))
    np.testing.assert_allclose(moved[0], [[-0.01, 0.01]], rtol=1e-4)


def test_by_name():
    params, gradients = (tf.ones([1, 1]),), (tf.ones([1, 1]),)
    for name, function in (("adam", optimizers.adam), ("sgd", optimizers.sgd)):
        named, own = optimizers.by_name(name, 0.5), function(0.5)
        moved = named.apply(params, gradients, named.init(params, 1))[0]
        expected = own.apply(params, gradients, own.init(params, 1))[0]
        np.testing.assert_array_equal(moved[0], expected[0])
    with pytest.raises(ConfigError, match=r"one of adam, rmsprop, sgd; received .*='nadam'"):
        optimizers.by_name("nadam", 0.1)
    with pytest.raises(ConfigError, match="learning_rate=-1"):
        optimizers.by_name("sgd", -1)


def test_rmsprop_is_that_of_tensorflow_1_step_by_step():
    rng = np.random.default_rng(4)
    params = random_nest(rng)
    variables = [tf.Variable(p) for p in params]
    reference = tf.compat.v1.train.RMSPropOptimizer(0.02, decay=0.8, epsilon=0.01)
    optimizer = optimizers.rmsprop(0.02, decay=0.8, epsilon=0.01)
    slots = optimizer.init(params)
    for _ in range(20):
        gradients = random_nest(rng)
        reference.apply_gradients(zip(gradients, variables))
        params, slots = optimizer.apply(params, gradients, slots)
        for p, variable in zip(params, variables):
            np.testing.assert_allclose(p, variable, rtol=1e-5, atol=1e-6)


def test_a_clipped_gradient_is_that_of_tensorflow_task_by_task():
    rng = np.random.default_rng(5)
    params, gradients = random_nest(rng, 3), random_nest(rng, 3)
    scale = np.array([0.01, 1.0, 100.0], np.float32)  # the first stays as it is
    gradients = nest.map(lambda g: g * nest.expand(tf.constant(scale), g), gradients)
    optimizer = optimizers.clipped(optimizers.sgd(1.0), 1.0)
    moved, _ = optimizer.apply(params, gradients, optimizer.init(params, 3))
    for task in range(3):
        own = [g[task] for g in gradients]
        expected, norm = tf.clip_by_global_norm(own, 1.0)
        assert (norm > 1) == (task > 0)
        for p, after, g in zip(params, moved, expected):
            np.testing.assert_allclose(after[task], p[task] - g, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    "optimizer",
    [
        optimizers.adam(0.1),
        optimizers.rmsprop(0.1),
        optimizers.clipped(optimizers.adam(0.1), 1.0),
    ],
)
def test_a_gradient_of_zero_has_a_finite_derivative(optimizer):
    """Such as that of a weight which has never been used, or one whose square is 0 in 32 bits."""
    params = (tf.ones([1, 3]),)
    given = tf.constant([[0.0, 1e-25, 0.5]])
    with tf.GradientTape() as tape:
        tape.watch(given)
        moved, _ = optimizer.apply(params, (given,), optimizer.init(params, 1))
    assert np.isfinite(tape.gradient(moved[0], given)).all()
