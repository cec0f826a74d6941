"""Networks of images with batch normalisation by the images at hand."""

import numpy as np
import pytest
import tensorflow as tf
from tf_agents.specs import tensor_spec

from tfcaml import nest
from tfcaml.errors import ConfigError
from tfcaml.policies import NETWORKS, FewShotNetwork

IMAGE = tf.TensorSpec([12, 10, 2], tf.float32)
LABEL = tensor_spec.BoundedTensorSpec([], tf.int32, 0, 2)
LAYERS = {"convolutional": (4, 5), "pooled": (4, 5), "dense": (6, 5)}
FEATURES = {"convolutional": 5, "pooled": 5 * 3 * 2, "dense": 5}


def build(network, **options):
    return FewShotNetwork(IMAGE, LABEL, network, LAYERS[network], **options)


def images(tasks=2, rows=4, seed=0):
    return tf.constant(np.random.default_rng(seed).random([tasks, rows, *IMAGE.shape]), tf.float32)


def by_keras(network, params, seen):
    """One task's logits with Keras layers in training, on images [B, ...]."""
    keras, x = tf.keras.layers, tf.convert_to_tensor(seen)
    x = keras.Flatten()(x) if network == "dense" else x
    for index in range(2):
        own = params[f"layer_{index}"]
        units, stride = own["scale"].shape[0], 2 if network == "convolutional" else 1
        layer = keras.Dense(units) if network == "dense" else None
        layer = layer or keras.Conv2D(units, 3, stride, "same")
        layer.build(x.shape)
        layer.kernel.assign(own["kernel"])
        norm = keras.BatchNormalization(epsilon=1e-5)
        x = layer(x)
        norm.build(x.shape)
        norm.gamma.assign(own["scale"])
        norm.beta.assign(own["offset"])
        x = tf.nn.relu(norm(x, training=True))
        x = keras.MaxPool2D()(x) if network == "pooled" else x
    x = keras.GlobalAveragePooling2D()(x) if network == "convolutional" else keras.Flatten()(x)
    return x @ params["head"]["kernel"] + params["head"]["bias"]


@pytest.mark.parametrize("network", NETWORKS)
def test_it_is_a_keras_network_with_the_statistics_of_the_batch(network):
    policy = build(network)
    assert policy.num_features == FEATURES[network] and policy.num_actions == 3
    noisy = lambda x: x + 0.3 * tf.random.stateless_normal(x.shape, [1, x.shape.num_elements()])
    rows = [nest.map(noisy, policy.init(seed)) for seed in range(2)]
    params, seen = nest.stack(rows), images()
    expected = np.stack([by_keras(network, row, seen[i]) for i, row in enumerate(rows)])
    distribution = policy(params, seen)
    np.testing.assert_allclose(distribution.logits_parameter(), expected, atol=2e-5)
    assert distribution.log_prob(tf.zeros([2, 4], tf.int32)).shape == [2, 4]


@pytest.mark.parametrize("network", NETWORKS)
def test_what_it_says_of_an_image_depends_on_the_others_of_its_task_alone(network):
    policy = build(network)
    params = nest.repeat(policy.init(3), 2)
    logits = lambda seen: policy(params, seen).logits_parameter().numpy()
    seen = images().numpy()
    before = logits(seen)
    seen[0, 1] = images(seed=1)[0, 1]
    after = logits(seen)
    np.testing.assert_array_equal(before[1], after[1])
    assert np.abs(before[0, 0] - after[0, 0]).max() > 1e-4


def test_weights_follow_from_the_seed_and_the_head_is_known():
    policy = build("convolutional")
    one, same, other = (tf.nest.flatten(policy.init(seed)) for seed in (0, 0, 1))
    assert all(np.array_equal(a, b) for a, b in zip(one, same))
    assert any(not np.array_equal(a, b) for a, b in zip(one, other))
    assert [policy.names[i] for i in policy.head] == ["head/bias", "head/kernel"]
    kernel = policy.init(0)["layer_1"]["kernel"]
    limit = np.sqrt(6 / (9 * (4 + 5)))
    assert 0.8 * limit < np.abs(kernel).max() <= limit


def test_the_activation_acts():
    seen, params = images(), nest.repeat(build("dense").init(0), 2)
    answers = [
        build("dense", activation=name)(params, seen).logits_parameter().numpy()
        for name in ("relu", "tanh")
    ]
    assert np.abs(answers[0] - answers[1]).max() > 0.01


def test_what_does_not_fit_is_refused():
    vector, floats = tf.TensorSpec([3]), tensor_spec.BoundedTensorSpec([1], tf.float32, 0, 1)
    for arguments, message in (
        ((vector, LABEL), r"shape of an observation to be \[height, width, channels\]"),
        ((IMAGE, floats), "action_spec to be that of a label"),
        ((IMAGE, LABEL, "deep"), "network to be one of convolutional, pooled, dense"),
        ((IMAGE, LABEL, "dense", ()), "one layer at least"),
        ((IMAGE, LABEL, "dense", (4, 0)), "units in fc_layer_params to be a whole number from 1"),
        ((IMAGE, LABEL, "dense", (4,), "step"), "policy.activation to be one of"),
        ((IMAGE, LABEL, "pooled", (4,) * 4), "at most 3 layers: each halves an image of 12 x 10"),
    ):
        with pytest.raises(ConfigError, match=message):
            FewShotNetwork(*arguments)
