"""How far two policies are apart in one state: distances between their action distributions.

With m = (p + q) / 2, logarithms natural,

    J(p, q) = KL(p || m) / 2 + KL(q || m) / 2    in [0, ln 2]
    S(p, q) = KL(p || q) / 2 + KL(q || p) / 2    in [0, inf)

sqrt(J) is a metric on distributions (D. Endres, J. Schindelin, 2003). J is not, nor are S, its root
and the roots of the two bounds J <= S / 2 and J <= ln(2 / (1 + exp(-S))): all are symmetric and 0
only where p = q, but break the triangle inequality. The second bound is the tighter of the two and
needs S in nats. For Gaussians S has a closed form and J has none.

These are measures, not losses: the slope of sqrt(J) is infinite where p = q.
"""

import math

import numpy as np
import tensorflow as tf
from tensorflow_probability import distributions as tfd

from tfcaml import keys
from tfcaml.divergence.arrays import float_tensors
from tfcaml.divergence.jensen_shannon import finite, jensen_shannon
from tfcaml.errors import check, check_is, check_one_of, check_whole, checked_call

# How the distance of two action distributions is worked out: exactly, or bounded from above.
METHODS = ("jensen_shannon", "bound")
_NUM_NODES = 256  # of the quadrature
_NUM_SAMPLES = 128  # of the Monte-Carlo estimate


@checked_call
def root_jensen_shannon(log_p: tf.Tensor, log_q: tf.Tensor) -> tf.Tensor:
    """sqrt(J) of categorical distributions: a metric, in [0, sqrt(ln 2)].

    Args:
      log_p, log_q: [..., A] logits or logarithms, -inf allowed; they broadcast.

    Returns:
      [...], of the dtype of `log_p`.
    """
    log_p, log_q = float_tensors(1, log_p=log_p, log_q=log_q)
    # In float64: a rounding of 1e-7 in J would be one of 3e-4 in its root.
    divergence = jensen_shannon(*(tf.cast(finite(x), tf.float64) for x in (log_p, log_q)))
    return tf.cast(tf.sqrt(divergence), log_p.dtype)


@checked_call
def symmetric_kl(log_p: tf.Tensor, log_q: tf.Tensor) -> tf.Tensor:
    """S of categorical distributions; not a metric.

    Args:
      log_p, log_q: [..., A] logits or logarithms; they broadcast.

    Returns:
      [...], very large where one of the two leaves out an action of the other.
    """
    log_p, log_q = float_tensors(1, log_p=log_p, log_q=log_q)
    log_p, log_q = (tf.nn.log_softmax(finite(x)) for x in (log_p, log_q))
    return 0.5 * tf.reduce_sum((tf.exp(log_p) - tf.exp(log_q)) * (log_p - log_q), axis=-1)


@checked_call
def gaussian_symmetric_kl(
    loc_p: tf.Tensor, scale_p: tf.Tensor, loc_q: tf.Tensor, scale_q: tf.Tensor
) -> tf.Tensor:
    """S of Gaussians in closed form; not a metric.

    Args:
      loc_p, loc_q: means [..., A].
      scale_p, scale_q: both standard deviations [..., A], or both lower-triangular roots of the
        covariances [..., A, A]: one axis more than the means tells.

    Returns:
      [...].
    """
    float_tensors(1, loc_p=loc_p, loc_q=loc_q)  # they broadcast, and so do
    float_tensors(1, scale_p=scale_p, scale_q=scale_q)
    p, q = _gaussian(loc_p, scale_p), _gaussian(loc_q, scale_q)
    return 0.5 * (p.kl_divergence(q) + q.kl_divergence(p))


@checked_call
def linear_bound(symmetric_kl: tf.Tensor) -> tf.Tensor:
    """J <= S / 2: S [...] -> [...], without limit."""
    return 0.5 * float_tensors(0, symmetric_kl=symmetric_kl)[0]


@checked_call
def tight_bound(symmetric_kl: tf.Tensor) -> tf.Tensor:
    """J <= ln(2 / (1 + exp(-S))): S [...] in nats -> [...], at most ln 2 and at most S / 2."""
    return -tf.math.log1p(0.5 * tf.math.expm1(-float_tensors(0, symmetric_kl=symmetric_kl)[0]))


@checked_call
def gaussian_jensen_shannon(
    loc_p: tf.Tensor,
    scale_p: tf.Tensor,
    loc_q: tf.Tensor,
    scale_q: tf.Tensor,
    noise: tf.Tensor,
    weight: tf.Tensor | None = None,
) -> tf.Tensor:
    """J of Gaussians, estimated at points that `noise` puts into both, clipped to [0, ln 2].

    Common noise: exactly 0 where p = q, symmetric, and what it errs by is alike for all pairs. As
    an estimate its root need not keep the triangle inequality. What follows an action through an
    invertible function, such as tanh, leaves J as it is: take Gaussians before they are squashed.

    Args:
      loc_p, scale_p, loc_q, scale_q: as `gaussian_symmetric_kl`.
      noise: [K, A] draws of N(0, 1) for all Gaussians alike, or the nodes of `gauss_hermite`.
      weight: [K] of the points, with sum 1; 1 / K unless given.

    Returns:
      [...].
    """
    float_tensors(1, loc_p=loc_p, loc_q=loc_q)  # they broadcast, and so do
    float_tensors(1, scale_p=scale_p, scale_q=scale_q)
    p, q = _gaussian(loc_p, scale_p), _gaussian(loc_q, scale_q)
    noise = tf.cast(noise, p.dtype)
    batch = tf.broadcast_static_shape(p.batch_shape, q.batch_shape)
    noise = tf.reshape(noise, [noise.shape[0], *[1] * batch.rank, noise.shape[1]])
    of = lambda this, other, x: _log_share(other.log_prob(x) - this.log_prob(x))
    value = of(p, q, _points(p, noise)) + of(q, p, _points(q, noise))  # [K, ...]
    if weight is None:
        mean = tf.reduce_mean(value, axis=0)
    else:
        mean = tf.tensordot(tf.cast(weight, value.dtype), value, 1)
    return tf.clip_by_value(0.5 * mean, 0, math.log(2))


