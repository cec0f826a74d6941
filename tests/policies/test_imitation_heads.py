"""What judges a demonstration, poses, and what demonstrations lack."""

import numpy as np
import pytest
import tensorflow as tf

from tests.policies.test_imitation import ACTION, ALL_VALID, SPECS, D, N, T, drawn, make, seen
from tfcaml import nest
from tfcaml.errors import ConfigError
from tfcaml.policies import layers
from tfcaml.policies.imitation import AttentivePolicy, ImitationNetworkConfig, ImitationPolicy

MASK = (np.arange(T) < np.array([[5, 2, 4], [3, 1, 5]])[..., None]).astype(np.float32)
TEMPORAL = {
    "two_heads": True,
    "loss_head": "temporal",
    "temporal_filters": 4,
    "temporal_width": 4,
}


def gradients(policy, params, loss):
    """Gradients of a function of params by weight: dict name -> array, None without a path."""
    leaves = tf.nest.flatten(params["weights"])
    with tf.GradientTape() as tape:
        tape.watch(leaves)
        value = loss(params)
    return dict(zip(nest.names(params["weights"]), tape.gradient(value, leaves)))


def reached(found):
    return {name for name, g in found.items() if g is not None and np.any(g)}


def test_two_heads_are_judged_and_act_apart():
    policy = make(two_heads=True)
    params, shown = drawn(policy), seen()
    judged = lambda p: tf.reduce_sum(policy.judged(p, shown, ALL_VALID)[0] ** 2)
    acted = lambda p: tf.reduce_sum(policy.predicted(p, nest.flat_steps(shown))[0] ** 2)
    by_judged, by_acting = (reached(gradients(policy, params, f)) for f in (judged, acted))
    names = set(nest.names(params["weights"]))
    assert names - by_judged == {"post/kernel", "post/bias"}
    assert names - by_acting == {"pre/kernel", "pre/bias"}
    assert set(policy.adapted) == {n for n in by_judged if not n.endswith("offset")}
    one = make()
    judged = lambda p: tf.reduce_sum(one.judged(p, shown, ALL_VALID)[0] ** 2)
    assert reached(gradients(one, drawn(one), judged)) == set(nest.names(one.init(0)["weights"]))
    assert set(one.adapted) == {n for n in nest.names(one.init(0)["weights"]) if "offset" not in n}


def test_what_is_adapted_does_not_depend_on_how_observations_are_called():
    spec = {"offset": tf.TensorSpec([3], tf.float32), "post": tf.TensorSpec([4, 5], tf.float32)}
    policy = ImitationPolicy(spec, ACTION, config=ImitationNetworkConfig(two_heads=True))
    assert "objects_post/0/kernel" in policy.adapted
    assert not any(name.startswith("post") for name in policy.adapted)


@pytest.mark.parametrize("sees", ["objects", "all"])
def test_what_is_hidden_is_not_judged(sees):
    policy = make(two_heads=True, attention_sees=sees, more={"hidden": ("arm", "hand")})
    params, shown = drawn(policy), seen()
    other = {**shown, "arm": shown["arm"] + 3, "hand": -shown["hand"]}
    judge = lambda x: policy.judged(params, x, ALL_VALID)[0]
    np.testing.assert_array_equal(judge(shown), judge(other))
    assert np.all(judge(shown) != judge({**shown, "blocks": shown["blocks"] + 1}))
    acts = lambda x: policy.predicted(params, nest.flat_steps(x))[0]
    assert np.all(acts(shown) != acts(other))
    judged = lambda p: tf.reduce_sum(policy.judged(p, shown, ALL_VALID)[0] ** 2)
    acted = lambda p: tf.reduce_sum(policy.predicted(p, nest.flat_steps(shown))[0] ** 2)
    by_judged, by_acting = (reached(gradients(policy, params, f)) for f in (judged, acted))
    blind = {f"blind/{part}" for part in ("kernel", "bias", "bias_transform")}
    assert blind <= by_judged and not blind & by_acting
    assert not any(name.startswith("dense0") for name in by_judged)
    assert set(policy.adapted) == {n for n in by_judged if not n.endswith("offset")}
    # It is 0 that is seen there.
    zero = dict(params["weights"], dense0=params["weights"]["blind"])
    zeros = {**shown}
    for name in ("arm", "hand"):
        mean = params["moments"]["mean"][name][:, None, None]
        zeros[name] = tf.broadcast_to(mean, shown[name].shape)
    pre = dict(zero, post=zero["pre"])
    wanted = policy.predicted({**params, "weights": pre}, nest.flat_steps(zeros))[0]
    np.testing.assert_allclose(judge(shown), tf.reshape(wanted, [N, D, T, 2]), rtol=1e-9)


