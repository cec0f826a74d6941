"""A Keras model as a TF-Agents actor network."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import tensorflow as tf
import tensorflow_probability as tfp
from tf_agents.networks import Network
from tf_agents.specs import tensor_spec

from tfcaml.errors import ConfigError, check
from tfcaml.policies import functional
from tfcaml.policies.inputs import check_observation_spec
from tfcaml.types import Nest

if TYPE_CHECKING:
    from tensorflow_probability import distributions as tfd


class KerasActor(Network):
    """A model that gives logits or means as a network that gives distributions.

    Args:
      model: Keras 2 model of observations [B, ...] or a nest of them, without memory.
      observation_spec: nest of `TensorSpec`s of one observation.
      action_spec: `BoundedTensorSpec` of one action: an integer from 0 on, or a vector of floats.

    Raises:
      ConfigError: the model's output is not [B, number of actions] or [B, A], or means of another
        dtype than actions; or see `functional.check_precision`.
    """

    def __init__(
        self,
        model: tf.keras.Model,
        observation_spec: Nest,
        action_spec: tensor_spec.BoundedTensorSpec,
    ) -> None:
        check_observation_spec(observation_spec)
        super().__init__(input_tensor_spec=observation_spec, name="KerasActor")
        check(isinstance(model, tf.keras.layers.Layer), "model", model, "a Keras 2 model")
        functional.check_precision(model)
        self.model = model
        self._action_spec = action_spec
        self._discrete = tensor_spec.is_discrete(action_spec)
        size = [int(action_spec.maximum) + 1] if self._discrete else list(action_spec.shape)
        zeros = tf.nest.map_structure(
            lambda spec: tf.zeros([1, *spec.shape], spec.dtype), observation_spec
        )
        try:
            with functional.seeded(model):
                output = model(zeros)
        except (TypeError, ValueError, tf.errors.OpError) as error:
            line = " ".join(str(error).split())
            raise ConfigError(
                "expected model to take a batch of the observations of observation_spec; it raised "
                f"{type(error).__name__}: {line[:300]}"
            ) from error
        shape = list(getattr(output, "shape", ["no tensor"]))
        what = "logits" if self._discrete else "means"
        check(shape == [1, *size], "shape of the model's output", shape, f"{[1, *size]}, {what}")
        fits = self._discrete or output.dtype == action_spec.dtype
        expected = f"{action_spec.dtype.name}, as actions are"
        check(fits, "dtype of the model's output", output.dtype.name, expected)
        self._scale = None if self._discrete else _Scale(size, action_spec.dtype)

    def call(
        self,
        observation: Nest,
        step_type: tf.Tensor | None = None,
        network_state: Nest = (),
        training: bool = False,
    ) -> tuple[tfd.Distribution, Nest]:
        """The action distribution of each row of a batch, and no state."""
        output = self.model(observation, training=training)
        if self._scale is None:
            distribution = tfp.distributions.Categorical(output, dtype=self._action_spec.dtype)
        else:
            distribution = tfp.distributions.MultivariateNormalDiag(output, self._scale(output))
        return distribution, network_state


class _Scale(tf.keras.layers.Layer):
    """exp of a weight, repeated for each row."""

    def __init__(self, size: Sequence[int], dtype: tf.DType) -> None:
        super().__init__(dtype=dtype)
        self.log_scale_initializer = tf.keras.initializers.Zeros()
        self.log_scale = self.add_weight(
            "log_scale", size, initializer=self.log_scale_initializer, dtype=dtype
        )

    def call(self, output: tf.Tensor) -> tf.Tensor:
        return tf.exp(self.log_scale + tf.zeros_like(output))
