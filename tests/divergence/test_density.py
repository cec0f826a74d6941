import numpy as np
import pytest
import scipy.stats
import sklearn.neighbors
import tensorflow as tf
import tensorflow_probability as tfp

from tfcaml.divergence import KernelDensity
from tfcaml.errors import ConfigError

tfd = tfp.distributions
SEED = [1, 2]  # a pair: TFP lets a single number depend on the global random stream
COVARIANCE = np.array([[0.3, 0.1], [0.1, 0.2]])


def data(dimension=2, size=40, dtype=np.float32, seed=0):
    rng = np.random.default_rng(seed)
    mixing = rng.normal(size=(dimension, dimension))
    points = rng.normal(size=(size, dimension)) @ mixing
    x = 2 * rng.normal(size=(25, dimension))
    return points.astype(dtype), x.astype(dtype)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("dimension", [1, 2, 5])
@pytest.mark.parametrize("bandwidth", [0.3, 1.0])
def test_number_is_the_bandwidth_of_scikit_learn(bandwidth, dimension, dtype):
    points, x = data(dimension, dtype=dtype)
    density = KernelDensity(points, bandwidth)
    oracle = sklearn.neighbors.KernelDensity(bandwidth=bandwidth).fit(points.astype(np.float64))
    tolerance = 1e-5 if dtype == np.float32 else 1e-12
    np.testing.assert_allclose(
        density.log_prob(x), oracle.score_samples(x.astype(np.float64)), tolerance, tolerance
    )