def convolved(x, kernel):
    """A "SAME" convolution in time of one sequence [T, C] by a loop; even widths look ahead."""
    width, before = len(kernel), (len(kernel) - 1) // 2
    found = np.zeros([len(x), kernel.shape[-1]])
    for t in range(len(x)):
        for k in range(width):
            if 0 <= t + k - before < len(x):
                found[t] += x[t + k - before] @ kernel[k]
    return found


def test_the_temporal_head_by_hand_and_padded_steps_do_not_count():
    policy = make("vectors", **TEMPORAL)
    params, shown = drawn(policy), seen("vectors")
    said, _ = policy.judged(params, shown, tf.constant(MASK))
    plain = make("vectors", two_heads=True)
    head = {"kernel": tf.eye(5, batch_shape=[N], dtype=tf.float64), "bias": tf.zeros([N, 5])}
    head["bias"] = tf.cast(head["bias"], tf.float64)
    weights = {**params["weights"], "pre": head}
    features, _ = plain.judged({**params, "weights": weights}, shown, ALL_VALID)
    own = nest.map(np.asarray, params["weights"]["pre"])
    for i, j in np.ndindex(N, D):
        length = int(MASK[i, j].sum())
        x = features[i, j, :length].numpy()
        for k in ("0", "1"):
            x = convolved(x, own[k]["kernel"][i])
            x = (x - x.mean()) / np.sqrt(x.var() + 1e-5) + own[k]["offset"][i]
            x = np.maximum(x, 0)
        wanted = convolved(x, own["2"]["kernel"][i]) + own["2"]["bias"][i]
        np.testing.assert_allclose(said[i, j, :length], wanted, rtol=1e-7, atol=1e-9)
    # What stands on padded steps is of no matter.
    invalid = tf.constant(MASK[..., None] == 0)
    rubbish = nest.map(lambda x: tf.where(invalid, x + 9.0, x), shown)
    again, _ = policy.judged(params, rubbish, tf.constant(MASK))
    valid = MASK > 0
    np.testing.assert_allclose(again.numpy()[valid], said.numpy()[valid], rtol=1e-9)
    assert not any("offset" in name for name in policy.adapted)
    assert "pre/2/kernel" in policy.adapted


def test_poses_are_predicted_by_weights_that_actions_do_not_move():
    policy = make(more={"pose": "hand"})
    params, rows = drawn(policy), nest.flat_steps(seen())
    action, pose = policy.predicted(params, rows)
    assert pose.shape == (N, D * T, 2)
    weights = params["weights"]["pose"]
    wanted = policy.perceived(params, rows) @ weights["kernel"] + weights["bias"][:, None]
    np.testing.assert_allclose(pose, wanted, rtol=1e-9)
    by_actions = gradients(policy, params, lambda p: tf.reduce_sum(policy.predicted(p, rows)[0]))
    assert by_actions["pose/kernel"] is None and by_actions["pose/bias"] is None
    by_pose = reached(
        gradients(policy, params, lambda p: tf.reduce_sum(policy.predicted(p, rows)[1]))
    )
    assert {"pose/kernel", "pose/bias"} <= by_pose and not any("dense" in n for n in by_pose)
    # It is seen, though.
    moved = {**params["weights"], "pose": nest.map(lambda x: x + 1, weights)}
    assert np.all(policy.predicted({**params, "weights": moved}, rows)[0] != action)
    # What it should be is normalised.
    mean, deviation = (params["moments"][k]["hand"][:, None] for k in ("mean", "deviation"))
    np.testing.assert_allclose(
        policy.pose_of(params, rows), (rows["hand"] - mean) / deviation, rtol=1e-9
    )


