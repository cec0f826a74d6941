"""IMPALA's deep residual network, as a TF-Agents network of images."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import tensorflow as tf
from tf_agents.networks import network
from tf_agents.typing import types

from tfcaml.errors import check


class ResidualNetwork(network.Network):
    """Three sections of a convolution, a pool and two residual blocks; then a dense layer.

    L. Espeholt et al., "IMPALA: scalable distributed deep-RL with importance weighted actor-learner
    architectures", ICML 2018, Figure 3 on the right, without the LSTM. Integers are divided by 255.

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
        conv = lambda n: tf.keras.layers.Conv2D(n, 3, padding="same")
        self._sections = [
            (conv(n), tf.keras.layers.MaxPool2D(3, 2, "same"), [(conv(n), conv(n)) for _ in "12"])
            for n in channels
        ]
        self._dense = tf.keras.layers.Dense(units, activation="relu")

    def call(
        self, observation: types.NestedTensor, step_type: Any = None, network_state: Any = ()
    ) -> tuple[tf.Tensor, Any]:
        """Images [B, height, width, channels] -> (vectors [B, units], `network_state`)."""
        scale = 255.0 if observation.dtype.is_integer else 1.0
        x = tf.cast(observation, tf.float32) / scale
        for convolution, pool, blocks in self._sections:
            x = pool(convolution(x))
            for first, second in blocks:
                x += second(tf.nn.relu(first(tf.nn.relu(x))))
        x = tf.reshape(tf.nn.relu(x), [-1, x.shape[1:].num_elements()])
        return self._dense(x), network_state