@checked_call
def gauss_hermite(num_nodes: int = _NUM_NODES) -> tuple[tf.Tensor, tf.Tensor]:
    """(noise [K, 1], weight [K]) for `gaussian_jensen_shannon` in one dimension, without chance.

    With 256 nodes J is off by less than 1e-6 if neither standard deviation is more than 2.7 times
    the other, 2e-4 for 7 times; far beyond, the nodes miss the narrower of the two.
    """
    check_whole("num_nodes", num_nodes, 1, 1000)
    node, weight = np.polynomial.hermite_e.hermegauss(num_nodes)
    return tf.constant(node[:, None]), tf.constant(weight / weight.sum())


@checked_call
def action_distance(
    distribution: tfd.Distribution,
    other: tfd.Distribution,
    method: str = "jensen_shannon",
    num_samples: int = _NUM_SAMPLES,
    seed: int = 0,
) -> tf.Tensor:
    """sqrt(J), or a bound on it, of what two policies do in the same states.

    Closed form for a Categorical, quadrature for Gaussians of one dimension, Monte Carlo for more.
    Squashed Gaussians are compared before the squash, which changes nothing.

    Args:
      distribution, other: `tfd.Distribution`s as `Policy` gives, batch shape [N, B].
      method: "jensen_shannon", or "bound", the root of the tight bound: closed form for Gaussians
        too, orders pairs much alike, no metric.
      num_samples: K of Monte Carlo.
      seed: Python int, of its noise, which is the same for all states and pairs.

    Returns:
      [N, B], in [0, sqrt(ln 2)].

    Raises:
      ConfigError: an unknown method.
    """
    check_one_of("method", method, METHODS)
    for name, value in (("distribution", distribution), ("other", other)):
        check_is(name, value, tfd.Distribution, "a tfd.Distribution, as a policy gives")
    check_whole("num_samples", num_samples, 1)
    if isinstance(distribution, tfd.Categorical):
        logits = distribution.logits_parameter(), other.logits_parameter()
        if method == "bound":
            return tf.sqrt(tight_bound(symmetric_kl(*logits)))
        return root_jensen_shannon(*logits)
    gaussians = *_before_the_squash(distribution), *_before_the_squash(other)
    if method == "bound":
        return tf.sqrt(tight_bound(tf.maximum(gaussian_symmetric_kl(*gaussians), 0)))
    size = gaussians[0].shape[-1]
    if size == 1:
        return tf.sqrt(gaussian_jensen_shannon(*gaussians, *gauss_hermite()))
    key = keys.fold(keys.from_int(seed), keys.ACTION_DISTANCE)
    noise = tf.random.stateless_normal([num_samples, size], key)
    return tf.sqrt(gaussian_jensen_shannon(*gaussians, noise))


def _gaussian(loc: tf.Tensor, scale: tf.Tensor) -> tfd.Distribution:
    loc, scale = float_tensors(1, loc=loc)[0], float_tensors(1, scale=scale)[0]
    check(loc.dtype == scale.dtype, "dtype of scale", scale.dtype.name, loc.dtype.name)
    shapes = (loc.shape, [*loc.shape, loc.shape[-1]])
    fits = any(scale.shape.is_compatible_with(shape) for shape in shapes)
    rule = "[..., A] as of the mean, or [..., A, A]"
    narrow = scale.shape.rank < loc.shape.rank and scale.shape[-1] == loc.shape[-1]
    check(fits or narrow, "shape of scale", list(scale.shape), rule)
    if scale.shape.rank > loc.shape.rank:
        return tfd.MultivariateNormalTriL(loc, scale)
    return tfd.MultivariateNormalDiag(loc, scale)


def _points(gaussian: tfd.Distribution, noise: tf.Tensor) -> tf.Tensor:
    """Where standard normal noise [K, ..., A] falls."""
    return gaussian.loc + gaussian.scale.matvec(noise)


def _log_share(difference: tf.Tensor) -> tf.Tensor:
    """ln(2 / (1 + exp(difference))), the logarithm of p / m from log q - log p; exactly 0 at 0."""
    half = tf.math.log1p(0.5 * tf.math.expm1(-tf.abs(difference)))
    return -tf.nn.relu(difference) - half


def _before_the_squash(distribution: tfd.Distribution) -> tuple[tf.Tensor, tf.Tensor]:
    """Mean and standard deviation [N, B, A] of the Gaussian that bijectors are put around."""
    scalar = distribution.event_shape.rank == 0
    while not hasattr(distribution, "loc"):
        inner = getattr(distribution, "input_distribution", None)
        distribution = distribution.distribution if inner is None else inner
    mean, deviation = distribution.mean(), distribution.stddev()
    return (mean[..., None], deviation[..., None]) if scalar else (mean, deviation)
