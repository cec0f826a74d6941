"""A loss that is learned: the network of Evolved Policy Gradients.

R. Houthooft et al., "Evolved policy gradients", NeurIPS 2018, Figure 4 and the paper's code. Of the
latest steps of a life, the buffer [B, C], and of some of them, the samples [M, C],

    context = dense(mean over time of convolutions of the buffer)      [32]
    L = mean over samples of head(sample, context)

Convolutions run over time: 16 filters of 6 steps, stride 5, and 32 of 4 steps, stride 2, both with
leaky rectification of slope 0.2; the head has a layer of 16 of these units. Weights have an axis of
rows, for the members of a population.
"""

import math
from typing import NamedTuple

import tensorflow as tf

from tfcaml import keys
from tfcaml.errors import check, check_whole
from tfcaml.types import Params

_SLOPE = 0.2


class Convolution(NamedTuple):
    """filters, each of `width` steps, every `stride` steps."""

    filters: int
    width: int
    stride: int


_CONVOLUTIONS = Convolution(16, 6, 5), Convolution(32, 4, 2)
LEAST_STEPS = 21  # of a buffer, so that both convolutions fit in
_CONTEXT, _HIDDEN = 32, 16  # units


def num_weights(num_features: int) -> int:
    """How many weights a `LossNetwork` of so many features has."""
    return sum((inputs + 1) * outputs for inputs, outputs in _shapes(num_features).values())


class LossNetwork:
    """L of the module, of steps with `num_features` numbers each.

    Args:
      num_features: C.
      num_steps: B, steps of the buffer.

    Raises:
      ConfigError: no feature, or a buffer that is shorter than the convolutions.
    """

    def __init__(self, num_features: int, num_steps: int) -> None:
        self.num_features = check_whole("num_features", num_features, 1)
        self.lengths = [check_whole("num_steps", num_steps, 1)]
        for convolution in _CONVOLUTIONS:
            length = (self.lengths[-1] - convolution.width) // convolution.stride + 1
            check(length > 0, "num_steps", num_steps, "so many that both convolutions fit in")
            self.lengths.append(length)

    def init(self, seed: int) -> Params:
        """dict layer -> {"kernel": [inputs, outputs], "bias": [outputs]}.

        Kernels are drawn with a variance of 1 over the number of inputs, as Chainer does.
        """
        key, params = keys.from_int(seed), {}
        for number, (layer, (inputs, outputs)) in enumerate(_shapes(self.num_features).items()):
            drawn = keys.normal(keys.fold(key, number), [inputs, outputs]) / math.sqrt(inputs)
            params[layer] = {"kernel": drawn, "bias": tf.zeros([outputs])}
        return params

    def context(self, params: Params, buffer: tf.Tensor) -> tf.Tensor:
        """What the latest steps tell as a whole: buffer [N, B, C] in time order -> [N, 32]."""
        x = buffer
        for layer, convolution in zip(("first", "second"), _CONVOLUTIONS):
            windows = tf.signal.frame(x, convolution.width, convolution.stride, axis=1)
            windows = tf.reshape(windows, [*windows.shape[:2], -1])
            x = tf.nn.leaky_relu(_dense(params[layer], windows), _SLOPE)
        return _dense(params["context"], tf.reduce_mean(x, axis=1, keepdims=True))[:, 0]

    def __call__(
        self, params: Params, buffer: tf.Tensor, samples: tf.Tensor, weight: tf.Tensor
    ) -> tf.Tensor:
        """L.

        Args:
          params: as of `init`, with rows: each [N, ...].
          buffer: [N, B, C] in time order.
          samples: [N, M, C].
          weight: [N, M], what each sample counts in the mean.

        Returns:
          [N].
        """
        context = self.context(params, buffer)
        told = tf.repeat(context[:, None], samples.shape[1], axis=1)
        hidden = _dense(params["hidden"], tf.concat([samples, told], axis=-1))
        loss = _dense(params["loss"], tf.nn.leaky_relu(hidden, _SLOPE))[..., 0]
        total = tf.reduce_sum(loss * weight, axis=1)
        return tf.math.divide_no_nan(total, tf.reduce_sum(weight, axis=1))


def _dense(layer: Params, x: tf.Tensor) -> tf.Tensor:
    return tf.matmul(x, layer["kernel"]) + layer["bias"][:, None]


def _shapes(num_features: int) -> dict[str, tuple[int, int]]:
    """dict layer -> (inputs, outputs) of its weights."""
    first, second = _CONVOLUTIONS
    return {
        "first": (first.width * num_features, first.filters),
        "second": (second.width * first.filters, second.filters),
        "context": (second.filters, _CONTEXT),
        "hidden": (num_features + _CONTEXT, _HIDDEN),
        "loss": (_HIDDEN, 1),
    }
