"""Layers with weights of each task: against TensorFlow's own, and by finite differences."""

import numpy as np
import pytest
import tensorflow as tf

from tfcaml.policies import layers

TASKS, ROWS, CHANNELS, FILTERS = 2, 3, 2, 4
RNG = np.random.default_rng(0)


def normal(*shape):
    return tf.constant(RNG.normal(size=shape))


def of_each(function, x, *weights):
    """What a function of one task's rows and weights gives for every task."""
    return np.stack([function(x[i], *(w[i] for w in weights)) for i in range(TASKS)])


@pytest.mark.parametrize("size", [(6, 6), (7, 5), (4, 9), (1, 2)])
@pytest.mark.parametrize("window", [(3, 3), (1, 2), (5, 4)])
@pytest.mark.parametrize("stride", [1, 2, 3])
def test_a_convolution_is_that_of_tensorflow(size, window, stride):
    x, kernel = normal(TASKS, ROWS, *size, CHANNELS), normal(TASKS, *window, CHANNELS, FILTERS)
    expected = of_each(lambda x, kernel: tf.nn.conv2d(x, kernel, stride, "SAME"), x, kernel)
    np.testing.assert_allclose(layers.convolve(x, kernel, stride), expected, atol=1e-12)


def test_a_convolution_in_time_is_that_of_tensorflow():
    x, kernel = normal(TASKS, ROWS, 6, CHANNELS), normal(TASKS, 4, CHANNELS, FILTERS)
    expected = of_each(lambda x, kernel: tf.nn.conv1d(x, kernel, 1, "SAME"), x, kernel)
    np.testing.assert_allclose(layers.convolve_in_time(x, kernel), expected, atol=1e-12)


@pytest.mark.parametrize("size", [(6, 6), (7, 5), (2, 3)])
def test_a_pool_is_that_of_tensorflow(size):
    x = normal(TASKS, ROWS, *size, CHANNELS)
    expected = of_each(lambda x: tf.nn.max_pool2d(x, 2, 2, "VALID"), x)
    np.testing.assert_array_equal(layers.max_pool(x), expected)


def test_a_dense_layer_is_a_product_and_a_bias():
    x, kernel, bias = normal(TASKS, ROWS, 5), normal(TASKS, 5, FILTERS), normal(TASKS, FILTERS)
    expected = of_each(lambda x, kernel, bias: x @ kernel + bias, x, kernel, bias)
    found = layers.dense(x, {"kernel": kernel, "bias": bias})
    np.testing.assert_allclose(found, expected, atol=1e-12)


@pytest.mark.parametrize("places", [(), (4,), (4, 5)])
def test_batch_normalisation_is_that_of_keras_in_training(places):
    x = 3 + 2 * normal(TASKS, ROWS, *places, CHANNELS)
    scale, offset = normal(TASKS, CHANNELS), normal(TASKS, CHANNELS)

    def of_keras(x, scale, offset):
        layer = tf.keras.layers.BatchNormalization(epsilon=1e-5, dtype="float64")
        layer.build(x.shape)
        layer.gamma.assign(scale)
        layer.beta.assign(offset)
        return layer(x, training=True)

    expected = of_each(of_keras, x, scale, offset)
    np.testing.assert_allclose(layers.batch_norm(x, scale, offset), expected, atol=1e-10)


@pytest.mark.parametrize("places", [(), (4,), (4, 5)])
def test_layer_normalisation_is_that_of_keras(places):
    x, offset = 3 + 2 * normal(TASKS, ROWS, *places, CHANNELS), normal(TASKS, CHANNELS)
    axes = list(range(1, len(places) + 2))
    layer = tf.keras.layers.LayerNormalization(
        axes, epsilon=1e-5, center=False, scale=False, dtype="float64"
    )
    expected = of_each(lambda x, offset: layer(x) + offset, x, offset)
    np.testing.assert_allclose(layers.layer_norm(x, offset), expected, atol=1e-10)


def test_a_soft_argmax_is_where_the_only_peak_is():
    x = np.zeros([TASKS, ROWS, 5, 9, CHANNELS])
    x[:, :, 4, 2, 0] = x[:, :, 1, 8, 1] = 1e3
    rows, columns = np.linspace(-1, 1, 5), np.linspace(-1, 1, 9)
    expected = np.broadcast_to([rows[4], rows[1], columns[2], columns[8]], [TASKS, ROWS, 4])
    np.testing.assert_allclose(layers.spatial_soft_argmax(tf.constant(x)), expected, atol=1e-12)
    flat = layers.spatial_soft_argmax(tf.ones([TASKS, ROWS, 5, 9, CHANNELS]))
    np.testing.assert_allclose(flat, np.zeros([TASKS, ROWS, 4]), atol=1e-6)


# function of (x, weights) -> tensor, its x and its weights
CASES = {
    "dense": (lambda x, w: layers.dense(x, w), (3,), {"kernel": (3, 2), "bias": (2,)}),
    "convolve": (lambda x, w: layers.convolve(x, w, 2), (5, 4, 2), (3, 3, 2, 2)),
    "convolve_in_time": (layers.convolve_in_time, (5, 2), (3, 2, 2)),
    "max_pool": (lambda x, w: layers.max_pool(x) * w[:, None, None, None], (4, 5, 2), (2,)),
    "layer_norm": (lambda x, w: layers.layer_norm(x, w), (4, 3), (3,)),
    "batch_norm": (
        lambda x, w: layers.batch_norm(x, w["scale"], w["offset"]),
        (4, 2),
        {"scale": (2,), "offset": (2,)},
    ),
    "spatial_soft_argmax": (
        lambda x, w: layers.spatial_soft_argmax(x) * w[:, None],
        (4, 5, 1),
        (2,),
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_first_and_second_derivatives_are_those_of_finite_differences(name, check_derivative):
    """Of a nonlinear function of the answer, along random directions of inputs and weights."""
    function, shape, sizes = CASES[name]
    draw = lambda size: normal(TASKS, *size)
    x = normal(TASKS, ROWS, *shape)
    weights = {k: draw(s) for k, s in sizes.items()} if isinstance(sizes, dict) else draw(sizes)
    leaves = [x, *tf.nest.flatten(weights)]
    directions = [normal(*leaf.shape) for leaf in leaves]
    target = normal(*function(x, weights).shape)

    def loss(leaves):
        given = tf.nest.pack_sequence_as(weights, leaves[1:])
        return tf.reduce_sum(tf.sin(function(leaves[0], given) + target))

    def slope(leaves):
        """The derivative along the directions."""
        with tf.GradientTape() as tape:
            tape.watch(leaves)
            value = loss(leaves)
        gradients = tape.gradient(value, leaves, unconnected_gradients="zero")
        return sum(tf.reduce_sum(g * d) for g, d in zip(gradients, directions))

    check_derivative(loss, slope, leaves, directions)

    def curvature(leaves):
        with tf.GradientTape() as tape:
            tape.watch(leaves)
            value = slope(leaves)
        gradients = tape.gradient(value, leaves, unconnected_gradients="zero")
        return sum(tf.reduce_sum(g * d) for g, d in zip(gradients, directions))

    check_derivative(slope, curvature, leaves, directions)


@pytest.fixture
def check_derivative():
    """Compares a derivative along directions with central differences."""

    def compare(function, derivative, leaves, directions, step=1e-5, tolerance=1e-6):
        moved = lambda s: function([x + s * step * d for x, d in zip(leaves, directions)])
        difference = (moved(1) - moved(-1)) / (2 * step)
        np.testing.assert_allclose(derivative(leaves), difference, rtol=tolerance, atol=1e-7)

    return compare
