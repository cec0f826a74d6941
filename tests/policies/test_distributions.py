import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from tf_agents.distributions import tanh_bijector_stable
from tf_agents.distributions import utils as distribution_utils
from tf_agents.networks import actor_distribution_network, sequential
from tf_agents.specs import tensor_spec

from tfcaml import nest
from tfcaml.errors import ConfigError
from tfcaml.losses import mean_kl
from tfcaml.policies import NetworkPolicy, distributions

tfd, tfb = tfp.distributions, tfp.bijectors


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


def network_of(head, size=1):
    layers = [tf.keras.layers.Dense(size), tf.keras.layers.Lambda(head)]
    return sequential.Sequential(layers, input_spec=tf.TensorSpec([3], tf.float32))


def transformed(bijector):
    def head(means):
        normal = tfd.MultivariateNormalDiag(means, tf.ones_like(means))
        return tfd.TransformedDistribution(normal, bijector)

    return head


def scaled(low, high, bijector, image=(0, 1)):
    """`bijector` of values between those of `image`, scaled to values between low and high."""
    low, high = np.float32(low), np.float32(high)
    scale = high / np.float32(image[1] - image[0]) - low / np.float32(image[1] - image[0])
    shift = low - scale * np.float32(image[0])
    return tfb.Chain([tfb.Shift(shift), tfb.Scale(scale), bijector])


# Name -> (bijector to [0, high], its inverse in 64 bits).
_SIGMOID = lambda y, high: np.log(y / high) - np.log1p(-y / high)
_TANH = lambda y, high: np.arctanh(np.minimum(y / high * 2, 1 + y / high) - 1)
HEADS = {
    "exp": (lambda high: tfb.Exp(), lambda y, high: np.log(y)),
    "softplus": (
        lambda high: tfb.Softplus(),
        lambda y, high: y + np.log(-np.expm1(-y)),
    ),
    "sigmoid": (lambda high: scaled(0, high, tfb.Sigmoid()), _SIGMOID),
    "tanh": (lambda high: scaled(0, high, tfb.Tanh(), (-1, 1)), _TANH),
    "stable_tanh": (lambda high: scaled(0, high, tanh_bijector_stable.Tanh(), (-1, 1)), _TANH),
    "none": (lambda high: tfb.Identity(), lambda y, high: y),
}


@pytest.mark.parametrize("name", HEADS)
@pytest.mark.parametrize("high", [np.inf, 3.4e38, 1e8, 1e4])
def test_what_acts_is_what_was_drawn(name, high):
    """Small actions too, however wide the bounds are."""
    if high == np.inf and name in ("sigmoid", "tanh", "stable_tanh"):
        return  # no bijector of theirs reaches there
    make, inverse = HEADS[name]
    head = transformed(make(high))
    action = tensor_spec.BoundedTensorSpec([1], tf.float32, 0, high)
    policy = NetworkPolicy(network_of(head), action)
    wanted = np.geomspace(1e-4, min(high, 3.4e38) / 2, 40)
    with np.errstate(divide="ignore"):
        latent = np.maximum(inverse(wanted, high), -1e3)
    distribution = head(tf.constant(latent[None, :, None], tf.float32))
    acts = policy.sample(distribution, tf.zeros([1, 40, 1]))
    assert np.isfinite(acts).all() and np.isfinite(distribution.log_prob(acts)).all()
    drawn = distribution.bijector.forward(distribution.distribution.mean()).numpy()
    # Where rounding made an action 0 it has no finite log-probability but with a tanh that is
    # clipped: the action is the least that has one.
    inside = drawn > 0
    np.testing.assert_allclose(acts.numpy()[inside], drawn[inside], rtol=1e-6, atol=0)
    assert (acts.numpy()[~inside] < 1e-6 * min(high, 3.4e38)).all()
    if name not in ("tanh", "stable_tanh"):  # these round near 0 as they do near `high`
        kept = wanted > 1e-36 * min(high, 3.4e38)  # not below the least normal number
        np.testing.assert_allclose(acts.numpy()[0, kept, 0], wanted[kept], rtol=1e-4)


