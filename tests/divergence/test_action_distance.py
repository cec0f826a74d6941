import math

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from tf_agents.distributions.utils import SquashToSpecNormal
from tf_agents.specs import tensor_spec

from tfcaml.divergence import (
    action_distance,
    gauss_hermite,
    gaussian_jensen_shannon,
    gaussian_symmetric_kl,
    jensen_shannon,
    linear_bound,
    root_jensen_shannon,
    symmetric_kl,
    tight_bound,
)
from tfcaml.errors import ConfigError

tfd = tfp.distributions
LOGITS = hnp.arrays(np.float64, 5, elements=st.floats(-30, 30))
MOST = math.sqrt(math.log(2))


def quadrature(loc_p, scale_p, loc_q, scale_q):
    """J of Gaussians of one dimension, each argument [n], on a grid that holds both: [n]."""
    low = np.minimum(loc_p - 9 * scale_p, loc_q - 9 * scale_q)
    high = np.maximum(loc_p + 9 * scale_p, loc_q + 9 * scale_q)
    x = low + np.linspace(0, 1, 801)[:, None] * (high - low)
    log_p, log_q = (
        -0.5 * ((x - loc) / scale) ** 2 - np.log(scale * math.sqrt(2 * math.pi))
        for loc, scale in ((loc_p, scale_p), (loc_q, scale_q))
    )
    log_m = np.logaddexp(log_p, log_q) - math.log(2)
    integrand = np.exp(log_p) * (log_p - log_m) + np.exp(log_q) * (log_q - log_m)
    return 0.5 * integrand.sum(axis=0) * (high - low) / 800


def one_dimension(loc_p, scale_p, loc_q, scale_q, *points):
    column = lambda x: np.asarray(x, np.float64)[..., None]
    arguments = (column(x) for x in (loc_p, scale_p, loc_q, scale_q))
    return gaussian_jensen_shannon(*arguments, *(points or gauss_hermite())).numpy()


def gaussians(size, seed, log_scale=1.0):
    rng = np.random.default_rng(seed)
    loc = rng.normal(size=[2, size]) * 2
    scale = np.exp(rng.uniform(-log_scale, log_scale, [2, size]))
    return loc[0], scale[0], loc[1], scale[1]


@given(LOGITS, LOGITS, LOGITS)
def test_root_of_j_is_a_metric(a, b, c):
    one, two = np.stack([a, a, c, b, a]), np.stack([b, c, b, a, a])
    ab, ac, cb, ba, aa = root_jensen_shannon(one, two).numpy()
    assert 0 <= ab <= MOST + 1e-12
    assert ab == pytest.approx(ba, abs=1e-8)
    assert aa == 0
    assert ab <= ac + cb + 1e-7


def test_j_itself_is_none():
    rng = np.random.default_rng(0)
    a, b, c = np.log(rng.dirichlet(np.ones(3), [3, 5000]))
    broken = lambda f: np.mean(f(a, b) > f(a, c) + f(c, b) + 1e-12)
    assert 0.2 < broken(lambda p, q: jensen_shannon(p, q).numpy()) < 0.26  # 23 %
    assert broken(lambda p, q: root_jensen_shannon(p, q).numpy()) == 0
    assert broken(lambda p, q: np.sqrt(symmetric_kl(p, q))) > 0
    assert broken(lambda p, q: np.sqrt(tight_bound(symmetric_kl(p, q)))) > 0


def test_root_of_j_is_a_metric_of_gaussians():
    loc, scale = (np.reshape(x, [3, 500]) for x in gaussians(1500, 1)[:2])
    root = lambda i, j: np.sqrt(np.maximum(quadrature(loc[i], scale[i], loc[j], scale[j]), 0))
    assert (root(0, 1) <= root(0, 2) + root(2, 1) + 1e-4).all()
    own = lambda i, j: np.sqrt(one_dimension(loc[i], scale[i], loc[j], scale[j]))
    np.testing.assert_allclose(own(0, 1), root(0, 1), atol=1e-3)
    assert (own(0, 1) <= own(0, 2) + own(2, 1) + 1e-3).all()


def test_extremes():
    delta, half = [0.0, -np.inf], [math.log(0.5)] * 2
    assert float(root_jensen_shannon(delta, half)) == pytest.approx(0.4645, abs=1e-4)
    assert float(root_jensen_shannon(delta, delta[::-1])) == pytest.approx(MOST, abs=1e-7)
    assert float(tight_bound(symmetric_kl(delta, delta[::-1]))) == pytest.approx(math.log(2))
    assert float(symmetric_kl(delta, delta)) == 0
    far = one_dimension([0.0], [1e-3], [100.0], [1e-3])
    np.testing.assert_allclose(far, math.log(2))


