"""Networks that name images, with batch normalisation by the images at hand.

Those of C. Finn, P. Abbeel, S. Levine, "Model-agnostic meta-learning", ICML 2017, section 5.2.
There are no running averages: an image is normalised with those beside it, of the support while
adapting and of the queries while they are named, so that what is said of one query depends on the
others (transduction).

Differences from the paper's code: convolutions have no bias, which the normalisation would take
away again; scales and offsets of the normalisation are weights like any others, which inner steps
adapt too; all initial weights are Glorot-uniform, and biases 0.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import tensorflow as tf
import tensorflow_probability as tfp

from tfcaml import keys, nest
from tfcaml.errors import check, check_one_of, check_whole, checked_call
from tfcaml.policies import layers
from tfcaml.policies.base import Policy
from tfcaml.policies.network_policy import ACTIVATIONS
from tfcaml.types import Nest, Params

if TYPE_CHECKING:
    from tensorflow_probability import distributions as tfd
    from tf_agents.specs import tensor_spec

# Convolutions with stride 2, of whose answers the mean over space is taken (Omniglot); convolutions
# with stride 1 and pools, whose answers are joined (MiniImagenet); dense layers (Omniglot).
NETWORKS = ("convolutional", "pooled", "dense")
_WINDOW = 3  # of a convolution


class FewShotNetwork(Policy):
    """Layers with batch normalisation and an activation, and a linear one that gives logits.

    params = {"layer_0": {"kernel", "scale", "offset"}, ..., "head": {"kernel", "bias"}}.

    Args:
      observation_spec: `TensorSpec` of an image [height, width, channels].
      action_spec: `BoundedTensorSpec` of a label, an integer from 0 on.
      network: a name in `NETWORKS`.
      fc_layer_params: filters of each convolution, or units of each dense layer.
      activation: a name in `policies.ACTIVATIONS`.

    Raises:
      ConfigError: other observations or actions, no layers, or more pools than an image has room
        for.
    """

    @checked_call
    def __init__(
        self,
        observation_spec: tf.TensorSpec,
        action_spec: tensor_spec.BoundedTensorSpec,
        network: str = "convolutional",
        fc_layer_params: Sequence[int] = (64, 64, 64, 64),
        activation: str = "relu",
    ) -> None:
        shape: Any = getattr(observation_spec, "shape", None)
        is_image = isinstance(shape, tf.TensorShape) and shape.rank == 3
        check(is_image, "shape of an observation", shape, "[height, width, channels], an image")
        integer = action_spec.dtype.is_integer and action_spec.shape.rank == 0
        check(integer, "action_spec", action_spec, "that of a label, one integer from 0 on")
        check_one_of("network", network, NETWORKS)
        check_one_of("policy.activation", activation, ACTIVATIONS)
        check(fc_layer_params, "policy.fc_layer_params", fc_layer_params, "one layer at least")
        for units in fc_layer_params:
            check_whole("units in fc_layer_params", units, 1)
        height, width, channels = shape
        pools = len(fc_layer_params) if network == "pooled" else 0
        rule = f"at most {int(math.log2(min(height, width)))} layers: each halves an image of "
        rule += f"{height} x {width} points"
        check(min(height, width) >> pools, "policy.fc_layer_params", fc_layer_params, rule)
        self.observation_spec = observation_spec
        self.action_spec = action_spec
        self.num_actions: int = int(action_spec.maximum) + 1
        self.network = network
        self._activation = getattr(tf.keras.activations, activation)
        self._units = tuple(fc_layer_params)
        self._inputs: int = shape.num_elements() if network == "dense" else channels
        places = (height >> pools) * (width >> pools) if network == "pooled" else 1
        self.num_features = self._units[-1] * places

    @property
    def head(self) -> tuple[int, ...]:
        """The positions of the weights of the linear layer."""
        return tuple(i for i, name in enumerate(self.names) if name.startswith("head/"))

    def init(self, seed: int) -> Params:
        key, params, inputs = keys.from_int(seed), {}, self._inputs
        window = () if self.network == "dense" else (_WINDOW, _WINDOW)
        for index, units in enumerate(self._units):
            kernel = glorot(keys.fold(key, index), (*window, inputs, units))
            layer = {"kernel": kernel, "scale": tf.ones([units]), "offset": tf.zeros([units])}
            params[f"layer_{index}"] = layer
            inputs = units
        own = keys.fold(key, len(self._units))
        kernel = glorot(own, (self.num_features, self.num_actions))
        return {**params, "head": {"kernel": kernel, "bias": tf.zeros([self.num_actions])}}

    def features(self, params: Params, images: tf.Tensor) -> tf.Tensor:
        """What the linear layer sees: [N, B, height, width, channels] -> [N, B, num_features].

        Args:
          params: weights, each [N, ...].
          images: of each task, normalised together.
        """
        x = images
        if self.network == "dense":
            x = tf.reshape(x, [*nest.axes(x, 2), self._inputs])
        for index in range(len(self._units)):
            layer = params[f"layer_{index}"]
            if self.network == "dense":
                x = tf.matmul(x, layer["kernel"])
            else:
                stride = 2 if self.network == "convolutional" else 1
                x = layers.convolve(x, layer["kernel"], stride)
            x = self._activation(layers.batch_norm(x, layer["scale"], layer["offset"]))
            x = layers.max_pool(x) if self.network == "pooled" else x
        if self.network == "convolutional":
            x = tf.reduce_mean(x, axis=[2, 3])
        return tf.reshape(x, [*nest.axes(x, 2), self.num_features])

    def __call__(self, params: Params, observation: Nest) -> tfd.Distribution:
        logits = layers.dense(self.features(params, observation), params["head"])
        return tfp.distributions.Categorical(logits=logits, dtype=self.action_spec.dtype)


def glorot(key: tf.Tensor, shape: Sequence[int]) -> tf.Tensor:
    """Glorot-uniform weights of a layer, the last two axes its inputs and outputs. key: [2]."""
    *window, inputs, outputs = shape
    limit = math.sqrt(6 / (math.prod(window) * (inputs + outputs)))
    return tf.random.stateless_uniform(shape, key, -limit, limit)
