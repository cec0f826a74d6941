import numpy as np
import tensorflow as tf

from tfcaml.optimization import outer
from tfcaml.types import Surrogate


def quadratic(meta, batch):
    return Surrogate(tf.reduce_sum((meta["x"][None] - batch) ** 2, axis=1))


def test_adam_steps_are_those_of_keras():
    batch, start = tf.constant([[1.0, 2.0], [3.0, -4.0]]), tf.constant([0.5, 0.0])
    variable = tf.Variable(start)
    keras = tf.keras.optimizers.Adam(0.1, epsilon=1e-8)
    for _ in range(3):
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(quadratic({"x": tf.convert_to_tensor(variable)}, batch).loss)
        keras.apply_gradients([(tape.gradient(loss, variable), variable)])
    together, one = outer.adam(0.1, num_steps=3), outer.adam(0.1)
    meta, slots, metrics = together.step(
        quadratic, {"x": start}, together.init({"x": start}), batch
    )
    np.testing.assert_allclose(meta["x"], variable, rtol=1e-5)
    assert metrics["loss_after"] < metrics["loss_before"]
    meta, slots = {"x": start}, one.init({"x": start})
    for _ in range(3):
        meta, slots, _ = one.step(quadratic, meta, slots, batch)
    np.testing.assert_allclose(meta["x"], variable, rtol=1e-5)
    assert slots["count"] == 3
