"""Divergences between (possibly unnormalised) densities given by their logarithms.

With x = log q - log p, the Jensen-Shannon terms are

    p log(2p / (p + q)) = p (log 2 - softplus(x)),    q log(2q / (p + q)) = q (log 2 - softplus(-x))

which stays finite, and is exactly 0 where p = q, also in float32 and also where p or q underflow.
"""

import math

import numpy as np
import tensorflow as tf

FORMS = ("jensen_shannon", "normalized_jensen_shannon", "hellinger")


def jensen_shannon(log_p, log_q, normalized=True):
    """Jensen-Shannon divergence over the last axis, in nats.

    Args:
      log_p, log_q: [..., X] logarithms, -inf allowed; they broadcast.
      normalized: the textbook form, KL(p || m) / 2 + KL(q || m) / 2 with m = (p + q) / 2, of p and
        q normalised over the axis: symmetric, 0 if and only if p = q, at most ln 2, and its square
        root is a metric (Endres & Schindelin 2003). Otherwise the form of the CAML paper, Eq. 2:
        KL(p || m) + KL(q || m) of p and q as they are, without the halves.

    Returns:
      [...].
    """
    log_p, log_q = tf.convert_to_tensor(log_p), tf.convert_to_tensor(log_q)
    if normalized:
        log_p = log_p - tf.reduce_logsumexp(log_p, axis=-1, keepdims=True)
        log_q = log_q - tf.reduce_logsumexp(log_q, axis=-1, keepdims=True)
    total = tf.reduce_sum(pointwise(log_p, log_q), axis=-1)
    return tf.maximum(0.5 * total if normalized else total, 0)


def pointwise(log_p, log_q):
    """p log(2p / (p + q)) + q log(2q / (p + q)), elementwise; >= 0 for every p and q."""
    log_p, log_q = _finite(log_p), _finite(log_q)
    return _terms(tf.exp(log_p), tf.exp(log_q), log_q - log_p)


def _finite(log_density):
    """-inf becomes a number that still is the logarithm of 0, so that differences are numbers."""
    return tf.maximum(log_density, -1e30)


def _terms(p, q, x):
    """The two terms from p, q and x = log q - log p, with a single softplus."""
    # softplus(x) = max(x, 0) + softplus(-|x|): nothing large cancels, however far p is from q.
    common = tf.constant(math.log(2), x.dtype) - tf.math.softplus(-tf.abs(x))
    return p * (common - tf.nn.relu(x)) + q * (common - tf.nn.relu(-x))


def hellinger(log_p, log_q, normalized=True):
    """Squared Hellinger distance sum (sqrt p - sqrt q)^2 over the last axis.

    Args:
      log_p, log_q: [..., X] logarithms.
      normalized: half of it, of p and q normalised over the axis (at most 1); otherwise as they
        are.

    Returns:
      [...].
    """
    log_p, log_q = tf.convert_to_tensor(log_p), tf.convert_to_tensor(log_q)
    if normalized:
        log_p = log_p - tf.reduce_logsumexp(log_p, axis=-1, keepdims=True)
        log_q = log_q - tf.reduce_logsumexp(log_q, axis=-1, keepdims=True)
    total = tf.reduce_sum((tf.exp(0.5 * log_p) - tf.exp(0.5 * log_q)) ** 2, axis=-1)
    return 0.5 * total if normalized else total


def jensen_shannon_matrix(log_density, chunk_elements=500_000):
    """The unnormalised form between all pairs: log_density [N, X] -> [N, N].

    Weights are put into `log_density` beforehand (log w + log rho), which the form allows because
    it is linear in a common factor. Works through the blocks of rows and columns on and above the
    diagonal, `chunk_elements` terms at a time, so that no [N, N, X] exists.
    """
    size, length = log_density.shape
    side = max(1, min(size, math.isqrt(chunk_elements // length)))
    count = math.ceil(size / side)
    side = math.ceil(size / count)  # blocks of nearly equal size need the least padding
    padding = [[0, count * side - size], [0, 0]]
    log_density = tf.reshape(tf.pad(_finite(log_density), padding), [count, side, length])
    density = tf.exp(log_density)
    pairs = np.stack(np.triu_indices(count), axis=1).astype(np.int32)

    def block(pair):
        i, j = pair[0], pair[1]
        x = log_density[j][None] - log_density[i][:, None]
        return tf.reduce_sum(_terms(density[i][:, None], density[j][None], x), axis=-1)

    blocks = tf.map_fn(block, pairs, fn_output_signature=log_density.dtype, parallel_iterations=1)
    # The transpose is added below; blocks on the diagonal hold both halves already.
    share = tf.constant(np.where(pairs[:, 0] == pairs[:, 1], 0.5, 1.0), blocks.dtype)
    upper = tf.scatter_nd(pairs, share[:, None, None] * blocks, [count, count, side, side])
    upper = tf.reshape(tf.transpose(upper, [0, 2, 1, 3]), 2 * [count * side])[:size, :size]
    return _symmetric(tf.maximum(2 * upper, 0))


def hellinger_matrix(log_density):
    """Squared Hellinger distances between all pairs, one matrix product: [N, X] -> [N, N]."""
    root = tf.exp(0.5 * log_density)
    product = tf.matmul(root, root, transpose_b=True)
    norm = tf.linalg.diag_part(product)
    return _symmetric(tf.maximum(norm[:, None] + norm[None, :] - 2 * product, 0))


def _symmetric(matrix):
    matrix = 0.5 * (matrix + tf.transpose(matrix))
    return tf.linalg.set_diag(matrix, tf.zeros(matrix.shape[0], matrix.dtype))
