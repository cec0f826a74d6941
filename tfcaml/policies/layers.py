"""Layers whose weights are each task's own, as pure functions.

Weights have a leading axis of N tasks, inputs of N tasks and B rows. A convolution is a product of
matrices: TensorFlow has none with other kernels in each example, and its gradients under
`tf.vectorized_map` are loops over tasks. All of it is differentiable to any order, in any precision
and under XLA.
"""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from tfcaml import nest
from tfcaml.types import Nest

_VARIANCE_FLOOR = 1e-5  # added to variances before their roots are divided by


def dense(x: tf.Tensor, weights: Nest) -> tf.Tensor:
    """A dense layer without activation: [N, B, I] -> [N, B, O].

    Args:
      x: [N, B, I].
      weights: {"kernel": [N, I, O], "bias": [N, O]}.
    """
    return tf.matmul(x, weights["kernel"]) + weights["bias"][:, None]


def convolve(x: tf.Tensor, kernel: tf.Tensor, stride: int = 1) -> tf.Tensor:
    """A convolution of images without bias, padded with zeros as "SAME" of `tf.nn.conv2d`.

    Args:
      x: [N, B, H, W, C].
      kernel: [N, h, w, C, F].
      stride: of both axes.

    Returns:
      [N, B, ceil(H / stride), ceil(W / stride), F].
    """
    tasks, rows, height, width, channels = nest.axes(x)
    _, *window, _, filters = kernel.shape
    sizes = [-(-size // stride) for size in (height, width)]
    totals = [
        max((out - 1) * stride + taps - size, 0)
        for out, taps, size in zip(sizes, window, (height, width))
    ]
    padding = [[total // 2, total - total // 2] for total in totals]
    x = tf.pad(x, [[0, 0], [0, 0], *padding, [0, 0]])
    reach = [stride * (out - 1) + 1 for out in sizes]
    seen = [
        x[:, :, i : i + reach[0] : stride, j : j + reach[1] : stride]
        for i in range(window[0])
        for j in range(window[1])
    ]
    patches = tf.concat(seen, axis=-1)
    inputs = window[0] * window[1] * channels
    flat = tf.reshape(patches, [tasks, rows * sizes[0] * sizes[1], inputs])
    answers = tf.matmul(flat, tf.reshape(kernel, [nest.num_rows(kernel), inputs, filters]))
    return tf.reshape(answers, [tasks, rows, *sizes, filters])


def convolve_in_time(x: tf.Tensor, kernel: tf.Tensor) -> tf.Tensor:
    """A convolution of sequences without bias, padded with zeros: [N, B, T, C] -> [N, B, T, F].

    Args:
      x: [N, B, T, C].
      kernel: [N, w, C, F].
    """
    return convolve(x[:, :, :, None], kernel[:, :, None])[:, :, :, 0]


def max_pool(x: tf.Tensor) -> tf.Tensor:
    """The largest of each two by two values, an odd last row and column left out.

    Args:
      x: [N, B, H, W, C].

    Returns:
      [N, B, H // 2, W // 2, C].
    """
    tasks, rows, height, width, channels = nest.axes(x)
    x = x[:, :, : height // 2 * 2, : width // 2 * 2]
    squares = tf.reshape(x, [tasks, rows, height // 2, 2, width // 2, 2, channels])
    return tf.reduce_max(squares, axis=[3, 5])


def layer_norm(x: tf.Tensor, offset: tf.Tensor, mask: tf.Tensor | None = None) -> tf.Tensor:
    """Each row brought to mean 0 and variance 1 over all its values, then moved; no scale.

    J. Ba, J. Kiros, G. Hinton, "Layer normalization", 2016, equation 4.

    Args:
      x: [N, B, ..., C].
      offset: [N, C].
      mask: of the rank of `x`, 1 at the places whose values count; None: all do.
    """
    axes = list(range(2, len(x.shape)))
    return _standardized(x, axes, mask) + _beside(offset, x)


def batch_norm(x: tf.Tensor, scale: tf.Tensor, offset: tf.Tensor) -> tf.Tensor:
    """Each channel of each task brought to mean 0 and variance 1 over its rows and places.

    S. Ioffe, C. Szegedy, "Batch normalization", ICML 2015, Algorithm 1; there are no running
    averages: what a row becomes depends on the rows beside it.

    Args:
      x: [N, B, ..., C].
      scale: [N, C].
      offset: [N, C].
    """
    axes = list(range(1, len(x.shape) - 1))
    return _standardized(x, axes) * _beside(scale, x) + _beside(offset, x)


def spatial_soft_argmax(x: tf.Tensor) -> tf.Tensor:
    """Where in an image each channel is large: the mean place under a softmax over all places.

    S. Levine, C. Finn, T. Darrell, P. Abbeel, "End-to-end training of deep visuomotor policies",
    JMLR 2016, section 5.1.

    Args:
      x: [N, B, H, W, C].

    Returns:
      [N, B, 2 C], heights and then widths, from -1 to 1.
    """
    tasks, rows, height, width, channels = nest.axes(x)
    flat = tf.reshape(x, [tasks, rows, height * width, channels])
    share = tf.reshape(tf.nn.softmax(flat, axis=2), tf.shape(x))
    places = lambda size: tf.cast(tf.linspace(-1.0, 1.0, size), x.dtype)
    down = tf.einsum("nbhwc,h->nbc", share, places(height))
    across = tf.einsum("nbhwc,w->nbc", share, places(width))
    return tf.concat([down, across], axis=-1)


def new_lstm(inputs: int, units: int, seed: int, dtype: tf.DType = tf.float32) -> Nest:
    """New weights of `lstm`, without task axis: Glorot-uniform, forget gates open.

    Args:
      inputs: I.
      units: U.
      seed: Python int.
      dtype: of the weights.
    """
    bound = np.sqrt(6 / (inputs + units + 4 * units))
    kernel = np.random.default_rng([seed, 0x157]).uniform(
        -bound, bound, [inputs + units, 4 * units]
    )
    bias = np.repeat([0.0, 1.0, 0.0, 0.0], units)
    return {"kernel": tf.constant(kernel, dtype), "bias": tf.constant(bias, dtype)}


def lstm(x: tf.Tensor, weights: Nest, mask: tf.Tensor) -> tf.Tensor:
    """What a long short-term memory has hidden after each step; on padded steps, as before them.

    S. Hochreiter, J. Schmidhuber, "Long short-term memory", 1997, with forget gates. A loop over
    time with the weights of all tasks; Keras's layer has one set of weights.

    Args:
      x: [N, B, T, I].
      weights: of `new_lstm`, each [N, ...].
      mask: [N, B, T], 1 on valid steps.

    Returns:
      [N, B, T, U].
    """
    tasks, rows, steps, _ = nest.axes(x)
    units = weights["bias"].shape[-1] // 4
    hidden = cell = tf.zeros([tasks, rows, units], x.dtype)
    valid = tf.cast(mask, x.dtype)[..., None]
    found = []
    for time in range(steps):
        gates = dense(tf.concat([x[:, :, time], hidden], axis=-1), weights)
        keep, forget, new, out = tf.split(gates, 4, axis=-1)
        moved = tf.sigmoid(forget) * cell + tf.sigmoid(keep) * tf.tanh(new)
        now = valid[:, :, time]
        cell = now * moved + (1 - now) * cell
        hidden = now * tf.sigmoid(out) * tf.tanh(moved) + (1 - now) * hidden
        found.append(hidden)
    return tf.stack(found, axis=2)


def _standardized(x: tf.Tensor, axes: list[int], mask: tf.Tensor | None = None) -> tf.Tensor:
    def mean_of(values: tf.Tensor) -> tf.Tensor:
        if mask is None:
            return tf.reduce_mean(values, axis=axes, keepdims=True)
        counted = tf.broadcast_to(mask, tf.shape(values))
        total = tf.reduce_sum(counted, axis=axes, keepdims=True)
        return tf.reduce_sum(values * counted, axis=axes, keepdims=True) / tf.maximum(total, 1)

    centered = x - mean_of(x)
    variance = mean_of(centered**2)
    return centered * tf.math.rsqrt(variance + tf.cast(_VARIANCE_FLOOR, x.dtype))


def _beside(weights: tf.Tensor, x: tf.Tensor) -> tf.Tensor:
    """[N, C] -> [N, 1, ..., 1, C], of the rank of `x`."""
    return tf.reshape(weights, [-1, *[1] * (len(x.shape) - 2), weights.shape[-1]])
