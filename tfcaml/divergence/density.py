"""Kernel density estimates of the states that policies visit, in log space.

`tfd.MixtureSameFamily` of one Gaussian per point gives the same density and is the oracle of the
tests; the direct log-sum-exp needs a thirtieth of its time and memory, so that is what runs.
"""

import math
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp
from tensorflow_probability import distributions as tfd

from tfcaml.divergence.arrays import float_tensors
from tfcaml.errors import ConfigError, shown

# Rules that work the bandwidth out from the data: for each density, or for all together.
BANDWIDTH_RULES = ("scott", "pooled")
_LOG_ZERO = -1e30  # of points that are left out
_RIDGE = 1e-3  # standard deviation added to data-driven kernels, against points on a line


class KernelDensity(tfd.Distribution):
    """Mean of Gaussian kernels on points: p(x) = 1/n sum_m N(x; points_m, covariance).

    Args:
      points: [n, d], or [N, n, d] for a batch of N densities.
      bandwidth: the kernel's standard deviation (a number); its covariance ([d, d], or
        [N, d, d]); "scott" (Scott 1992: the points' covariance times n^(-2/(d+4)), one per
        density) or "pooled" (the same from the points of all densities together, with the mean n).
      mask: [n] or [N, n], >= 0; points with mask 0 are left out.

    Raises:
      ConfigError: points that are not finite or of another rank, a mask that leaves out all points
        of a density, or an unusable bandwidth.
    """

    def __init__(
        self,
        points: tf.Tensor,
        bandwidth: float | str | np.ndarray | tf.Tensor = 0.5,
        mask: tf.Tensor | None = None,
        name: str = "KernelDensity",
    ) -> None:
        parameters = dict(locals())
        points = float_tensors(0, points=points)[0]
        if points.shape.rank not in (2, 3) or 0 in points.shape:
            raise ConfigError(
                f"expected points to be [n, d] or [N, n, d]; received shape {points.shape}"
            )
        if tf.executing_eagerly() and not np.isfinite(points).all():
            raise ConfigError("expected points to be finite")
        self._single = points.shape.rank == 2
        self._points = points[None] if self._single else points
        if mask is None:
            mask = tf.ones(points.shape[:-1], points.dtype)
        mask = tf.cast(float_tensors(1, mask=mask)[0], points.dtype)
        if mask.shape != points.shape[:-1]:
            raise ConfigError(
                f"expected mask to be of shape {points.shape[:-1]}; received shape {mask.shape}"
            )
        self._mask = mask[None] if self._single else mask
        if tf.executing_eagerly() and not (self._mask.numpy().max(axis=1) > 0).all():
            raise ConfigError("expected mask to keep at least one point of each density")
        self.covariance = kernel_covariance(self._points, bandwidth, self._mask)
        self._scale = tf.linalg.cholesky(self.covariance)
        super().__init__(
            dtype=points.dtype,
            reparameterization_type=tfd.NOT_REPARAMETERIZED,
            validate_args=False,
            allow_nan_stats=False,
            parameters=parameters,
            name=name,
        )

    def _batch_shape(self) -> tf.TensorShape:
        return tf.TensorShape([] if self._single else [self._points.shape[0]])

    def _batch_shape_tensor(self) -> tf.Tensor:
        return tf.constant([] if self._single else [self._points.shape[0]], tf.int32)

    def _event_shape(self) -> tf.TensorShape:
        return self._points.shape[-1:]

    def _event_shape_tensor(self) -> tf.Tensor:
        return tf.constant(self._points.shape[-1:], tf.int32)

    def _log_prob(self, x: tf.Tensor) -> tf.Tensor:
        """x [..., d] of one density, or [M, N, d] of a batch, as TFP broadcasts."""
        if self._single:
            flat = tf.reshape(x, [1, -1, x.shape[-1]])
            return tf.reshape(self.log_prob_at(flat)[0], tf.shape(x)[:-1])
        x = tf.broadcast_to(x, tf.concat([tf.shape(x)[:-2], self._points.shape[0::2]], 0))
        flat = tf.reshape(x, [-1, *self._points.shape[0::2]])
        value = tf.transpose(self.log_prob_at(tf.transpose(flat, [1, 0, 2])))
        return tf.reshape(value, tf.shape(x)[:-1])

    def log_prob_at(self, x: tf.Tensor) -> tf.Tensor:
        """Every density at its own or at shared places.

        Args:
          x: [N, M, d] or [1, M, d].

        Returns:
          [N, M].
        """
        dimension = self._points.shape[-1]
        whiten = lambda y: tf.linalg.matrix_transpose(
            tf.linalg.triangular_solve(self._scale, tf.linalg.matrix_transpose(y))
        )
        points = whiten(self._points)
        x = whiten(tf.broadcast_to(x, [points.shape[0], *x.shape[1:]]))
        # Differences, not the expanded square: that cancels when the kernel is narrow.
        squared = tf.add_n(
            [(x[:, :, None, i] - points[:, None, :, i]) ** 2 for i in range(dimension)]
        )
        log_weight = log_mask(self._mask) - tf.math.log(
            tf.reduce_sum(self._mask, axis=1, keepdims=True)
        )
        log_sum = tf.reduce_logsumexp(log_weight[:, None] - 0.5 * squared, axis=-1)
        log_det = tf.reduce_sum(tf.math.log(tf.linalg.diag_part(self._scale)), axis=-1)
        constant = 0.5 * dimension * math.log(2 * math.pi)
        return log_sum - log_det[:, None] - tf.constant(constant, log_sum.dtype)

    def _sample_n(self, n: int, seed: Any = None) -> tf.Tensor:
        point_key, noise_key = tfp.random.split_seed(seed)
        size, _count, dimension = self._points.shape
        index = tf.random.stateless_categorical(log_mask(self._mask), n, point_key)
        chosen = tf.gather(self._points, index, batch_dims=1)  # [N, n, d]
        noise = tf.random.stateless_normal([size, n, dimension], noise_key, dtype=self.dtype)
        sample = chosen + tf.linalg.matmul(noise, self._scale, transpose_b=True)
        return sample[0] if self._single else tf.transpose(sample, [1, 0, 2])


