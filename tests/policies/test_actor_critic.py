"""Policies with critics, and IMPALA's networks of images."""

import numpy as np
import pytest
import tensorflow as tf
from tf_agents.networks import sequential
from tf_agents.specs import tensor_spec

from tests.eager import eagerly
from tfcaml import nest
from tfcaml.errors import ConfigError
from tfcaml.policies import (
    BesideContext,
    ConvolutionalNetwork,
    ResidualNetwork,
    actor_critic,
    with_context,
)
from tfcaml.types import Trajectory

TASKS, EPISODES, STEPS = 2, 3, 4
THREE = tensor_spec.BoundedTensorSpec([], tf.int32, 0, 2)


def seen(shape, seed=0):
    """A trajectory of random observations; nothing else of it is read but shapes."""
    rng = np.random.default_rng(seed)
    draw = lambda *sizes: tf.constant(rng.normal(size=sizes), tf.float32)
    zeros = tf.zeros([TASKS, EPISODES, STEPS])
    return Trajectory(
        draw(TASKS, EPISODES, STEPS, *shape), tf.cast(zeros, tf.int32), zeros, zeros, zeros, zeros,
        draw(TASKS, EPISODES, *shape),
    )  # fmt: skip


def drawn(policy):
    return nest.stack([policy.init(seed) for seed in range(TASKS)])


def test_values_are_those_of_the_critic_of_each_head_and_task():
    policy = actor_critic(tf.TensorSpec([5]), THREE, (4,), "tanh", ("value", "outer"))
    params, trajectory = drawn(policy), seen([5])
    answers = {}
    for head in policy.heads:
        value, final = answers[head] = policy.value(params, trajectory, head)
        for task in range(TASKS):
            kernel, bias, last, offset = (x[task].numpy() for x in params[head])
            by_hand = lambda x: (np.tanh(x @ kernel + bias) @ last + offset)[..., 0]
            for found, given in (
                (value, trajectory.observation),
                (final, trajectory.final_observation),
            ):
                np.testing.assert_allclose(found[task], by_hand(given[task].numpy()), atol=1e-5)
    assert np.abs(answers["value"][0] - answers["outer"][0]).max() > 0.1
    with pytest.raises(ConfigError, match="head to be one of value, outer"):
        policy.value(params, trajectory, "advantage")


def test_linear_critics_are_tables_of_zeros():
    policy = actor_critic(tf.TensorSpec([5]), THREE, ())
    (kernel,) = policy.init(0)["value"]
    np.testing.assert_array_equal(kernel, np.zeros([5, 1]))


def test_a_head_more_changes_no_other_weights_of_the_actor():
    one, two = (actor_critic(tf.TensorSpec([5]), THREE, (4,), heads=h) for h in (("value",), "ab"))
    seeds = [policy.init(0)["actor"] for policy in (one, two)]
    nest.map(np.testing.assert_array_equal, *seeds)


def conv(x, kernel, bias):
    return tf.nn.conv2d(x, kernel, 1, "SAME") + bias


def residual(x, weights, sections):
    """The network by single operations: x [B, h, w, c], weights in their order."""
    weights = iter(weights)
    take = lambda: (next(weights), next(weights))
    for _ in range(sections):
        x = tf.nn.max_pool2d(conv(x, *take()), 3, 2, "SAME")
        for _ in range(2):
            x += conv(tf.nn.relu(conv(tf.nn.relu(x), *take())), *take())
    kernel, bias = take()
    assert next(weights, None) is None
    return tf.nn.relu(tf.reshape(tf.nn.relu(x), [len(x), -1]) @ kernel + bias)


def test_the_residual_network_is_that_of_the_figure():
    network = ResidualNetwork(tf.TensorSpec([7, 6, 2]), channels=(3, 4), units=5)
    images = tf.constant(np.random.default_rng(0).normal(size=[3, 7, 6, 2]), tf.float32)
    answer, state = network(images)
    assert state == ()
    np.testing.assert_allclose(answer, residual(images, network.variables, 2), atol=1e-5)


def test_bytes_are_divided_and_vectors_are_refused():
    network = ResidualNetwork(tf.TensorSpec([5, 5, 1], tf.uint8), channels=(2,), units=3)
    images = np.random.default_rng(0).integers(0, 256, [2, 5, 5, 1])
    answer, _ = network(tf.constant(images, tf.uint8))
    scaled = tf.constant(images / 255, tf.float32)
    np.testing.assert_allclose(answer, residual(scaled, network.variables, 1), atol=1e-5)
    with pytest.raises(ConfigError, match="shape of an image"):
        ResidualNetwork(tf.TensorSpec([5]))


