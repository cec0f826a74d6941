"""First and second derivatives through networks, against central differences."""

import numpy as np
import pytest
import tensorflow as tf

from tfcaml import losses, nest
from tfcaml.optimization import inner
from tfcaml.types import Trajectory


def episodes(policy, params, rng, shape=(2, 3, 4)):
    """`Trajectory` of random observations and the policies' own actions, and advantages."""
    dtype = params[0].dtype
    normal = lambda *size: tf.constant(rng.normal(size=(*shape, *size)), dtype)
    observation = nest.map(lambda spec: normal(*spec.shape), policy.network.input_tensor_spec)
    distribution = policy.unroll(params, Trajectory(observation, *[None] * 6))
    noise = normal(1 if policy.num_actions else 2)
    action = policy.sample(distribution, nest.flat_steps(noise))
    action = tf.reshape(action, [*shape, *action.shape[2:]])
    ones = tf.ones(shape, dtype)
    return Trajectory(observation, action, ones, ones, ones, ones, None), normal()


def step(policy, params, data, rate=0.5):
    """One gradient step on the policies' loss."""
    loss = lambda params: losses.policy_gradient(policy, params, *data)
    _, gradients = inner.gradient(loss, params)
    return nest.map(lambda p, g: p - rate * g, params, gradients)


@pytest.mark.slow
# TF-Agents computes the bounds it squashes to in 32 bits.
@pytest.mark.parametrize(
    ("kind", "dtype", "width", "tolerance"),
    [
        ("conv", tf.float64, 1e-5, 1e-6),
        ("dict", tf.float64, 1e-5, 1e-6),
        ("keras_means", tf.float64, 1e-5, 1e-6),
        ("sequential_transformed", tf.float64, 1e-5, 1e-6),
        ("squashed", tf.float32, 1e-2, 5e-3),
        ("lstm", tf.float64, 1e-5, 1e-6),
    ],
)
def test_gradients_through_no_and_one_inner_step(build_policy, kind, dtype, width, tolerance):
    policy, rng = build_policy(kind, dtype), np.random.default_rng(0)
    noisy = lambda x: x + tf.constant(0.3 * rng.normal(size=x.shape), dtype)
    theta = nest.map(noisy, policy.init(0))
    support, query = (episodes(policy, nest.repeat(theta, 2), rng) for _ in range(2))
    vector, unravel = nest.ravel(theta)

    @tf.function(autograph=False)
    def losses_and_gradients(vector):
        with tf.GradientTape(persistent=True) as tape:
            tape.watch(vector)
            start = nest.repeat(unravel(vector), 2)
            values = [
                tf.reduce_sum(losses.policy_gradient(policy, params, *query))
                for params in (start, step(policy, start, support))
            ]
        return tf.stack(values), tf.stack([tape.gradient(value, vector) for value in values])

    gradients = losses_and_gradients(vector)[1].numpy()
    scale = np.linalg.norm(gradients, axis=1)
    assert np.linalg.norm(gradients[0] - gradients[1]) > 1e-2 * scale[0]
    for direction in (*gradients, rng.normal(size=vector.shape)):
        direction = tf.constant(direction / np.linalg.norm(direction), dtype)
        ahead, behind = (
            losses_and_gradients(vector + side * width * direction)[0] for side in (1, -1)
        )
        expected = (ahead - behind).numpy() / (2 * width)
        assert (np.abs(gradients @ direction.numpy() - expected) < tolerance * scale).all()
