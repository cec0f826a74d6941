"""The loss network of Evolved Policy Gradients."""

import numpy as np
import pytest
import tensorflow as tf

from tfcaml import nest
from tfcaml.errors import ConfigError
from tfcaml.losses.learned import LossNetwork, num_weights

# What a step of Hopper has: observation, action, reward, auxiliary, end, mean and deviation of the
# policy, memory.
HOPPER = 11 + 3 + 1 + 1 + 1 + 6 + 32


def test_its_size_for_hopper_is_that_of_the_paper():
    network = LossNetwork(HOPPER, 512)
    params = network.init(0)
    assert sum(x.shape.num_elements() for x in tf.nest.flatten(params)) == 9857
    assert num_weights(HOPPER) == 9857
    assert network.lengths == [512, 102, 50]


def test_a_row_is_the_network_of_its_weights():
    """Each row by TensorFlow's own convolution."""
    features, steps, rows, batch = 5, 40, 2, 3
    network, rng = LossNetwork(features, steps), np.random.default_rng(0)
    members = [network.init(seed) for seed in range(rows)]
    members = [nest.map(lambda x: x + 0.1 * rng.normal(size=x.shape), m) for m in members]
    buffer = tf.constant(rng.normal(size=[rows, steps, features]), tf.float32)
    samples = tf.constant(rng.normal(size=[rows, batch, features]), tf.float32)
    weight = tf.constant([[1.0, 1.0, 1.0], [1.0, 0.0, 1.0]])
    found = network(nest.stack(members), buffer, samples, weight)
    for row, own in enumerate(members):
        x = buffer[row][None]
        for layer, filters, width, stride in (("first", 16, 6, 5), ("second", 32, 4, 2)):
            kernel = tf.reshape(own[layer]["kernel"], [width, x.shape[-1], filters])
            x = tf.nn.conv1d(x, kernel, stride, "VALID") + own[layer]["bias"]
            x = tf.where(x > 0, x, 0.2 * x)
        mean = tf.reduce_mean(x[0], 0, keepdims=True)
        context = mean @ own["context"]["kernel"] + own["context"]["bias"]
        told = tf.concat([samples[row], tf.tile(context, [batch, 1])], -1)
        hidden = told @ own["hidden"]["kernel"] + own["hidden"]["bias"]
        hidden = tf.where(hidden > 0, hidden, 0.2 * hidden)
        loss = hidden @ own["loss"]["kernel"] + own["loss"]["bias"]
        mean = np.average(loss[:, 0], weights=weight[row])
        np.testing.assert_allclose(found[row], mean, rtol=1e-5)


def test_without_samples_that_count_it_is_0():
    network = LossNetwork(4, 30)
    params = nest.stack([network.init(0)])
    found = network(params, tf.ones([1, 30, 4]), tf.ones([1, 2, 4]), tf.zeros([1, 2]))
    np.testing.assert_array_equal(found, [0.0])


def test_a_buffer_that_is_too_short_is_refused():
    with pytest.raises(ConfigError, match="num_steps"):
        LossNetwork(4, 20)
