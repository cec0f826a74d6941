"""Divergences between (possibly unnormalised) densities given by their logarithms.

With x = log q - log p, the Jensen-Shannon terms are

    p log(2p / (p + q)) = p (log 2 - softplus(x)),    q log(2q / (p + q)) = q (log 2 - softplus(-x))

which stays finite, and is exactly 0 where p = q, also in float32 and also where p or q underflow.
"""

import math

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
    neither = tf.math.is_inf(log_p) & tf.math.is_inf(log_q)
    x = tf.where(neither, tf.zeros_like(log_p), log_q - log_p)
    return _terms(tf.exp(log_p), tf.exp(log_q), x)


def _terms(p, q, x):
    """The two terms from p, q and x = log q - log p, with a single softplus."""
    one_sided = tf.math.is_inf(x)  # the density that is 0 contributes 0
    x = tf.where(one_sided, tf.zeros_like(x), x)
    log_2 = tf.cast(math.log(2), x.dtype)
    to_p = log_2 - tf.math.softplus(x)
    value = p * to_p + q * (to_p + x)
    return tf.where(one_sided, (p + q) * log_2, value)


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


def jensen_shannon_matrix(log_density, chunk_elements=4_000_000):
    """The unnormalised form between all pairs: log_density [N, X] -> [N, N].

    Weights are put into `log_density` beforehand (log w + log rho), which the form allows because
    it is linear in a common factor. Works through blocks of rows, so that no [N, N, X] exists.
    """
    size, length = log_density.shape
    rows = max(1, min(size, chunk_elements // (size * length)))

    density = tf.exp(log_density)

    def block(start):
        index = tf.minimum(start + tf.range(rows), size - 1)
        p, log_p = tf.gather(density, index), tf.gather(log_density, index)
        x = log_density[None] - log_p[:, None]
        return tf.reduce_sum(_terms(p[:, None], density[None], x), axis=-1)

    starts = tf.range(0, size, rows)
    blocks = tf.map_fn(block, starts, fn_output_signature=log_density.dtype, parallel_iterations=1)
    matrix = tf.maximum(tf.reshape(blocks, [-1, size])[:size], 0)
    return _symmetric(matrix)


def hellinger_matrix(log_density):
    """Squared Hellinger distances between all pairs, one matrix product: [N, X] -> [N, N]."""
    root = tf.exp(0.5 * log_density)
    product = tf.matmul(root, root, transpose_b=True)
    norm = tf.linalg.diag_part(product)
    return _symmetric(tf.maximum(norm[:, None] + norm[None, :] - 2 * product, 0))


def _symmetric(matrix):
    matrix = 0.5 * (matrix + tf.transpose(matrix))
    return tf.linalg.set_diag(matrix, tf.zeros(matrix.shape[0], matrix.dtype))
