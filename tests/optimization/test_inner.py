"""The crux: derivatives of, and through, an adaptation step, against central differences."""

import numpy as np
import pytest
import tensorflow as tf
from tf_agents.networks import actor_distribution_network
from tf_agents.specs import tensor_spec

from tfcaml import losses, nest
from tfcaml.optimization import inner, optimizers
from tfcaml.policies import NetworkPolicy
from tfcaml.types import FastState

NUM_TASKS = 2
SGD = optimizers.sgd(0.5)


def unmoved(params):
    """`FastState` before any step of `SGD`."""
    return FastState(params, SGD.init(params, NUM_TASKS))


ROUNDING = {"continuous": (1e-5, 1e-6), "discrete": (1e-2, 2e-2)}  # step, relative error


def build(kind):
    """A TF-Agents network with its default heads, in float64 (a discrete head casts to float32)."""
    observation = tensor_spec.TensorSpec([2], np.float64)
    if kind == "continuous":
        action = tensor_spec.BoundedTensorSpec([2], np.float64, -1, 1)
    else:
        action = tensor_spec.BoundedTensorSpec([], np.int32, 0, 3)
    tf.keras.backend.set_floatx("float64")
    try:
        network = actor_distribution_network.ActorDistributionNetwork(
            observation,
            action,
            fc_layer_params=(8,),
            activation_fn=tf.keras.activations.tanh,
            dtype=np.float64,
        )
        return NetworkPolicy(network, action)
    finally:
        tf.keras.backend.set_floatx("float32")


class Problem:
    """A policy, weights for each task, and data to adapt on and to be tested on."""

    def __init__(self, kind, random_trajectory):
        self.step_size, self.tolerance = ROUNDING[kind]
        self.policy = build(kind)
        rng = np.random.default_rng(0)
        noise = lambda x: x + 0.3 * rng.normal(size=(NUM_TASKS, *x.shape))
        self.params = nest.map(noise, self.policy.init(0))
        action_size = 2 if kind == "continuous" else None
        self.support, self.query = (
            random_trajectory(seed, (NUM_TASKS, 3, 5), 2, action_size, np.float64)
            for seed in (1, 2)
        )
        self.advantages = [tf.constant(rng.normal(size=(NUM_TASKS, 3, 5))) for _ in range(2)]
        directions = [nest.map(lambda x: rng.normal(size=x.shape), self.params) for _ in range(5)]
        self.directions = nest.map(tf.constant, directions)

    def loss(self, params):
        """Before adaptation, [N]."""
        return losses.policy_gradient(self.policy, params, self.support, self.advantages[0])

    def adapted_loss(self, params, first_order=False):
        """After one step of gradient descent, [N]."""
        fast, _ = inner.step(self.loss, SGD, unmoved(params), first_order)
        return losses.policy_gradient(self.policy, fast.params, self.query, self.advantages[1])

    def slopes(self, gradients):
        """The derivative along each direction."""
        products = [
            sum(tf.reduce_sum(g * d) for g, d in zip(gradients, direction))
            for direction in self.directions
        ]
        return tf.stack(products)

    def differences(self, function):
        """The slope of sum(function) along each direction, by central differences."""
        moved = lambda direction, sign: nest.map(
            lambda p, d: p + sign * self.step_size * d, self.params, direction
        )
        return np.array(
            [
                (
                    function(moved(direction, 1)).numpy().sum()
                    - function(moved(direction, -1)).numpy().sum()
                )
                / (2 * self.step_size)
                for direction in self.directions
            ]
        )


@pytest.fixture(scope="module", params=["continuous", "discrete"])
def problem(request, random_trajectory):
    return Problem(request.param, random_trajectory)


def relative_error(actual, expected):
    return np.linalg.norm(actual - expected) / np.linalg.norm(expected)


def outer_gradient(problem, first_order=False):
    """Derivative of the adapted loss with respect to the weights before adaptation."""

    def compute(params):
        return inner.gradient(lambda p: problem.adapted_loss(p, first_order), params)[1]

    return compute


def modes(function):
    """The function eagerly and compiled."""
    return function, tf.function(function, autograph=False)


def test_gradient_is_the_derivative_of_the_loss(problem):
    compiled = tf.function(problem.loss, autograph=False)
    expected = problem.differences(compiled)
    for gradient in modes(lambda params: inner.gradient(problem.loss, params)):
        value, gradients = gradient(problem.params)
        np.testing.assert_allclose(value, problem.loss(problem.params), rtol=1e-6)
        error = relative_error(problem.slopes(gradients), expected)
        assert error < problem.tolerance