def test_small_differences_are_not_lost_in_rounding():
    """Policies one inner step apart, in float32: J is 1e-8, a tenth of a rounding of ln 2."""
    logits = np.array([0.3, -0.2, 0.1, 0.5])
    other = logits + 3e-4 * np.array([1, -1, 1, -1])
    exact = float(root_jensen_shannon(logits, other))
    single = float(root_jensen_shannon(logits.astype(np.float32), other.astype(np.float32)))
    assert 5e-5 < exact < 2e-4
    assert single == pytest.approx(exact, rel=2e-3)


@pytest.mark.parametrize(
    ("gap", "divergence", "linear", "tight"),
    [
        (0.1, 0.0012, 0.0025, 0.0025),
        (0.5, 0.0303, 0.0625, 0.0605),
        (1.0, 0.1114, 0.25, 0.2191),
        (2.0, 0.3368, 1.0, 0.5662),
        (4.0, 0.6327, 4.0, 0.6928),
    ],
)
def test_known_gaussians(gap, divergence, linear, tight):
    """Standard deviation 1, means a gap apart; figures computed independently."""
    arguments = [0.0], [1.0], [gap], [1.0]
    assert float(one_dimension(*arguments)[0]) == pytest.approx(divergence, abs=1e-4)
    noise = tf.random.stateless_normal([200_000, 1], [0, 1], dtype=tf.float64)
    assert float(one_dimension(*arguments, noise)[0]) == pytest.approx(divergence, abs=1e-3)
    s = gaussian_symmetric_kl(*arguments)
    assert float(linear_bound(s)) == pytest.approx(linear, abs=1e-4)
    assert float(tight_bound(s)) == pytest.approx(tight, abs=1e-4)


def check_bounds(divergence, s):
    linear, tight = linear_bound(s).numpy(), tight_bound(s).numpy()
    assert (divergence <= tight + 1e-9).all()
    assert (tight <= linear + 1e-12).all() and (tight <= math.log(2)).all()
    assert (divergence > 0).mean() > 0.9 and np.median(divergence / tight) > 0.3  # no idle test


def test_bounds_of_categoricals():
    rng = np.random.default_rng(2)
    for size in (2, 4, 10):
        logits = rng.normal(size=[2, 10_000, size]) * np.exp(rng.uniform(-3, 2, [10_000, 1]))
        check_bounds(jensen_shannon(*logits).numpy(), symmetric_kl(*logits))


@pytest.mark.slow
def test_bounds_of_gaussians():
    arguments = [np.float64(x) for x in gaussians(12_000, 3)]
    divergence = quadrature(*arguments)
    check_bounds(divergence, gaussian_symmetric_kl(*(x[:, None] for x in arguments)))
    np.testing.assert_allclose(one_dimension(*arguments), divergence, atol=2e-4)


def test_symmetric_kl_is_the_formula():
    rng = np.random.default_rng(4)
    loc, scale = rng.normal(size=[2, 7, 3]), np.exp(rng.normal(size=[2, 7, 3]))
    ratio = scale[0] ** 2 / scale[1] ** 2
    gap = (loc[0] - loc[1]) ** 2 * (scale[0] ** -2 + scale[1] ** -2)
    expected = 0.25 * np.sum(ratio + 1 / ratio - 2 + gap, axis=-1)
    actual = gaussian_symmetric_kl(loc[0], scale[0], loc[1], scale[1])
    np.testing.assert_allclose(actual, expected, rtol=1e-10)
    log_p, log_q = np.log(rng.dirichlet(np.ones(4), [2, 7]))
    both = np.sum((np.exp(log_p) - np.exp(log_q)) * (log_p - log_q), axis=-1)
    np.testing.assert_allclose(symmetric_kl(log_p + 5, log_q), both / 2, rtol=1e-10)


def test_symmetric_kl_of_full_covariances():
    rng = np.random.default_rng(5)
    loc, mixing = rng.normal(size=[2, 6, 3]), rng.normal(size=[2, 6, 3, 3])
    covariance = mixing @ np.swapaxes(mixing, -1, -2) + 0.1 * np.eye(3)
    inverse, gap = np.linalg.inv(covariance), loc[0] - loc[1]
    trace = lambda x: np.trace(x, axis1=-2, axis2=-1)
    quadratic = np.einsum("ni,nij,nj->n", gap, inverse[0] + inverse[1], gap)
    products = trace(inverse[1] @ covariance[0]) + trace(inverse[0] @ covariance[1])
    scale = np.linalg.cholesky(covariance)
    actual = gaussian_symmetric_kl(loc[0], scale[0], loc[1], scale[1])
    np.testing.assert_allclose(actual, 0.25 * (products - 6 + quadratic), rtol=1e-8)


