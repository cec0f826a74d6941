"""A recurrent network that makes a vector of a sequence."""

from typing import Any

import tensorflow as tf

from tfcaml import nest
from tfcaml.errors import check_whole, checked_call
from tfcaml.policies.functional import Functional, seeded
from tfcaml.types import Params

_SMALL = 1e-4  # variance of an answer's first values, relative to the units'; TESP's code


class SequenceEncoder:
    """A gated recurrent unit and a linear layer, as a pure function of their weights.

    K. Cho et al., "Learning phrase representations using RNN encoder-decoder", EMNLP 2014. The
    linear layer sees what is hidden after the last valid step. Its weights start small, so that
    first answers are near 0.

    Args:
      inputs: F, numbers of each step.
      units: H, of the recurrent unit.
      outputs: D, numbers of an answer.
      dtype: of the weights.
    """

    @checked_call
    def __init__(self, inputs: int, units: int, outputs: int, dtype: tf.DType = tf.float32) -> None:
        for name, value in (("inputs", inputs), ("units", units), ("outputs", outputs)):
            check_whole(name, value, 1)
        self.inputs = inputs
        self.units = units
        self.outputs = outputs
        self._network = _Network(inputs, units, outputs, dtype)
        self._functional = Functional(self._network)

    def init(self, seed: int) -> Params:
        """New weights, a tuple of tensors without task axis. `seed`: Python int."""
        return self._functional.init(seed)

    def __call__(self, params: Params, x: tf.Tensor, mask: tf.Tensor) -> tf.Tensor:
        """The answer to each sequence.

        Args:
          params: weights, each [N, ...].
          x: [N, M, T, F].
          mask: [N, M, T], 1 on valid steps; what stands on others does not count.

        Returns:
          [N, M, D].
        """
        steps = nest.time_major(x)
        valid = nest.time_major(mask)[..., None] > 0
        shape = [*x.shape[:2], self.units]
        start = tf.zeros([nest.num_rows(x), x.shape[1], self.units], x.dtype)

        # Step by step for all tasks: the network's own loop takes four times as long to trace.
        def step(time: tf.Tensor, hidden: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            moved = self._each(params, self._network.move, (steps[time], hidden))
            return time + 1, tf.where(valid[time], tf.ensure_shape(moved, shape), hidden)

        _, hidden = tf.while_loop(
            lambda time, _: time < steps.shape[0],
            step,
            (0, tf.ensure_shape(start, shape)),
            maximum_iterations=steps.shape[0],
            parallel_iterations=1,
        )
        return self._each(params, self._network.head, (hidden,))

    def _each(
        self, params: Params, layer: tf.keras.layers.Layer, given: tuple[Any, ...]
    ) -> tf.Tensor:
        """A layer's answer for each task by its own weights: each [N, M, ...] -> [N, M, ...]."""

        @tf.autograph.experimental.do_not_convert
        def one_task(inputs: tuple[Any, ...]) -> tf.Tensor:
            own, *rows = inputs
            return self._functional.run(own, layer, *rows)

        return tf.vectorized_map(one_task, (tuple(params), *given))


class _Network(tf.keras.Model):
    """The layers, with their variables."""

    def __init__(self, inputs: int, units: int, outputs: int, dtype: tf.DType) -> None:
        super().__init__(dtype=dtype)
        self.cell = tf.keras.layers.GRUCell(
            units, reset_after=False, implementation=2, dtype=dtype, name="cell"
        )
        small = tf.keras.initializers.VarianceScaling(_SMALL, "fan_in", "normal", seed=0)
        self.head = tf.keras.layers.Dense(
            outputs, kernel_initializer=small, dtype=dtype, name="head"
        )
        with seeded(self):
            self.cell.build([None, inputs])
            self.head.build([None, units])

    def move(self, x: tf.Tensor, hidden: tf.Tensor) -> tf.Tensor:
        """What is hidden after a step: [M, F], [M, H] -> [M, H]."""
        return self.cell(x, hidden)[0]
