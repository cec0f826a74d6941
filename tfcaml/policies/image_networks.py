"""IMPALA's two networks of images, as TF-Agents networks.

L. Espeholt et al., "IMPALA: scalable distributed deep-RL with importance weighted actor-learner
architectures", ICML 2018, Figure 3, without the LSTM. Integers are divided by 255.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import tensorflow as tf
from tf_agents.networks import network
from tf_agents.typing import types

from tfcaml.errors import check

_conv = lambda channels, size, stride=1, padding="same": tf.keras.layers.Conv2D(
    channels, size, stride, padding
)


class ConvolutionalNetwork(network.Network):
    """Two convolutions and a dense layer: the shallow network, that of A3C. Figure 3, left.

    Args:
      input_tensor_spec: `TensorSpec` of an image [height, width, channels], floats or uint8, of at
        least 20 x 20 points.
      channels: of the two convolutions, 8 x 8 with stride 4 and 4 x 4 with stride 2. Source:
        IMPALA: 16, 32.
      units: of the dense layer. Source: IMPALA: 256.
    """

    def __init__(
        self,
        input_tensor_spec: tf.TensorSpec,
        channels: Sequence[int] = (16, 32),
        units: int = 256,
        name: str = "ConvolutionalNetwork",
    ) -> None:
        super().__init__(input_tensor_spec=input_tensor_spec, state_spec=(), name=name)
        shape = input_tensor_spec.shape
        check(shape.rank == 3, "shape of an image", shape, "[height, width, channels]")
        rule = "[height, width, channels] of at least 20 x 20 points"
        check(min(shape[:2]) >= 20, "shape of an image", shape, rule)
        first, second = channels
        self._layers_of_images = [_conv(first, 8, 4, "valid"), _conv(second, 4, 2, "valid")]
        self._dense = tf.keras.layers.Dense(units, activation="relu")

    def call(
        self, observation: types.NestedTensor, step_type: Any = None, network_state: Any = ()
    ) -> tuple[tf.Tensor, Any]:
        """Images [B, height, width, channels] -> (vectors [B, units], `network_state`)."""
        x = _scaled(observation)
        for convolution in self._layers_of_images:
            x = tf.nn.relu(convolution(x))
        return self._dense(_flat(x)), network_state


class ResidualNetwork(network.Network):
    """Three sections of a convolution, a pool and two residual blocks; then a dense layer.

    The deep network. Figure 3, right.

    Args:
      input_tensor_spec: `TensorSpec` of an image [height, width, channels], floats or uint8.
      channels: of each section. Source: IMPALA: 16, 32, 32.
      units: of the dense layer. Source: IMPALA: 256.
    """

    def __init__(
        self,
        input_tensor_spec: tf.TensorSpec,
        channels: Sequence[int] = (16, 32, 32),
        units: int = 256,
        name: str = "ResidualNetwork",
    ) -> None:
        super().__init__(input_tensor_spec=input_tensor_spec, state_spec=(), name=name)
        shape = input_tensor_spec.shape
        check(shape.rank == 3, "shape of an image", shape, "[height, width, channels]")
        self._sections = [
            (
                _conv(n, 3),
                tf.keras.layers.MaxPool2D(3, 2, "same"),
                [(_conv(n, 3), _conv(n, 3)) for _ in "12"],
            )
            for n in channels
        ]
        self._dense = tf.keras.layers.Dense(units, activation="relu")

    def call(
        self, observation: types.NestedTensor, step_type: Any = None, network_state: Any = ()
    ) -> tuple[tf.Tensor, Any]:
        """Images [B, height, width, channels] -> (vectors [B, units], `network_state`)."""
        x = _scaled(observation)
        for convolution, pool, blocks in self._sections:
            x = pool(convolution(x))
            for first, second in blocks:
                x += second(tf.nn.relu(first(tf.nn.relu(x))))
        return self._dense(_flat(tf.nn.relu(x))), network_state


class BesideContext(network.Network):
    """A network of images whose answer has a context behind it, as the image had it.

    For policies that see an image and a context as one vector, see `policies.with_context`.

    Args:
      within: a network of images that gives vectors.
      size: numbers of the context.
    """

    def __init__(self, within: network.Network, size: int, name: str = "BesideContext") -> None:
        self._image = within.input_tensor_spec
        seen = tf.TensorSpec([self._image.shape.num_elements() + size], tf.float32)
        super().__init__(input_tensor_spec=seen, state_spec=(), name=name)
        self._within = within

    def call(
        self, observation: types.NestedTensor, step_type: Any = None, network_state: Any = ()
    ) -> tuple[tf.Tensor, Any]:
        """Vectors [B, O + C] -> (vectors [B, F + C], `network_state`)."""
        numbers = self._image.shape.num_elements()
        image = tf.reshape(observation[:, :numbers], [-1, *self._image.shape])
        features, _ = self._within(tf.cast(image, self._image.dtype))
        return tf.concat([features, observation[:, numbers:]], axis=-1), network_state


# name in a config -> network of an image's `TensorSpec`
TORSOS = {"convolutional": ConvolutionalNetwork, "residual": ResidualNetwork}


def _scaled(images: tf.Tensor) -> tf.Tensor:
    """As floats, integers from 0 to 1."""
    return tf.cast(images, tf.float32) / (255.0 if images.dtype.is_integer else 1.0)


def _flat(x: tf.Tensor) -> tf.Tensor:
    return tf.reshape(x, [-1, x.shape[1:].num_elements()])
