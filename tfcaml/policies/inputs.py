"""Observations of any kind as what a network of dense layers takes: one vector of numbers."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from tf_agents.specs import tensor_spec

from tfcaml.errors import ConfigError, check, shown
from tfcaml.types import Nest


class Vector(tf.keras.layers.Layer):
    """A batch of tensors [B, ...] of any dtype as vectors [B, D] of the layer's own dtype.

    Numbers and booleans are cast, as `nest.vectors` does it.

    Args:
      low: integers [D0], the smallest value of each component; None: components are not one-hot.
      sizes: integers [D0], how many values each component takes. Component i becomes sizes[i]
        numbers, of which the one at its value less low[i] is 1 and all others are 0.
    """

    def __init__(
        self, low: Sequence[int] | None = None, sizes: Sequence[int] | None = None, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.low, self.sizes = low, sizes

    def call(self, x: tf.Tensor) -> tf.Tensor:
        """[B, ...] -> [B, D]."""
        if self.low is None or self.sizes is None:
            return tf.cast(tf.reshape(x, [tf.shape(x)[0], _size(x.shape[1:])]), self.compute_dtype)
        depth = max(self.sizes)
        value = tf.cast(tf.reshape(x, [-1, len(self.low)]), tf.int32) - self.low
        rows = tf.one_hot(value, depth, dtype=self.compute_dtype)  # [B, D0, depth]
        exists = np.arange(depth) < np.reshape(self.sizes, [-1, 1])
        return tf.gather(tf.reshape(rows, [-1, exists.size]), np.flatnonzero(exists), axis=1)

    def get_config(self) -> dict[str, Any]:
        """What `from_config` makes a copy of."""
        return {**super().get_config(), "low": self.low, "sizes": self.sizes}


def check_observation_spec(spec: Any) -> None:
    """Raises `ConfigError` unless a nest holds `TensorSpec`s of known shapes, and nothing else."""
    try:
        leaves = tf.nest.flatten(spec)
    except (TypeError, ValueError):
        leaves = []
    fits = lambda x: isinstance(x, tf.TensorSpec) and x.shape.is_fully_defined()
    known = lambda x: fits(x) and (x.dtype.is_floating or x.dtype.is_integer or x.dtype.is_bool)
    if not leaves or not all(map(known, leaves)):
        raise ConfigError(
            "expected observation_spec to be a TensorSpec of numbers or booleans of a known shape, "
            "or a nest of them, such as family.observation_spec; received "
            f"observation_spec={shown(spec)}"
        )


def vector_layers(observation_spec: Nest, one_hot: int = 0) -> tuple[dict[str, Any], int]:
    """How a network of TF-Agents is to join a nest of observations to one vector.

    Args:
      observation_spec: nest of `TensorSpec`s of one observation.
      one_hot: bounded integers that take at most this many values enter as one-hot vectors.

    Returns:
      (options of the network, how many numbers the vector has).

    Raises:
      ConfigError: specs of something else than numbers and booleans; or `one_hot` is set, and no
        leaf has so few values.
    """
    check_observation_spec(observation_spec)
    check(isinstance(one_hot, int) and one_hot >= 0, "one_hot", one_hot, "an integer >= 0")
    sizes = [_num_values(spec) for spec in tf.nest.flatten(observation_spec)]
    chosen = [bool(size) and max(size) <= one_hot for size in sizes]
    fewest = min((max(size) for size in sizes if size), default=None)
    allowed = "0, as no part of the observation is a bounded integer"
    if fewest is not None:
        allowed = f"0, or at least {fewest}, the values of the observation's smallest integer"
    check(not one_hot or any(chosen), "one_hot", one_hot, allowed)

    def layer(spec: tf.TensorSpec, size: Sequence[int], is_chosen: bool) -> Vector:
        if not is_chosen:
            return Vector()
        low = np.broadcast_to(spec.minimum, spec.shape).ravel()
        return Vector([int(x) for x in low], size)

    specs = tf.nest.flatten(observation_spec)
    total = sum(
        sum(size) if is_chosen else _size(spec.shape)
        for spec, size, is_chosen in zip(specs, sizes, chosen)
    )
    if not tf.nest.is_nested(observation_spec):
        is_plain = observation_spec.dtype == tf.float32
        layers = {} if is_plain else {"preprocessing_layers": layer(specs[0], sizes[0], chosen[0])}
        return layers, total
    layers = tf.nest.pack_sequence_as(
        observation_spec, [layer(*leaf) for leaf in zip(specs, sizes, chosen)]
    )
    combiner = tf.keras.layers.Concatenate(axis=-1)
    return {"preprocessing_layers": layers, "preprocessing_combiner": combiner}, total


def _num_values(spec: tf.TensorSpec) -> list[int]:
    """How many values each component of a bounded integer takes: a list; [] of other specs."""
    if not (spec.dtype.is_integer and isinstance(spec, tensor_spec.BoundedTensorSpec)):
        return []
    bounds = (np.broadcast_to(x, spec.shape).ravel() for x in (spec.minimum, spec.maximum))
    return [int(high) - int(low) + 1 for low, high in zip(*bounds)]


def _size(shape: Sequence[int]) -> int:
    return tf.TensorShape(shape).num_elements()