@pytest.mark.slow
def test_second_order_gradient_is_the_derivative_of_the_adapted_loss(problem):
    compiled = tf.function(problem.adapted_loss, autograph=False)
    expected = problem.differences(compiled)
    for gradient in modes(outer_gradient(problem)):
        error = relative_error(problem.slopes(gradient(problem.params)), expected)
        assert error < problem.tolerance


def test_first_order_gradient_is_another(problem):
    second = problem.slopes(outer_gradient(problem)(problem.params))
    first = problem.slopes(outer_gradient(problem, first_order=True)(problem.params))
    assert relative_error(first, second) > 2 * max(problem.tolerance, 1e-2)


@pytest.mark.slow
def test_first_order_gradient_is_that_at_the_adapted_weights(problem):
    fast, _ = inner.step(problem.loss, SGD, unmoved(problem.params))
    query = lambda params: losses.policy_gradient(
        problem.policy, params, problem.query, problem.advantages[1]
    )
    _, expected = inner.gradient(query, fast.params)
    actual = outer_gradient(problem, first_order=True)(problem.params)
    for a, e in zip(actual, expected):
        np.testing.assert_allclose(a, e, rtol=1e-4, atol=1e-7)


def test_gradients_of_tasks_are_their_own(problem):
    """The sum trick: row i is the gradient of task i alone."""
    _, together = inner.gradient(problem.loss, problem.params)
    for i in range(NUM_TASKS):
        row = lambda x: x[i : i + 1]
        alone = lambda params: losses.policy_gradient(
            problem.policy, params, nest.map(row, problem.support), row(problem.advantages[0])
        )
        _, gradients = inner.gradient(alone, nest.map(row, problem.params))
        for all_tasks, one in zip(together, gradients):
            np.testing.assert_allclose(all_tasks[i], one[0], rtol=1e-4, atol=1e-7)


def test_sgd_step(problem):
    fast, value = inner.step(problem.loss, SGD, unmoved(problem.params))
    loss, gradients = inner.gradient(problem.loss, problem.params)
    np.testing.assert_allclose(value, loss, rtol=1e-6)
    for new, old, gradient in zip(fast.params, problem.params, gradients):
        np.testing.assert_allclose(new, old - 0.5 * gradient, rtol=1e-6, atol=1e-9)


def test_step_carries_the_optimizer_state():
    optimizer = optimizers.adam(0.1)
    params = (tf.constant([[1.0], [2.0]]),)
    fast = FastState(params, optimizer.init(params, 2))
    for _ in range(3):
        fast, _ = inner.step(lambda p: tf.reduce_sum(p[0] ** 2, axis=1), optimizer, fast)
    np.testing.assert_array_equal(fast.slots["count"], [3, 3])
    np.testing.assert_allclose(fast.params[0], [[0.7], [1.7]], atol=0.01)


def test_step_keeps_what_else_travels_with_adaptation():
    params = (tf.constant([[1.0], [2.0]]),)
    fast = FastState(params, SGD.init(params, 2), {"kept": tf.constant([3, 4])})
    moved, _ = inner.step(lambda p: tf.reduce_sum(p[0] ** 2, axis=1), SGD, fast)
    np.testing.assert_array_equal(moved.memory["kept"], [3, 4])
    np.testing.assert_array_equal(moved.params[0], [[0.0], [0.0]])


def test_weights_without_influence_and_sparse_gradients():
    table = tf.constant([[[1.0], [2.0], [3.0]]])
    unused = tf.ones([1, 4])
    loss = lambda params: tf.reduce_sum(tf.gather(params[0], [2, 2], axis=1), axis=[1, 2])
    value, (to_table, to_unused) = inner.gradient(loss, (table, unused))
    np.testing.assert_array_equal(value, [6])
    np.testing.assert_array_equal(to_table, [[[0], [0], [2]]])
    np.testing.assert_array_equal(to_unused, np.zeros([1, 4]))


def test_a_step_leaves_what_is_not_descended():
    fast = FastState(tf.constant([[1.0], [2.0]]), (), {"seen": tf.constant([3, 4])})
    stepped, _ = inner.step(lambda params: tf.reduce_sum(params**2, axis=1), SGD, fast)
    np.testing.assert_array_equal(stepped.params, [[0.0], [0.0]])
    assert stepped.memory is fast.memory