def test_monte_carlo_in_several_dimensions():
    """Of equal covariances only the distance of the means counts, measured in their units."""
    rng = np.random.default_rng(6)
    loc, mixing = rng.normal(size=[5, 2]), rng.normal(size=[5, 2, 2])
    scale = np.linalg.cholesky(mixing @ np.swapaxes(mixing, -1, -2) + np.eye(2))
    gap = np.linalg.norm(np.linalg.solve(scale, loc[..., None])[..., 0], axis=-1)
    expected = one_dimension(np.zeros(5), np.ones(5), gap, np.ones(5))
    noise = tf.random.stateless_normal([50_000, 2], [0, 2], dtype=tf.float64)
    actual = gaussian_jensen_shannon(np.zeros_like(loc), scale, loc, scale, noise)
    np.testing.assert_allclose(actual, expected, atol=5e-3)
    swapped = gaussian_jensen_shannon(loc, scale, np.zeros_like(loc), scale, noise)
    np.testing.assert_array_equal(actual, swapped)


def test_monte_carlo_stays_in_range():
    rng = np.random.default_rng(7)
    loc, scale = rng.normal(size=[2, 300, 2]) * 9, np.exp(rng.normal(size=[2, 300, 2]))
    noise = rng.normal(size=[3, 2])  # few draws: estimates fall out of the range of J
    value = gaussian_jensen_shannon(loc[0], scale[0], loc[1], scale[1], noise).numpy()
    assert (value >= 0).all() and (value <= math.log(2)).all() and np.isfinite(value).all()
    same = gaussian_jensen_shannon(loc[0], scale[0], loc[0], scale[0], noise)
    np.testing.assert_array_equal(same, 0)


def normal(loc, scale):
    return tfd.Independent(tfd.Normal(loc, scale), 1)


def test_distances_of_distributions():
    rng = np.random.default_rng(8)
    logits = rng.normal(size=[2, 3, 4, 5]).astype(np.float32)
    p, q = (tfd.Categorical(logits=x) for x in logits)
    np.testing.assert_allclose(
        action_distance(p, q), np.sqrt(jensen_shannon(*logits.astype(np.float64))), rtol=1e-5
    )
    loc = rng.normal(size=[2, 3, 4, 2]).astype(np.float32)
    scale = np.ones([3, 4, 2], np.float32)
    for kind in (normal, tfd.MultivariateNormalDiag):
        p, q = kind(loc[0], scale), kind(loc[1], scale)
        gap = np.linalg.norm(loc[0] - loc[1], axis=-1)
        exact = np.sqrt(one_dimension(0 * gap, 0 * gap + 1, gap, 0 * gap + 1))
        np.testing.assert_allclose(action_distance(p, q, num_samples=4000), exact, atol=0.02)
        np.testing.assert_array_equal(action_distance(p, p), 0)
        bound = np.sqrt(tight_bound(gap**2 / 2))
        np.testing.assert_allclose(action_distance(p, q, method="bound"), bound, rtol=1e-4)


def test_gaussians_of_one_dimension_need_no_chance():
    p, q = normal(tf.zeros([1, 1, 1]), 1.0), normal(tf.ones([1, 1, 1]), 1.0)
    value = action_distance(p, q).numpy()
    np.testing.assert_allclose(value, [[math.sqrt(0.11142)]], rtol=1e-4)
    np.testing.assert_array_equal(action_distance(p, q, seed=5), value)
    scalar = action_distance(tfd.Normal(tf.zeros([1, 1]), 1.0), tfd.Normal(tf.ones([1, 1]), 1.0))
    np.testing.assert_array_equal(scalar, value)


def test_squashing_changes_nothing():
    spec = tensor_spec.BoundedTensorSpec([2], tf.float32, -2, 2)
    p = tfd.MultivariateNormalDiag(tf.zeros([1, 3, 2]), tf.ones([1, 3, 2]))
    q = tfd.MultivariateNormalDiag(tf.ones([1, 3, 2]), 2 * tf.ones([1, 3, 2]))
    expected = action_distance(p, q)
    squashed = action_distance(SquashToSpecNormal(p, spec), SquashToSpecNormal(q, spec))
    np.testing.assert_array_equal(squashed, expected)
    tanh = lambda x: tfd.TransformedDistribution(x, tfp.bijectors.Tanh())
    np.testing.assert_array_equal(action_distance(tanh(p), tanh(q)), expected)


def test_an_unknown_method():
    p = tfd.Categorical(logits=tf.zeros([1, 1, 2]))
    with pytest.raises(ConfigError, match="jensen_shannon, bound; received method='kl'"):
        action_distance(p, p, method="kl")