def test_its_size_is_that_of_impala():
    """Of 84 x 84 x 4 images, with 16, 32 and 32 channels and 256 units."""
    network = ResidualNetwork(tf.TensorSpec([84, 84, 4]))
    network(tf.zeros([1, 84, 84, 4]))
    block = lambda n: 4 * (9 * n * n + n)
    convolutions = [9 * 4 * 16 + 16, block(16), 9 * 16 * 32 + 32, block(32), 9 * 32 * 32 + 32]
    expected = sum(convolutions) + block(32) + 11 * 11 * 32 * 256 + 256
    assert sum(x.shape.num_elements() for x in network.variables) == expected


def test_the_shallow_network_is_that_of_the_figure():
    network = ConvolutionalNetwork(tf.TensorSpec([26, 24, 2], tf.uint8), (3, 4), units=5)
    images = np.random.default_rng(0).integers(0, 256, [2, 26, 24, 2])
    answer, state = network(tf.constant(images, tf.uint8))
    assert state == ()
    x, weights = tf.constant(images / 255, tf.float32), iter(network.variables)
    for stride in (4, 2):
        x = tf.nn.conv2d(x, next(weights), stride, "VALID")
        x = tf.nn.relu(x + next(weights))
    expected = tf.nn.relu(tf.reshape(x, [2, -1]) @ next(weights) + next(weights))
    np.testing.assert_allclose(answer, expected, atol=1e-5)
    with pytest.raises(ConfigError, match="of at least 20 x 20 points"):
        ConvolutionalNetwork(tf.TensorSpec([19, 24, 2]))


def test_a_context_stands_behind_what_is_seen_in_an_image():
    image = tf.TensorSpec([5, 4, 1], tf.uint8)
    within = ResidualNetwork(image, channels=(2,), units=3)
    network = BesideContext(within, 2)
    assert network.input_tensor_spec == with_context(image, 2)
    images = np.random.default_rng(0).integers(0, 256, [3, 5, 4, 1])
    context = np.array([[1.0, -2.0]] * 3, np.float32)
    vectors = np.concatenate([images.reshape(3, -1), context], axis=1).astype(np.float32)
    answer, _ = network(tf.constant(vectors))
    np.testing.assert_allclose(answer[:, :3], within(tf.constant(images, tf.uint8))[0], atol=1e-6)
    np.testing.assert_array_equal(answer[:, 3:], context)


def test_actor_and_critic_share_a_torso():
    torso = ResidualNetwork(tf.TensorSpec([5, 4, 1]), channels=(2,), units=3)
    policy = actor_critic(tf.TensorSpec([5, 4, 1]), THREE, (), torso=torso)
    params, trajectory = drawn(policy), seen([5, 4, 1])
    with eagerly(), tf.GradientTape(persistent=True) as tape:
        tape.watch(params)
        value, final = policy.value(params, trajectory)
        flat = nest.flat_steps(trajectory.observation)
        log_prob = policy(params, flat).log_prob(tf.zeros(flat.shape[:2], tf.int32))
    assert value.shape == [TASKS, EPISODES, STEPS] and final.shape == [TASKS, EPISODES]
    for task in range(TASKS):
        own = [x[task] for x in params["torso"]]
        features = residual(flat[task], own, 1)
        logits = features @ params["actor"][0][task] + params["actor"][1][task]
        expected = tf.nn.log_softmax(logits)[:, 0]
        np.testing.assert_allclose(log_prob[task], expected, atol=1e-5)
    shared = tape.gradient(log_prob, params["torso"])
    assert all(np.abs(x).max() > 0 for x in shared)
    assert not policy.supports_xla


def test_a_torso_that_gives_images_is_refused():
    layer = tf.keras.layers.Conv2D(2, 3)
    torso = sequential.Sequential([layer], input_spec=tf.TensorSpec([5, 4, 1]))
    with pytest.raises(ConfigError, match=r"torso to give vectors \[B, F\]"):
        actor_critic(tf.TensorSpec([5, 4, 1]), THREE, (), torso=torso)
