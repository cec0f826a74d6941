"""Recurrent cells that remember for long from the start."""

import numpy as np
import pytest
import tensorflow as tf

from tfcaml.errors import ConfigError
from tfcaml.policies import CELLS, GATES, make_cell
from tfcaml.policies.functional import Functional


def gates(cell, seed):
    """The bias of each gate, of 400 units."""
    model = tf.keras.Sequential(
        [tf.keras.layers.RNN(make_cell(cell, 400, memory_steps=50), input_shape=[None, 2])]
    )
    bias = Functional(model).init(seed)[2].numpy()
    return np.split(bias if cell == "lstm" else bias.sum(axis=0), GATES[cell])


@pytest.mark.parametrize(("cell", "forget"), [("gru", 0), ("lstm", 1)])
def test_units_forget_over_times_up_to_the_longest(cell, forget):
    biases = gates(cell, 3)
    kept = tf.sigmoid(biases[forget])
    times = 1 / (1 - kept)
    assert 2 <= np.min(times) < 5 and 45 < np.max(times) <= 50
    np.testing.assert_allclose(np.mean(times), 26, atol=3)
    if cell == "lstm":
        np.testing.assert_array_equal(biases[0], -biases[1])
    assert not np.any(biases[forget + 1 :])
    np.testing.assert_array_equal(gates(cell, 3)[forget], biases[forget])
    assert np.any(gates(cell, 4)[forget] != biases[forget])


@pytest.mark.parametrize("cell", list(CELLS))
def test_what_is_not_told_is_as_keras_has_it(cell):
    ours, plain = make_cell(cell, 5), CELLS[cell](5)
    assert ours.get_config() | {"name": ""} == plain.get_config() | {"name": ""}


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        (("rnn", 3), "cell to be one of gru, lstm; received cell='rnn'"),
        (("gru", 0), "units to be a whole number from 1 to .*received units=0"),
        (("gru", 3, 2), "memory_steps to be 0, or >= 3; received memory_steps=2"),
        (("gru", 3, -1), "memory_steps to be a whole number from 0 to .*received memory_steps=-1"),
    ],
)
def test_what_is_refused(arguments, match):
    with pytest.raises(ConfigError, match=match):
        make_cell(*arguments)
