"""The state of learners."""

import tensorflow as tf

from tfcaml import nest
from tfcaml.types import Nest


class Variables(tf.Module):
    """A nest of tensors kept in `tf.Variable`s, read and written whole."""

    def __init__(self, values: Nest, name: str | None = None) -> None:
        super().__init__(name=name)
        self._structure = tf.nest.map_structure(lambda _: 0, values)
        self._flat = [tf.Variable(value, trainable=False) for value in tf.nest.flatten(values)]

    def read(self) -> Nest:
        """The values, as tensors."""
        values = [tf.convert_to_tensor(variable) for variable in self._flat]
        return tf.nest.pack_sequence_as(self._structure, values)

    @property
    def variables_nest(self) -> Nest:
        """The `tf.Variable`s themselves, as a nest like the values."""
        return tf.nest.pack_sequence_as(self._structure, self._flat)

    def named(self) -> dict[str, tf.Variable]:
        """The `tf.Variable`s by name, see `nest.names`: dict."""
        return dict(zip(nest.names(self._structure), self._flat))

    def write(self, values: Nest) -> None:
        """Replaces all values."""
        tf.nest.assert_same_structure(self._structure, values)
        for variable, value in zip(self._flat, tf.nest.flatten(values)):
            variable.assign(value)
