"""Weights in two parts: those that are adapted, and those that all tasks share."""

import numpy as np
import pytest
import tensorflow as tf

from tfcaml import nest
from tfcaml.errors import ConfigError
from tfcaml.optimization import partition

NAMES = ("body/kernel", "body/bias", "head/kernel", "head/bias", "scale")


def test_positions_are_of_names_with_one_of_the_parts():
    positions = lambda value: partition.positions("adapted", value, NAMES)
    assert positions("head") == (2, 3)
    assert positions("scale, head") == (2, 3, 4)  # in the order of the weights
    assert positions("bias") == (1, 3)
    assert positions("/") == (0, 1, 2, 3)
    for value in ("tail", "head,tail", "head,", "", ","):
        with pytest.raises(ConfigError) as caught:
            positions(value)
        message = str(caught.value)
        assert message.startswith("expected adapted to be parts of names") and "\n" not in message
        assert message.endswith(f"received adapted={value!r}") and "head/bias" in message


def test_parts_that_are_taken_and_joined_are_the_whole():
    params = {"a": tf.constant([1.0, 2.0]), "b": (tf.constant(3.0), tf.constant([[4.0]]))}
    adapted = nest.repeat(partition.take(params, (0, 2)), 3)
    whole = partition.join(params, (0, 2), adapted)
    tf.nest.assert_same_structure(whole, params)
    nest.map(np.testing.assert_array_equal, whole, nest.repeat(params, 3))


def test_gradients_reach_both_parts():
    shared, own = tf.constant(2.0), tf.constant([3.0, 5.0])
    with tf.GradientTape() as tape:
        tape.watch([shared, own])
        whole = partition.join((shared, tf.constant(0.0)), (1,), (own,))
        total = tf.reduce_sum(whole[0] * whole[1])
    by_shared, by_own = tape.gradient(total, [shared, own])
    assert by_shared == 8.0
    np.testing.assert_array_equal(by_own, [2.0, 2.0])
