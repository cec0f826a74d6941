"""Recurrent cells of Keras, with gates that remember for long from the start if told to."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from tfcaml.errors import check, check_one_of, check_whole

# Recurrent cells by name.
CELLS = {"gru": tf.keras.layers.GRUCell, "lstm": tf.keras.layers.LSTMCell}
# How often a cell has weights for all of its units: of its gates, and of what it remembers anew.
GATES = {"gru": 3, "lstm": 4}


class LongMemory(tf.keras.initializers.Initializer):
    """Biases of gates with which unit i forgets over about T_i steps, T_i ~ U[2, `steps`].

    The forget gate's bias is log(T_i - 1), and the input gate's of an LSTM its negative: the
    chrono initialisation of C. Tallec, Y. Ollivier, "Can recurrent neural networks warp time?",
    ICLR 2018, arXiv 1804.11188, equation 16. The update gate of a GRU is a forget gate.

    Args:
      cell: a name in `CELLS`.
      steps: the longest time, >= 3.
      seed: Python int; 0 unless given.
    """

    def __init__(self, cell: str, steps: int, seed: int | None = None) -> None:
        self.cell, self.steps, self.seed = cell, steps, seed

    def get_config(self) -> dict[str, Any]:
        return {"cell": self.cell, "steps": self.steps, "seed": self.seed}

    def __call__(self, shape: Any, dtype: Any = None, **kwargs: Any) -> tf.Tensor:
        units = shape[-1] // GATES[self.cell]
        kept = tf.random.stateless_uniform([units], [self.seed or 0, 0], 1.0, self.steps - 1.0)
        kept, zeros = tf.math.log(kept), tf.zeros([units])
        gates = {"gru": [kept, zeros, zeros], "lstm": [-kept, kept, zeros, zeros]}[self.cell]
        bias = tf.concat(gates, axis=0)
        if len(shape) == 2:  # of a GRU: of its input, and of what it remembers
            bias = tf.stack([bias, tf.zeros_like(bias)])
        return tf.cast(bias, dtype or tf.float32)


def make_cell(cell: str, units: int, memory_steps: int = 0) -> Any:
    """A cell of Keras.

    Args:
      cell: a name in `CELLS`: "gru" (K. Cho et al., EMNLP 2014) or "lstm" (S. Hochreiter,
        J. Schmidhuber, 1997).
      units: of the cell.
      memory_steps: the longest time that a unit remembers at the start of training, see
        `LongMemory`; 0: gates begin as Keras has them.

    Raises:
      ConfigError: an unknown cell, or a number that is not allowed.
    """
    check_one_of("cell", cell, tuple(CELLS))
    check_whole("units", units, 1)
    check_whole("memory_steps", memory_steps, 0)
    if not memory_steps:
        return CELLS[cell](units)
    check(memory_steps >= 3, "memory_steps", memory_steps, "0, or >= 3")
    options: dict[str, Any] = {"bias_initializer": LongMemory(cell, memory_steps)}
    if cell == "lstm":
        options["unit_forget_bias"] = False
    return CELLS[cell](units, **options)