def test_ends_are_left_by_no_more_than_it_takes():
    """Per component and per end, also where the other components are small."""
    cases = [
        (tfb.Exp(), -200, 0, 1e-36),
        (tfb.Softplus(), -200, 0, 1e-36),
        (scaled(0, 1e4, tfb.Sigmoid()), -200, 0, 1e-32),
        (scaled(0, 1e4, tfb.Sigmoid()), 30, 1e4, 1e-2),
        (scaled(-1e4, 0, tfb.Sigmoid()), -30, -1e4, 1e-2),
        (scaled(0, 1e4, tfb.Tanh(), (-1, 1)), -30, 0, 5e-3),
        (scaled(1000, 1001, tfb.Tanh(), (-1, 1)), -30, 1000, 1e-3),
        (scaled(-3, 1, tanh_bijector_stable.Tanh(), (-1, 1)), 30, 1, 1e-6),
    ]
    for bijector, latent, end, most in cases:
        distribution = transformed(bijector)(tf.constant([[[latent, -3.0]]], tf.float32))
        drawn = distributions.sample_continuous(distribution, tf.zeros([1, 1, 2]))
        acts = distributions.scorable(drawn, bijector)
        assert drawn[0, 0, 0] == end and 0 < abs(float(acts[0, 0, 0]) - end) <= most
        assert acts[0, 0, 1] == drawn[0, 0, 1]
        assert np.isfinite(distribution.log_prob(acts)).all()
    nan = distributions.scorable(tf.constant([[[np.nan]]]), tfb.Exp())
    assert np.isnan(nan).all()


@pytest.mark.parametrize("name", ["tanh", "sigmoid"])
def test_what_acts_can_be_scored_by_any_compiler(name):
    """Their roundings differ, so that an inverse of 1 for one is one of 0.9999999 for another."""
    rng = np.random.default_rng(0)
    low = np.concatenate([[0] * 50, -(10 ** rng.uniform(-3, 6, 50))]).astype(np.float32)
    high = low + 10 ** rng.uniform(-1, 6, 100).astype(np.float32)
    image, inner = {"tanh": ((-1, 1), tfb.Tanh), "sigmoid": ((0, 1), tfb.Sigmoid)}[name]
    values = np.concatenate([np.linspace(9.5, 20, 60), [40, 87, 88, 90, 104, 150, 1e30]])
    latent = np.float32(np.concatenate([values, -values]))
    means = tf.constant(np.tile(latent[None, :, None], [1, 1, 100]))

    def act(means):
        distribution = transformed(scaled(low, high, inner(), image))(means)
        drawn = distributions.sample_continuous(distribution, tf.zeros_like(means))
        return distributions.scorable(drawn, distribution.bijector)

    def score(action):
        return scaled(low, high, inner(), image).inverse(tf.identity(action))

    compilers = [
        lambda f: f,
        lambda f: tf.function(f, autograph=False),
        lambda f: tf.function(f, autograph=False, jit_compile=True),
    ]
    scores = [compile(score) for compile in compilers]
    for compile in compilers:
        action = compile(act)(means)
        assert all(np.isfinite(score(action)).all() for score in scores)


def test_nothing_is_clipped_to_the_spec():
    """What a bijector gives is what its density is of; environments clip, as for a Gaussian."""
    action = tensor_spec.BoundedTensorSpec([1], tf.float32, 0, 10)
    head = transformed(tfb.Exp())
    acts = NetworkPolicy(network_of(head), action).sample(head(tf.fill([1, 1, 1], 3.0)), 0.0)
    np.testing.assert_allclose(acts, [[[np.exp(3)]]], rtol=1e-6)


def test_a_transformed_gaussian_of_independent_components():
    head = lambda x: tfd.Independent(tfd.TransformedDistribution(tfd.Normal(x, 2.0), tfb.Tanh()), 1)
    action = tensor_spec.BoundedTensorSpec([2], tf.float32, -1, 1)
    noise = tf.constant([[[0.3, -0.2], [40, 0.1]]])
    policy = NetworkPolicy(network_of(head, 2), action)
    distribution = head(tf.ones([1, 2, 2]))
    acts = policy.sample(distribution, noise)
    np.testing.assert_allclose(acts, np.tanh(1 + 2 * noise), rtol=1e-6)
    assert np.isfinite(distribution.log_prob(acts)).all()


@pytest.mark.parametrize("bounds", [(0, np.inf), (-np.inf, np.inf), (-3.4e38, 3.4e38)])
def test_heads_that_scale_to_infinite_bounds_are_refused(bounds):
    action = tensor_spec.BoundedTensorSpec([1], tf.float32, *bounds)
    observation = tf.TensorSpec([3], tf.float32)
    squash = lambda x: distribution_utils.SquashToSpecNormal(tfd.MultivariateNormalDiag(x), action)
    for network in (
        network_of(squash),
        actor_distribution_network.ActorDistributionNetwork(
            observation, action, fc_layer_params=()
        ),
    ):
        with np.errstate(all="ignore"), pytest.raises(ConfigError, match="a finite difference"):
            NetworkPolicy(network, action)


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
    with pytest.raises(ConfigError, match=r"TF-Agents network.*from_keras.*a Dense"):
        NetworkPolicy(dense, action)
