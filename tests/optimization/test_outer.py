import numpy as np
import tensorflow as tf

from tfcaml.optimization import outer
from tfcaml.optimization.config import OuterConfig
from tfcaml.types import Surrogate


def quadratic(meta, batch):
    return Surrogate(tf.reduce_sum((meta["x"][None] - batch) ** 2, axis=1))


def test_the_parameters_of_the_lowest_loss_within_a_divergence_are_kept():
    """TESP's code: before each of the steps, the last one not taken; the moments are of all."""
    batch, start = tf.constant([[1.0, 2.0], [3.0, -4.0]]), {"x": tf.constant([0.5, 0.0])}
    far = lambda meta: tf.reduce_sum((meta["x"] - start["x"]) ** 2)

    def objective(meta, batch):  # a divergence, and a loss that turns up again
        loss = (far(meta) - 0.05) ** 2 + 0.01 * quadratic(meta, batch).loss
        return Surrogate(loss, kl=tf.repeat(far(meta), 2))

    one, plain = outer.adam(0.1), outer.adam(0.1, num_steps=6)
    meta, slots, path = start, one.init(start), []
    for _ in range(6):
        result = objective(meta, batch)
        path.append((float(tf.reduce_mean(result.loss)), float(far(meta)), meta["x"].numpy()))
        meta, slots, _ = one.step(objective, meta, slots, batch)
    kept = set()
    for limit in (1e-9, 0.03, 0.2, 10.0):
        guarded = outer.adam(0.1, 6, limit)
        found, moments, metrics = guarded.step(objective, start, guarded.init(start), batch)
        allowed = [row for row in path if row[1] < limit]
        loss, kl, x = min(allowed, key=lambda row: row[0])
        np.testing.assert_allclose(found["x"], x, rtol=1e-5)
        np.testing.assert_allclose(metrics["loss_after"], loss, rtol=1e-5)
        np.testing.assert_allclose(metrics["kl"], kl, rtol=1e-5, atol=1e-9)
        np.testing.assert_allclose(metrics["loss_before"], path[0][0], rtol=1e-5)
        np.testing.assert_allclose(moments["m"]["x"], slots["m"]["x"], rtol=1e-5)
        kept.add([row[0] for row in path].index(loss))
    assert len(kept) >= 3  # the start, one on the way, ...
    last, _, _ = plain.step(objective, start, plain.init(start), batch)
    np.testing.assert_allclose(last["x"], meta["x"], rtol=1e-5)


def test_a_loss_that_is_no_number_is_told_and_not_kept():
    """Whoever reads the metrics takes the update back."""
    start = {"x": tf.constant([1.0])}

    def objective(meta, batch):
        x = meta["x"][0]
        return Surrogate((x + tf.where(x > 0.75, 0.0, np.nan))[None], kl=tf.zeros([1]))

    guarded = outer.adam(0.1, 5, 1.0)
    kept, _, metrics = guarded.step(objective, start, guarded.init(start), tf.zeros([1, 1]))
    assert 0.75 < kept["x"][0] < 1
    assert not np.isfinite(metrics["loss_after"])


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


def test_a_long_gradient_is_scaled_and_a_short_one_is_not():
    batch = tf.constant([[1.0, 2.0], [3.0, -4.0]])
    start = {"x": tf.constant([0.5, 0.0]), "y": tf.constant([2.0])}
    rates = tf.constant([3.0, 5.0])

    def objective(meta, batch):
        loss = tf.reduce_sum((meta["x"] * rates - batch) ** 2, axis=-1) + meta["y"] ** 2
        return Surrogate(loss)

    with tf.GradientTape() as tape:
        tape.watch(start)
        loss = tf.reduce_mean(objective(start, batch).loss)
    gradient = tape.gradient(loss, start)
    norm = np.sqrt(sum(float(tf.reduce_sum(g**2)) for g in gradient.values()))
    for clip in (0.1, norm / 2, norm * 2):
        steps = outer.adam(0.1, max_grad_norm=clip)
        _, slots, _ = steps.step(objective, start, steps.init(start), batch)
        for name, g in gradient.items():  # the first moment is a tenth of the gradient
            np.testing.assert_allclose(slots["m"][name], 0.1 * g * min(1, clip / norm), rtol=1e-5)


def test_the_step_size_falls_to_nothing_over_the_steps():
    batch, start = tf.constant([[1.0, 2.0]]), {"x": tf.constant([0.5, 0.0])}
    falling, level = outer.adam(0.1, decay_steps=4), outer.adam(0.1)
    meta, slots = start, falling.init(start)
    for left in (1, 0.75, 0.5, 0.25, 0, 0):
        moved, after, _ = falling.step(quadratic, meta, slots, batch)
        alike, _, _ = level.step(quadratic, meta, slots, batch)
        np.testing.assert_allclose(
            moved["x"] - meta["x"], left * (alike["x"] - meta["x"]), rtol=1e-3, atol=1e-7
        )
        meta, slots = moved, after


def test_the_step_size_of_a_config_falls_over_the_steps_of_all_iterations():
    config = OuterConfig(optimizer="ppo", learning_rate=0.1, steps=3, annealing="linear")
    batch, start = tf.constant([[1.0, 2.0]]), {"x": tf.constant([0.5, 0.0])}
    found = []
    for steps in (config.make(2), outer.adam(0.1, 3, decay_steps=6)):
        meta, slots = start, steps.init(start)
        for _ in range(2):
            meta, slots, _ = steps.step(quadratic, meta, slots, batch)
        found.append(meta["x"])
    np.testing.assert_array_equal(*found)