def test_a_context_stands_behind_what_the_first_layer_sees():
    policy, plain = make("vectors", more={"context": 3}), make("vectors")
    params, rows = drawn(policy), nest.flat_steps(seen("vectors"))
    context = tf.constant(np.random.default_rng(0).normal(size=[N, 3]))
    first = params["weights"]["dense0"]
    kernel = tf.concat([first["kernel"][:, :5], first["kernel"][:, 8:]], axis=1)
    bias = first["bias"] + tf.einsum("nc,ncu->nu", context, first["kernel"][:, 5:8])
    weights = {**params["weights"], "dense0": {**first, "kernel": kernel, "bias": bias}}
    wanted = plain.predicted({**params, "weights": weights}, rows)[0]
    found = policy.predicted({**params, "context": context}, rows)[0]
    np.testing.assert_allclose(found, wanted, rtol=1e-9)


def test_attention_to_objects_knows_the_context():
    policy = make("objects", attention_sees="all", more={"context": 3, "pose": "arm"})
    params, rows = drawn(policy), nest.flat_steps(seen("objects"))
    context = tf.constant(np.random.default_rng(0).normal(size=[N, 3]))
    action, pose = policy.predicted({**params, "context": context}, rows)
    known = tf.repeat(context[:, None], D * T, axis=1)
    shown, own = policy.perceived(params, rows, context=known), params["weights"]
    wanted = layers.dense(shown, own["pose"])
    np.testing.assert_allclose(pose, wanted, rtol=1e-9)
    learned = tf.repeat(own["dense0"]["bias_transform"][:, None], D * T, axis=1)
    x = [shown, policy.vectors(params, rows), wanted, known, learned]
    x = tf.tanh(layers.dense(tf.concat(x, axis=-1), own["dense0"]))
    x = layers.dense(tf.tanh(layers.dense(x, own["dense1"])), own["post"])
    np.testing.assert_allclose(action, x, rtol=1e-9)
    # Before anything is known, zeros stand there.
    zeros = policy.perceived(params, rows, context=tf.zeros_like(known))
    np.testing.assert_array_equal(policy.perceived(params, rows), zeros)
    assert np.all(zeros != shown)


def test_what_is_attended_to_among_steps_is_known_to_attention_to_objects():
    given = {"context": 3, "attention_units": 4}
    policy = make("objects", AttentivePolicy, attention_sees="all", more=given)
    plain = make("objects", attention_sees="all", more={"context": 3})
    params, rows = drawn(policy), nest.flat_steps(seen("objects"))
    read = tf.constant(np.random.default_rng(0).normal(size=[N, D, T, 3]))
    params |= {"read": read, "mask": tf.constant(MASK)}
    # It asks by what it sees while it knows nothing.
    first = [policy.perceived(params, rows), policy.vectors(params, rows)]
    context = policy.context(params, tf.concat(first, axis=-1))
    found = policy.predicted(params, rows)[0]
    for b in range(D * T):
        row = nest.map(lambda x: x[:, b : b + 1], rows)
        wanted = plain.predicted({**params, "context": context[:, b]}, row)[0]
        np.testing.assert_allclose(found[:, b : b + 1], wanted, rtol=1e-9)


def test_attention_to_steps_by_hand():
    policy = make(
        "vectors", AttentivePolicy, more={"context": 3, "attention_units": 4, "pose": "arm"}
    )
    params, rng = drawn(policy), np.random.default_rng(0)
    read, rows = rng.normal(size=[N, D, T, 3]), rng.normal(size=[N, 6, 8])
    mask = MASK.copy()
    mask[1] = 0  # the second task has not been shown
    given = {**params, "read": tf.constant(read), "mask": tf.constant(mask)}
    found = policy.context(given, tf.constant(rows)).numpy()
    own = nest.map(np.asarray, params["weights"]["attention"])
    for b in range(6):
        asked = rows[0, b] @ own["query"]["kernel"][0] + own["query"]["bias"][0]
        steps = read[0][mask[0] > 0]
        held = steps @ own["key"]["kernel"][0] + own["key"]["bias"][0]
        share = np.exp(held @ asked / 2)
        np.testing.assert_allclose(found[0, b], share @ steps / share.sum(), rtol=1e-8)
    np.testing.assert_array_equal(found[1], np.zeros([6, 3]))
    assert policy.predicted(given, nest.flat_steps(seen("vectors")))[0].shape == (N, D * T, 2)


