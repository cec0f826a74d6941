import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from tf_agents.distributions import utils as distribution_utils
from tf_agents.networks import sequential
from tf_agents.specs import tensor_spec

from tfcaml import nest
from tfcaml.errors import ConfigError
from tfcaml.losses import mean_kl
from tfcaml.policies import NetworkPolicy, distributions

tfd = tfp.distributions


def test_tensors_and_back(gaussian_policy, policy):
    for made in (gaussian_policy, policy):
        size = made.network.input_tensor_spec.shape[0]
        params = nest.stack([made.init(0), made.init(1)])
        first = made(params, tf.ones([2, 3, size]))
        other = made(params, -tf.ones([2, 3, size]))
        again = distributions.rebuild(other, distributions.tensors(first))
        action = first.sample(seed=0)
        np.testing.assert_allclose(again.log_prob(action), first.log_prob(action), rtol=1e-6)
        kl = tfp.distributions.kl_divergence(first, again)
        np.testing.assert_allclose(kl, tf.zeros([2, 3]), atol=1e-6)
        assert (tfp.distributions.kl_divergence(first, other).numpy() > 0).all()


BOUNDS = tensor_spec.BoundedTensorSpec([2], tf.float32, [-1, 1000], [1, 1001])


def squashed(means):
    normal = tfd.MultivariateNormalDiag(means, tf.ones_like(means))
    return distribution_utils.SquashToSpecNormal(normal, BOUNDS)


@pytest.mark.parametrize("mean", [0.0, 5.0, -40.0])
def test_squashed_actions_have_a_finite_log_prob(mean):
    """Also far out, where the hyperbolic tangent is 1 in 32 bits, and in narrow far bounds."""
    layers = [tf.keras.layers.Dense(2), tf.keras.layers.Lambda(squashed)]
    network = sequential.Sequential(layers, input_spec=tf.TensorSpec([3], tf.float32))
    distribution = squashed(tf.fill([1, 50, 2], mean))
    noise = tf.constant(np.random.default_rng(0).normal(size=(1, 50, 2)), tf.float32)
    action = NetworkPolicy(network, BOUNDS).sample(distribution, noise)
    assert (action.numpy() > BOUNDS.minimum).all() and (action.numpy() < BOUNDS.maximum).all()
    assert np.isfinite(distribution.log_prob(action)).all()
    # Not pulled in further than that needs.
    raw = BOUNDS.minimum + (BOUNDS.maximum - BOUNDS.minimum) * (np.tanh(mean + noise) + 1) / 2
    np.testing.assert_allclose(action, raw, rtol=1e-6, atol=1e-5)


def test_kl_of_squashed_gaussians_is_that_of_the_gaussians():
    zeros, ones = tf.zeros([1, 3, 2]), tf.ones([1, 3, 2])
    divergence = mean_kl(squashed(zeros), squashed(ones), tf.ones([1, 1, 3]))
    np.testing.assert_allclose(divergence, [1], rtol=1e-5)


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        (lambda x: x, "Normal or MultivariateNormalDiag.*from_keras.*Tensor'"),
        (lambda x: tfd.Beta(tf.exp(x), tf.exp(x)), "MultivariateNormalDiag.*received.*'Beta'"),
        (lambda x: tfd.Normal(x, 1.0), r"one log-probability per action; received \(2,\)"),
        (lambda x: tfd.Categorical(logits=x), "received output of the network='Categorical'"),
    ],
)
def test_other_outputs_are_refused(layer, message):
    layers = [tf.keras.layers.Dense(2), tf.keras.layers.Lambda(layer)]
    network = sequential.Sequential(layers, input_spec=tf.TensorSpec([3], tf.float32))
    with pytest.raises(ConfigError, match=message):
        NetworkPolicy(network, BOUNDS)


def test_models_that_do_not_fit_are_refused():
    observation, dense = tf.TensorSpec([3], tf.float32), tf.keras.layers.Dense(2)
    action = tensor_spec.BoundedTensorSpec([], tf.int32, 0, 3)
    with pytest.raises(ConfigError, match=r"\[1, 4\], logits; received .*=\[1, 2\]"):
        NetworkPolicy.from_keras(dense, observation, action)
    with pytest.raises(ConfigError, match="a Keras 2 model; received"):
        NetworkPolicy.from_keras(len, observation, action)
    with pytest.raises(ConfigError, match=r"TF-Agents network.*from_keras.*'Dense'"):
        NetworkPolicy(dense, action)
