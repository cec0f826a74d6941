"""Divergences between (possibly unnormalised) densities given by their logarithms.

With x = log q - log p and m = (p + q) / 2, the two Jensen-Shannon terms add up to

    p log(p / m) + q log(q / m) = m g(x),    g(x) = x tanh(x / 2) - 2 log cosh(x / 2)

where g grows from x^2 / 4 near 0 to 2 log 2. Written like this nothing cancels: terms are exactly 0
where p = q, never negative, and have full relative precision for every x, also in float32 and also
where p or q underflow. The differences x themselves are taken in float64.
"""

import math

import numpy as np
import scipy.special
import tensorflow as tf

from tfcaml.divergence.arrays import float_tensors
from tfcaml.errors import checked_call

# Divergences of occupancies, by name.
FORMS = ("jensen_shannon", "normalized_jensen_shannon", "hellinger")
_LOG_ZERO = -1e30  # finite, and still the logarithm of 0
_SMALL = 0.5  # |x| below which g is computed by its series
_LEAST_NORM = 1e-100  # of densities that are not 0 everywhere
_HALF_BITS = 26  # half of the bits of a float64: products of such integers are exact


def _series(num_terms: int) -> list[float]:
    """Coefficients c_k of g(x) = sum_k c_k (x / 2)^(2 k), k = 1, 2, ..., from those of tanh."""
    k = np.arange(1, num_terms + 1)
    bernoulli = scipy.special.bernoulli(2 * num_terms)[2 * k]
    tanh = 4.0**k * (4.0**k - 1) * bernoulli / scipy.special.factorial(2 * k)
    return (tanh * (2 * k - 1) / k).tolist()


_SERIES = {tf.float32: _series(5), tf.float64: _series(11)}


@checked_call
def jensen_shannon(log_p: tf.Tensor, log_q: tf.Tensor, normalized: bool = True) -> tf.Tensor:
    """Jensen-Shannon divergence over the last axis, in nats; computed in float64.

    Args:
      log_p, log_q: [..., X] logarithms, -inf allowed, but not everywhere; they broadcast.
      normalized: the textbook form, KL(p || m) / 2 + KL(q || m) / 2 with m = (p + q) / 2, of p and
        q normalised over the axis: symmetric, 0 if and only if p = q, at most ln 2, and its square
        root is a metric (Endres & Schindelin 2003). Otherwise the form of the CAML paper, Eq. 2:
        KL(p || m) + KL(q || m) of p and q as they are, without the halves.

    Returns:
      [...], of the dtype of `log_p`.
    """
    log_p, log_q = float_tensors(1, log_p=log_p, log_q=log_q)
    dtype = log_p.dtype
    log_p, log_q = _exact(log_p, normalized), _exact(log_q, normalized)
    total = tf.reduce_sum(pointwise(log_p, log_q), axis=-1)
    return tf.cast(0.5 * total if normalized else total, dtype)


def pointwise(log_p: tf.Tensor, log_q: tf.Tensor) -> tf.Tensor:
    """p log(2p / (p + q)) + q log(2q / (p + q)), elementwise; >= 0 for every p and q.

    Args:
      log_p, log_q: [...] logarithms of one dtype, float32 or float64; they broadcast.

    Returns:
      [...].
    """
    log_p, log_q = finite(log_p), finite(log_q)
    return 0.5 * (tf.exp(log_p) + tf.exp(log_q)) * _share(log_q - log_p)


def finite(log_density: tf.Tensor) -> tf.Tensor:
    """Logarithms [...] -> [...]: -inf becomes a number, still the logarithm of 0.

    So differences are numbers too.
    """
    return tf.maximum(log_density, _LOG_ZERO)


def _exact(log_density: tf.Tensor, normalized: bool) -> tf.Tensor:
    """Finite logarithms in float64, if need be of what is normalised over the last axis."""
    log_density = tf.cast(finite(log_density), tf.float64)
    if normalized:
        log_density -= tf.reduce_logsumexp(log_density, axis=-1, keepdims=True)
    return log_density


def _share(x: tf.Tensor) -> tf.Tensor:
    """g(x) of the head of this file, elementwise: float32 or float64 [...] -> [...]."""
    size = tf.abs(x)
    square, small = 0.25 * tf.minimum(size, _SMALL) ** 2, 0.0  # no power of a large one overflows
    for coefficient in reversed(_SERIES[x.dtype]):
        small = (small + coefficient) * square
    # The greater of the two has this share of p + q.
    share = 1 / (1 + tf.exp(-size))
    large = 2 * (math.log(2) + tf.math.log(share) - size * (1 - share))
    return tf.where(size < _SMALL, small, large)