@pytest.mark.parametrize("dtype", [tf.float32, tf.float64])
def test_the_memory_is_that_of_keras(dtype):
    rng = np.random.default_rng(0)
    x = tf.constant(rng.normal(size=[N, D, T, 4]), dtype)
    first = [layers.new_lstm(4, 3, seed, dtype) for seed in range(N)]
    np.testing.assert_array_equal(first[0]["bias"], np.repeat([0, 1, 0, 0], 3))
    weights = nest.stack([nest.map(lambda w: w + rng.normal(size=w.shape), w) for w in first])
    found = layers.lstm(x, weights, tf.constant(MASK))
    for i in range(N):
        keras = tf.keras.layers.LSTM(3, return_sequences=True, dtype=dtype)
        keras(x[i])  # makes its weights
        kernel = weights["kernel"][i]
        keras.set_weights([kernel[:4], kernel[4:], weights["bias"][i]])
        wanted = keras(x[i], mask=tf.constant(MASK[i] > 0))
        np.testing.assert_allclose(found[i], wanted, rtol=1e-4 if dtype == tf.float32 else 1e-10)
    # On padded steps it is as after the last valid one.
    for i, j in np.ndindex(N, D):
        last = int(MASK[i, j].sum()) - 1
        same = np.repeat(found[i, j, last : last + 1], T - last - 1, axis=0)
        np.testing.assert_array_equal(found[i, j, last + 1 :], same)


MOVES = ACTION.__class__([], tf.int32, 0, 3)
ERRORS = {
    "discrete": (lambda: ImitationPolicy(SPECS["one"], MOVES), "vector of floats"),
    "rank": (lambda: ImitationPolicy(tf.TensorSpec([], tf.float32), ACTION), "of rank 1"),
    "layers": (lambda: ImitationPolicy(SPECS["one"], ACTION, ()), "one layer at least"),
    "units": (lambda: ImitationPolicy(SPECS["one"], ACTION, (0,)), "units in fc_layer_params"),
    "activation": (lambda: ImitationPolicy(SPECS["one"], ACTION, (3,), "x"), "tanh, relu"),
    "config": (lambda: ImitationPolicy(SPECS["one"], ACTION, config=3), "ImitationNetworkConfig"),
    "hidden": (lambda: make(more={"hidden": ("image",)}), "hidden to be one of arm, hand"),
    "pose": (lambda: make(more={"pose": "blocks"}), "pose to be one of arm, hand"),
    "attention": (lambda: make("one", AttentivePolicy, more={"attention_units": 0}), "attention"),
    "context": (lambda: make("one", more={"context": -1}), "context to be a whole number"),
    "argument": (lambda: make("one", more={"hide": ()}), "did you mean hidden"),
    "image_features": (
        lambda: ImitationNetworkConfig(image_features="x"),
        "flat, soft_argmax, attention",
    ),
    "attention sees": (lambda: ImitationNetworkConfig(attention_sees="x"), "objects, all"),
    "bias_layers": (lambda: ImitationNetworkConfig(bias_transform_layers="x"), "first, all"),
    "loss_head": (lambda: ImitationNetworkConfig(loss_head="x"), "linear, temporal"),
    "no loss head": (lambda: ImitationNetworkConfig(loss_head="temporal"), "two_heads=True"),
    "no filters": (lambda: ImitationNetworkConfig(filters=0), "filters"),
    "no convolution": (
        lambda: ImitationNetworkConfig(strides=()),
        "as many numbers as kernel_sizes",
    ),
    "a negative one": (lambda: ImitationNetworkConfig(bias_transform=-1), "bias_transform"),
    "no bias": (
        lambda: ImitationNetworkConfig(bias_transform=0, bias_transform_layers="all"),
        "acts only with bias_transform",
    ),
    "no layers": (
        lambda: ImitationNetworkConfig(object_layers=0, object_units=3),
        "acts only with object_layers",
    ),
    "width": (lambda: ImitationNetworkConfig(temporal_width=3), "with loss_head=temporal"),
    "cold": (lambda: ImitationNetworkConfig(temperature=0.0), "temperature"),
}


@pytest.mark.parametrize("mistake", ERRORS)
def test_mistakes_are_told_in_one_line(mistake):
    call, text = ERRORS[mistake]
    with pytest.raises(ConfigError, match=text) as error:
        call()
    assert "\n" not in str(error.value)