def scipy_with_covariance(points, covariance):
    """`gaussian_kde` scales the points' own covariance; so here it is given another."""
    oracle = scipy.stats.gaussian_kde(points.T.astype(np.float64))
    oracle._data_covariance = covariance
    oracle.covariance = covariance
    oracle.cho_cov = np.linalg.cholesky(covariance)
    oracle.log_det = 2 * np.log(np.diag(oracle.cho_cov * np.sqrt(2 * np.pi))).sum()
    return oracle


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_covariance_is_that_of_scipy(dtype):
    points, x = data(dtype=dtype)
    actual = KernelDensity(points, COVARIANCE).log_prob(x)
    expected = scipy_with_covariance(points, COVARIANCE).logpdf(x.T.astype(np.float64))
    np.testing.assert_allclose(actual, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("dimension", [1, 2, 3])
def test_scott_is_scott_of_scipy(dimension):
    points, x = data(dimension)
    density = KernelDensity(points, "scott")
    oracle = scipy.stats.gaussian_kde(points.T.astype(np.float64))
    # The rule adds the variance 1e-6 to each axis, against points on a line.
    ridge = np.atleast_2d(oracle.covariance) + 1e-6 * np.eye(dimension)
    np.testing.assert_allclose(density.covariance[0], ridge, rtol=1e-5)
    expected = scipy_with_covariance(points, ridge).logpdf(x.T.astype(np.float64))
    np.testing.assert_allclose(density.log_prob(x), expected, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(density.log_prob(x), oracle.logpdf(x.T), rtol=1e-3, atol=1e-3)


def test_pooled_is_scott_of_all_points_together_with_the_mean_count():
    first, second = data(seed=1)[0], 3 + data(seed=2)[0]
    both = np.concatenate([first, second]).astype(np.float64)
    density = KernelDensity(np.stack([first, second]), "pooled")
    expected = np.cov(both.T) * 40 ** (-2 / 6) + 1e-6 * np.eye(2)
    np.testing.assert_allclose(density.covariance, [expected, expected], rtol=1e-4)


def test_tfp_mixture_gives_the_same():
    points, x = data()
    mixture = tfd.MixtureSameFamily(
        tfd.Categorical(logits=tf.zeros(len(points))),
        tfd.MultivariateNormalTriL(points, np.linalg.cholesky(COVARIANCE).astype(np.float32)[None]),
    )
    np.testing.assert_allclose(
        KernelDensity(points, COVARIANCE).log_prob(x), mixture.log_prob(x), rtol=1e-5, atol=1e-5
    )


@pytest.mark.parametrize("bandwidth", [0.5, COVARIANCE, "scott"])
def test_batch_of_densities(bandwidth):
    """Each density of a batch is what it is alone; `log_prob` broadcasts as in TFP."""
    points = np.stack([data(seed=seed)[0] for seed in range(3)])
    x = data(seed=9)[1]
    batch = KernelDensity(points, bandwidth)
    assert batch.batch_shape == [3] and batch.event_shape == [2]
    shared = batch.log_prob(x[:, None])  # [M, N]
    own = batch.log_prob(x[:3])  # row i at place i
    at = batch.log_prob_at(x[None])  # [N, M]
    for i in range(3):
        alone = KernelDensity(points[i], bandwidth)
        assert alone.batch_shape == [] and alone.event_shape == [2]
        expected = alone.log_prob(x)
        np.testing.assert_allclose(shared[:, i], expected, rtol=1e-5, atol=1e-5)
        np.testing.assert_allclose(at[i], expected, rtol=1e-5, atol=1e-5)
        np.testing.assert_allclose(own[i], expected[i], rtol=1e-5, atol=1e-5)


def test_a_covariance_for_each_density():
    points = np.stack([data(seed=seed)[0] for seed in range(2)])
    covariances = np.stack([COVARIANCE, 2 * COVARIANCE])
    x = data(seed=9)[1]
    actual = KernelDensity(points, covariances).log_prob_at(x[None])
    for i in range(2):
        expected = KernelDensity(points[i], covariances[i]).log_prob(x)
        np.testing.assert_allclose(actual[i], expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("bandwidth", [0.5, "scott", "pooled"])
def test_masked_points_are_left_out(bandwidth):
    points, x = data()
    mask = (np.arange(40) % 3 > 0).astype(np.float32)
    points[mask == 0] = 1e6
    masked = KernelDensity(points, bandwidth, mask)
    kept = KernelDensity(points[mask > 0], bandwidth)
    np.testing.assert_allclose(masked.log_prob(x), kept.log_prob(x), rtol=1e-4, atol=1e-4)
    assert np.abs(masked.sample(500, seed=SEED)).max() < 1e3


def test_single_points_of_any_shape():
    points, x = data()
    density = KernelDensity(points, 0.5)
    whole = density.log_prob(x[:24])
    np.testing.assert_allclose(density.log_prob(x[0]), whole[0], rtol=1e-5)
    shaped = density.log_prob(x[:24].reshape(2, 3, 4, 2))
    np.testing.assert_allclose(shaped, tf.reshape(whole, [2, 3, 4]), rtol=1e-5)


def test_it_integrates_to_one():
    points, _ = data(dimension=1)
    grid = np.linspace(-20, 20, 4001, dtype=np.float32)[:, None]
    total = np.exp(KernelDensity(points, 0.4).log_prob(grid)).sum() * 0.01
    np.testing.assert_allclose(total, 1, rtol=1e-4)


@pytest.mark.parametrize("bandwidth", [0.4, COVARIANCE])
def test_samples_have_the_mixture_s_moments(bandwidth):
    points, _ = data()
    sample = KernelDensity(points, bandwidth).sample(20_000, seed=SEED).numpy()
    kernel = np.eye(2) * 0.16 if np.ndim(bandwidth) == 0 else bandwidth
    covariance = np.cov(points.T, bias=True) + kernel
    np.testing.assert_allclose(sample.mean(axis=0), points.mean(axis=0), atol=0.05)
    np.testing.assert_allclose(np.cov(sample.T), covariance, atol=0.1)


def test_samples_of_a_batch_belong_to_their_density():
    points = np.stack([np.full([5, 2], 0.0), np.full([5, 2], 100.0)]).astype(np.float32)
    sample = KernelDensity(points, 0.5).sample(50, seed=SEED).numpy()
    assert sample.shape == (50, 2, 2)
    np.testing.assert_allclose(sample[:, 0], 0, atol=5)
    np.testing.assert_allclose(sample[:, 1], 100, atol=5)
    again = KernelDensity(points, 0.5).sample(50, seed=SEED)
    np.testing.assert_array_equal(sample, again)


def test_far_away_the_logarithm_stays_finite():
    """Where the density itself underflows, by 1e5 kernel widths."""
    points, _ = data()
    x = np.array([[1e4, -1e4]], np.float32)
    actual = KernelDensity(points, 0.1).log_prob(x)
    oracle = sklearn.neighbors.KernelDensity(bandwidth=0.1).fit(points.astype(np.float64))
    np.testing.assert_allclose(actual, oracle.score_samples(x.astype(np.float64)), rtol=1e-5)


def test_points_on_a_line_do_not_break_the_rules():
    line = np.stack([np.linspace(0, 1, 20), np.zeros(20)], axis=1).astype(np.float32)
    for points in (line, np.zeros_like(line)):
        for rule in ("scott", "pooled"):
            assert np.isfinite(KernelDensity(points, rule).log_prob(points)).all()


def test_integer_points_become_floats():
    actual = KernelDensity([[0], [2]], 1.0).log_prob([[1.0]])
    np.testing.assert_allclose(actual, scipy.stats.norm.logpdf(1), rtol=1e-6)


@pytest.mark.parametrize(
    ("points", "bandwidth", "message"),
    [
        (np.zeros([3]), 0.5, r"\[n, d\] or \[N, n, d\]; received shape \(3,\)"),
        (np.zeros([0, 2]), 0.5, r"received shape \(0, 2\)"),
        (np.zeros([1, 2, 3, 4]), 0.5, r"received shape \(1, 2, 3, 4\)"),
        (np.array([[0.0, np.nan]]), 0.5, "finite"),
        (np.array([[0.0, np.inf]]), 0.5, "finite"),
        (np.zeros([3, 2]), 0.0, r"> 0; received bandwidth=0.0"),
        (np.zeros([3, 2]), -1, r"> 0; received bandwidth=-1"),
        (np.zeros([3, 2]), np.nan, r"bandwidth=nan"),
        (np.zeros([3, 2]), np.inf, r"bandwidth=inf"),
        (np.zeros([3, 2]), np.eye(3), r"\[2, 2\] covariance; received shape \[3, 3\]"),
        (np.zeros([3, 2]), np.array([0.5, 0.5]), r"received shape \[2\]"),
        (np.zeros([3, 2]), -np.eye(2), "positive definite"),
        (np.zeros([3, 2]), np.array([[1.0, 0.5], [0.0, 1.0]]), "symmetric"),
        (np.zeros([3, 2]), np.full([2, 2], np.nan), "symmetric"),
        (np.zeros([3, 2]), "silverman", r"scott, pooled; received bandwidth='silverman'"),
    ],
)
def test_errors(points, bandwidth, message):
    with pytest.raises(ConfigError, match=message):
        KernelDensity(points, bandwidth)


def test_two_points_by_hand():
    """Kernels at 0 and 1 of standard deviation 1/2, of which the second weighs nothing at first."""
    kernel = lambda z: np.exp(-0.5 * (z / 0.5) ** 2) / (0.5 * np.sqrt(2 * np.pi))
    points, x = np.array([[0.0], [1.0]]), np.array([[0.25], [2.0]])
    both = np.log((kernel(x[:, 0]) + kernel(x[:, 0] - 1)) / 2)
    np.testing.assert_allclose(KernelDensity(points, 0.5).log_prob(x), both, rtol=1e-12)
    first = KernelDensity(points, 0.5, np.array([1.0, 0.0])).log_prob(x)
    np.testing.assert_allclose(first, np.log(kernel(x[:, 0])), rtol=1e-12)


def test_a_density_needs_a_point():
    with pytest.raises(ConfigError, match="mask to keep at least one point of each density"):
        KernelDensity(np.zeros([2, 3, 1]), 0.5, np.array([[1, 1, 1], [0, 0, 0]]))