@checked_call
def hellinger(log_p: tf.Tensor, log_q: tf.Tensor, normalized: bool = True) -> tf.Tensor:
    """Squared Hellinger distance sum (sqrt p - sqrt q)^2 over the last axis; computed in float64.

    Args:
      log_p, log_q: [..., X] logarithms, -inf allowed, but not everywhere; they broadcast.
      normalized: half of it, of p and q normalised over the axis (at most 1); otherwise as they
        are.

    Returns:
      [...], of the dtype of `log_p`.
    """
    log_p, log_q = float_tensors(1, log_p=log_p, log_q=log_q)
    dtype = log_p.dtype
    log_p, log_q = _exact(log_p, normalized), _exact(log_q, normalized)
    total = tf.reduce_sum((tf.exp(0.5 * log_p) - tf.exp(0.5 * log_q)) ** 2, axis=-1)
    return tf.cast(0.5 * total if normalized else total, dtype)


def jensen_shannon_matrix(
    log_density: tf.Tensor, chunk_elements: int = 500_000, dtype: tf.DType | None = None
) -> tf.Tensor:
    """The unnormalised form between all pairs: log_density [N, X] -> [N, N].

    Weights are put into `log_density` beforehand (log w + log rho), which the form allows because
    it is linear in a common factor. Works through the blocks of rows and columns on and above the
    diagonal, `chunk_elements` terms at a time, so that no [N, N, X] exists.

    Args:
      log_density: [N, X] logarithms, float32 or float64, -inf allowed.
      chunk_elements: terms of a block at most.
      dtype: of the terms and the result; that of `log_density` unless given. Differences of
        logarithms are taken in float64, so float32 is precise for a `log_density` in float64 too.

    Returns:
      [N, N], symmetric, >= 0, 0 on the diagonal.
    """
    dtype = tf.as_dtype(dtype or log_density.dtype)
    size, length = log_density.shape
    side = max(1, min(size, math.isqrt(chunk_elements // length)))
    count = math.ceil(size / side)
    side = math.ceil(size / count)  # blocks of nearly equal size need the least padding
    padding = [[0, count * side - size], [0, 0]]
    log_density = tf.pad(tf.cast(finite(log_density), tf.float64), padding)
    log_density = tf.reshape(log_density, [count, side, length])
    density = tf.cast(tf.exp(log_density), dtype)
    pairs = np.stack(np.triu_indices(count), axis=1).astype(np.int32)

    def block(pair: tf.Tensor) -> tf.Tensor:
        i, j = pair[0], pair[1]
        x = tf.cast(log_density[j][None] - log_density[i][:, None], dtype)
        middle = 0.5 * (density[i][:, None] + density[j][None])
        return tf.reduce_sum(middle * _share(x), axis=-1)

    blocks = tf.map_fn(block, pairs, fn_output_signature=dtype, parallel_iterations=1)
    # The transpose is added below; blocks on the diagonal hold both halves already.
    share = tf.constant(np.where(pairs[:, 0] == pairs[:, 1], 0.5, 1.0), blocks.dtype)
    upper = tf.scatter_nd(pairs, share[:, None, None] * blocks, [count, count, side, side])
    upper = tf.reshape(tf.transpose(upper, [0, 2, 1, 3]), 2 * [count * side])[:size, :size]
    return _symmetric(2 * upper)


def hellinger_matrix(log_density: tf.Tensor) -> tf.Tensor:
    """Squared Hellinger distances between all pairs, by two matrix products: [N, X] -> [N, N].

    |a - b|^2 = |a|^2 + |b|^2 - 2 ab loses all digits of a difference that is small beside a and b.
    So each root is split, a = high + low, into an integer multiple of a unit that is coarse enough
    for sums of products of the high parts to be exact, and a rest. Then, with s = high + a,

        |a - b|^2 = |high_a - high_b|^2 + (low_a - low_b)(s_a - s_b)

    The first term is exact, and the second is smaller by the unit, and so is its rounding error: an
    error-free transformation as of K. Ozaki, T. Ogita, S. Oishi, S. Rump, "Error-free
    transformations of matrix multiplication", Numerical Algorithms 59 (2012).

    Args:
      log_density: [N, X] logarithms, -inf allowed.

    Returns:
      [N, N], of the dtype of `log_density`: symmetric, >= 0, 0 on the diagonal.
    """
    root = tf.exp(0.5 * tf.cast(finite(log_density), tf.float64))
    # In this unit the squared norm of a row, and so each product of rows, is at most 2^52.
    norm = tf.sqrt(tf.reduce_max(tf.reduce_sum(root**2, axis=1)))
    unit = tf.maximum(norm, _LEAST_NORM) / 2**_HALF_BITS
    root /= unit
    high = tf.round(root)
    squares = _expanded(tf.matmul(high, high, transpose_b=True))
    rest = _expanded(tf.matmul(root - high, root + high, transpose_b=True))
    squared = (squares + 0.5 * (rest + tf.transpose(rest))) * unit**2
    return _symmetric(tf.cast(tf.maximum(squared, 0), log_density.dtype))


def _expanded(product: tf.Tensor) -> tf.Tensor:
    """ab [N, N] of rows a and b -> aa + bb - 2 ab."""
    own = tf.linalg.diag_part(product)
    return own[:, None] + own[None, :] - 2 * product


def _symmetric(matrix: tf.Tensor) -> tf.Tensor:
    matrix = 0.5 * (matrix + tf.transpose(matrix))
    return tf.linalg.set_diag(matrix, tf.zeros(matrix.shape[0], matrix.dtype))