def log_mask(mask: tf.Tensor) -> tf.Tensor:
    """Logarithms of a mask, very low but finite where it is 0: [...] -> [...]."""
    return tf.where(mask > 0, tf.math.log(tf.where(mask > 0, mask, 1)), _LOG_ZERO)


def kernel_covariance(
    points: tf.Tensor, bandwidth: float | str | np.ndarray | tf.Tensor, mask: tf.Tensor
) -> tf.Tensor:
    """The kernel's covariance by rule: points [N, n, d], mask [N, n] -> [N, d, d]."""
    size, _, dimension = points.shape
    eye = tf.eye(dimension, dtype=points.dtype)
    if isinstance(bandwidth, str):
        if bandwidth not in BANDWIDTH_RULES:
            raise ConfigError(
                f"expected bandwidth to be a number, a covariance or one of "
                f"{', '.join(BANDWIDTH_RULES)}; received bandwidth={bandwidth!r}"
            )
        count = tf.reduce_sum(mask, axis=1)
        if bandwidth == "scott":
            spread = _covariance(points, mask)
        else:
            pooled = tf.reshape(points, [1, -1, dimension])
            spread = _covariance(pooled, tf.reshape(mask, [1, -1]))
            spread = tf.repeat(spread, size, axis=0)
            count = tf.fill([size], tf.reduce_mean(count))
        factor = count ** tf.constant(-2 / (dimension + 4), points.dtype)
        return spread * factor[:, None, None] + _RIDGE**2 * eye
    if tf.is_tensor(bandwidth) and not tf.executing_eagerly():
        return bandwidth  # covariances of this function, inside a compiled one
    try:
        with np.errstate(over="ignore"):  # what float32 does not have is infinite
            value = np.asarray(bandwidth, points.dtype.as_numpy_dtype)
    except (TypeError, ValueError):
        raise ConfigError(
            "expected bandwidth to be a number, a covariance or one of "
            f"{', '.join(BANDWIDTH_RULES)}; received bandwidth={shown(bandwidth)}"
        ) from None
    if value.ndim == 0:
        if not value > 0 or not np.isfinite(value):
            raise ConfigError(f"expected bandwidth to be > 0; received bandwidth={bandwidth!r}")
        return tf.repeat((tf.constant(value) ** 2 * eye)[None], size, axis=0)
    if value.shape[-2:] != (dimension, dimension) or value.ndim > 3:
        raise ConfigError(
            f"expected bandwidth to be a number or a [{dimension}, {dimension}] covariance; "
            f"received shape {list(value.shape)}"
        )
    symmetric = np.allclose(value, np.swapaxes(value, -1, -2))  # False with nan
    if not symmetric or np.linalg.eigvalsh(value).min() <= 0:
        raise ConfigError(
            f"expected the covariance to be symmetric and positive definite; received "
            f"bandwidth={value.tolist()}"
        )
    return tf.broadcast_to(tf.constant(value), [size, dimension, dimension])


def _covariance(points: tf.Tensor, mask: tf.Tensor) -> tf.Tensor:
    """Unbiased covariance of the points with mask 1: [N, n, d] -> [N, d, d]."""
    count = tf.reduce_sum(mask, axis=1)[:, None, None]
    mean = tf.reduce_sum(points * mask[..., None], axis=1, keepdims=True) / count
    centred = (points - mean) * mask[..., None]
    return tf.matmul(centred, centred, transpose_a=True) / tf.maximum(count - 1, 1)
