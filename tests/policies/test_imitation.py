"""Policies that are learned from demonstrations: what they see, and what judges them."""

import functools

import hypothesis
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import strategies as st
from tf_agents.specs import tensor_spec

from tfcaml import nest
from tfcaml.errors import ConfigError
from tfcaml.policies.imitation import ImitationNetworkConfig, ImitationPolicy

N, D, T = 2, 3, 5  # tasks, demonstrations, steps
SPECS = {
    "vectors": {"arm": tf.TensorSpec([3], tf.float64), "hand": tf.TensorSpec([2], tf.float64)},
    "objects": {"arm": tf.TensorSpec([3], tf.float64), "blocks": tf.TensorSpec([4, 5], tf.float64)},
    "image": {"arm": tf.TensorSpec([3], tf.float64), "image": tf.TensorSpec([7, 6, 3], tf.uint8)},
    "all": {
        "arm": tf.TensorSpec([3], tf.float64),
        "blocks": tf.TensorSpec([4, 5], tf.float64),
        "image": tf.TensorSpec([7, 6, 3], tf.uint8),
        "hand": tf.TensorSpec([2], tf.float64),
    },
    "one": tf.TensorSpec([3], tf.float64),
}
ACTION = tensor_spec.BoundedTensorSpec([2], tf.float64, -1, 1)
SMALL = {  # of each rank that an observation has
    1: {"bias_transform": 2},
    2: {"object_units": 6, "places": 2},
    3: {"kernel_sizes": (3, 3), "strides": (2, 2), "filters": 3},
}


def make(spec="all", kind=ImitationPolicy, units=(6, 5), more=(), **settings):
    ranks = {1, *(leaf.shape.rank for leaf in tf.nest.flatten(SPECS[spec]))}
    small = {name: value for rank in ranks for name, value in SMALL[rank].items()}
    if settings.get("image_features") == "attention":
        small["places"] = 2
    config = ImitationNetworkConfig(**{**small, **settings})
    arguments = {"activation": "tanh", "dtype": tf.float64, **dict(more)}
    return kind(SPECS[spec], ACTION, units, config=config, **arguments)


def drawn(policy, seed=0):
    """Weights of N tasks, none of them 0, and moments."""
    rng = np.random.default_rng(seed)
    around = lambda scale: lambda x: tf.constant(x + scale * rng.normal(size=(N, *x.shape)))
    first = policy.init(seed)
    mean, deviation = (nest.map(around(0.2), first["moments"][k]) for k in ("mean", "deviation"))
    moments = {"mean": mean, "deviation": nest.map(tf.abs, deviation)}
    return {"weights": nest.map(around(0.3), first["weights"]), "moments": moments}


def seen(spec="all", axes=(N, D, T), seed=0):
    rng = np.random.default_rng(seed)

    def some(leaf):
        shape = [*axes, *leaf.shape]
        if leaf.dtype.is_integer:
            return tf.constant(rng.integers(0, 256, shape), leaf.dtype)
        return tf.constant(rng.normal(size=shape))

    return nest.map(some, SPECS[spec])


ALL_VALID = tf.ones([N, D, T])


# What comes in, and what comes out.


@pytest.mark.parametrize("spec", SPECS)
def test_shapes(spec):
    policy = make(spec, two_heads=True)
    params, rows = drawn(policy), nest.flat_steps(seen(spec))
    action, pose = policy.predicted(params, rows)
    assert action.shape == (N, D * T, 2) and pose.shape == (N, D * T, 0)
    said, pose = policy.judged(params, seen(spec), ALL_VALID)
    assert said.shape == (N, D, T, 2) and pose.shape == (N, D, T, 0)
    size = policy.perceived(params, rows).shape[-1] + policy.vectors(params, rows).shape[-1]
    assert size == policy.seen_size
    distribution = policy(params, rows)
    assert distribution.batch_shape == (N, D * T)
    played = policy.sample(distribution, tf.ones([N, D * T, 2], tf.float64))
    np.testing.assert_array_equal(played, action)


def test_weights_follow_from_the_seed():
    policy = make()
    one, same, other = (tf.nest.flatten(policy.init(seed)["weights"]) for seed in (0, 0, 1))
    for a, b, c in zip(one, same, other):
        np.testing.assert_array_equal(a, b)
        assert not np.any(a) or np.any(a != c)


def test_each_task_has_its_own_weights_and_moments():
    policy = make()
    params, rows = drawn(policy), nest.flat_steps(seen())
    both, _ = policy.predicted(params, rows)
    for i in range(N):
        own = nest.map(lambda x: x[i : i + 1], (params, rows))
        np.testing.assert_allclose(policy.predicted(*own)[0][0], both[i], rtol=1e-9)
    # Rows do not see each other.
    turned = nest.map(lambda x: x[:, ::-1], rows)
    np.testing.assert_allclose(policy.predicted(params, turned)[0][:, ::-1], both, rtol=1e-9)


def by_hand(weights, x, units, more=2):
    """tanh layers in NumPy, of one task; `more` learned numbers stand behind the first input."""
    for i in range(units):
        learned = weights[f"dense{i}"].get("bias_transform")
        if learned is not None:
            x = np.concatenate([x, np.broadcast_to(learned, [len(x), more])], axis=1)
        x = np.tanh(x @ weights[f"dense{i}"]["kernel"] + weights[f"dense{i}"]["bias"])
    return x


@pytest.mark.parametrize("which", ["first", "all"])
def test_vectors_by_hand(which):
    policy = make("vectors", two_heads=True, bias_transform_layers=which)
    params, shown = drawn(policy), seen("vectors")
    names = nest.names(params["weights"])
    assert sum("bias_transform" in name for name in names) == (1 if which == "first" else 2)
    said, _ = policy.judged(params, shown, ALL_VALID)
    action, _ = policy.predicted(params, nest.flat_steps(shown))
    for i in range(N):
        weights, moments = nest.map(lambda x: x[i].numpy(), (params["weights"], params["moments"]))
        normal = [
            (shown[k][i].numpy().reshape(D * T, -1) - moments["mean"][k])
            / np.maximum(moments["deviation"][k], 1e-3)
            for k in ("arm", "hand")
        ]
        x = by_hand(weights, np.concatenate(normal, axis=1), 2)
        for found, head in ((action, "post"), (said, "pre")):
            wanted = x @ weights[head]["kernel"] + weights[head]["bias"]
            np.testing.assert_allclose(found[i].numpy().reshape(D * T, 2), wanted, rtol=1e-9)


def test_constant_observations_are_divided_by_no_less_than_the_floor():
    policy = make("one")
    params = drawn(policy)
    params["moments"]["deviation"] = nest.map(tf.zeros_like, params["moments"]["deviation"])
    found = policy.vectors(params, nest.flat_steps(seen("one")))
    mean = params["moments"]["mean"][""][:, None]
    np.testing.assert_allclose(found, (nest.flat_steps(seen("one")) - mean) / 1e-3, rtol=1e-6)


@pytest.mark.parametrize("spec", ["all", "one"])
def test_moments_of_what_is_shown(spec):
    policy, shown = make(spec), seen(spec)
    mask = (np.arange(T) < np.array([[5, 2, 1], [3, 3, 4]])[..., None]).astype(np.float32)
    found = policy.moments(shown, tf.constant(mask))
    values = {"": shown} if spec == "one" else shown
    assert set(found["mean"]) == set(values)
    for name in found["mean"]:
        shown_here = values[name].numpy()  # of images the first of each episode counts
        taken = shown_here[:, :, 0] if name == "image" else shown_here[mask > 0]
        valid = taken.reshape(-1, values[name].shape[-1]).astype(np.float64)
        np.testing.assert_allclose(found["mean"][name], valid.mean(axis=0), rtol=1e-9)
        np.testing.assert_allclose(found["deviation"][name], valid.std(axis=0), rtol=1e-9)


# Objects and images.


@hypothesis.given(st.permutations(range(4)), st.integers(0, 5))
@hypothesis.settings(max_examples=15)
def test_objects_may_come_in_any_order(order, seed):
    policy, rows = shared("objects"), nest.flat_steps(seen("objects", seed=seed))
    params = drawn(policy, seed)
    mixed = {**rows, "blocks": tf.gather(rows["blocks"], order, axis=2)}
    one, other = (policy.predicted(params, x)[0] for x in (rows, mixed))
    np.testing.assert_allclose(one, other, rtol=1e-8, atol=1e-10)


@functools.cache
def shared(spec):
    return make(spec)


@pytest.mark.parametrize("sees", ["objects", "all"])
@pytest.mark.parametrize("hidden_layers", [0, 2])
def test_attention_to_objects_by_hand(hidden_layers, sees):
    units = {} if hidden_layers else {"object_units": ImitationNetworkConfig.object_units}
    more, settings = {"context": 2}, {"temperature": 3.0, "attention_sees": sees, **units}
    policy = make("objects", object_layers=hidden_layers, more=more, **settings)
    params, rows = drawn(policy), nest.flat_steps(seen("objects"))
    context = np.random.default_rng(1).normal(size=[N, D * T, 2])
    found = policy.perceived(params, rows, context=tf.constant(context)).numpy()
    weights = nest.map(np.asarray, params["weights"]["objects_blocks"])
    means, deviations = (nest.map(np.asarray, params["moments"][k]) for k in ("mean", "deviation"))
    normal = lambda name, i, b: (rows[name][i, b].numpy() - means[name][i]) / deviations[name][i]
    for i, b in np.ndindex(N, D * T):
        x = said = normal("blocks", i, b)
        beside = np.concatenate([normal("arm", i, b), context[i, b]]) if sees == "all" else []
        behind = np.concatenate([beside, weights["0"]["bias_transform"][i]])
        said = np.concatenate([x, np.tile(behind, [4, 1])], axis=1)
        for k in range(hidden_layers + 1):
            said = said @ weights[str(k)]["kernel"][i] + weights[str(k)]["bias"][i]
            said = np.tanh(said) if k < hidden_layers else said
        share = np.exp(3 * said) / np.exp(3 * said).sum(axis=0)
        np.testing.assert_allclose(found[i, b], (share.T @ x).ravel(), rtol=1e-7)


@pytest.mark.parametrize("features", ["flat", "soft_argmax", "attention"])
def test_images_by_keras(features):
    policy = make("image", image_features=features)
    params, rows = drawn(policy), nest.flat_steps(seen("image"))
    found = policy.perceived(params, rows)
    assert (
        found.shape[-1] == {"flat": 2 * 2 * 3, "soft_argmax": 2 * 3, "attention": 2 * 2}[features]
    )
    weights = params["weights"]["image_image"]
    usual, deviation = (params["moments"][k]["image"].numpy() for k in ("mean", "deviation"))
    for i in range(N):
        x = (tf.cast(rows["image"][i], tf.float64) - usual[i]) / deviation[i]
        for k in ("0", "1"):
            x = tf.nn.conv2d(x, weights[k]["kernel"][i], 2, "SAME").numpy()
            mean, variance = (f(x, axis=(1, 2, 3), keepdims=True) for f in (np.mean, np.var))
            x = (x - mean) / np.sqrt(variance + 1e-5) + weights[k]["offset"][i].numpy()
            x = np.maximum(x, 0)
        if features == "attention":
            kernel = weights["attention"]["kernel"][i, 0, 0].numpy()
            x = ImitationNetworkConfig.temperature * x @ kernel
        if features == "flat":
            wanted = x.reshape(D * T, -1)
        else:
            share = np.exp(x) / np.exp(x).sum(axis=(1, 2), keepdims=True)
            sides = np.array([-1, 1])
            down = np.einsum("bhwc,h->bc", share, sides)
            wanted = np.concatenate([down, np.einsum("bhwc,w->bc", share, sides)], axis=1)
        np.testing.assert_allclose(found[i], wanted, rtol=1e-7, atol=1e-12)


def test_images_of_integers_are_first_brought_below_1():
    moments = make("image").moments(None)
    assert not np.any(moments["mean"]["image"]) and np.all(moments["deviation"]["image"] == 255)


def test_attention_to_images_starts_where_filters_answer():
    first = make("image", image_features="attention").init(0)["weights"]["image_image"]
    assert np.all(first["attention"]["kernel"] >= 0)


def test_learned_images_change_nothing_at_first_and_are_learned():
    plain, more = make("image"), make("image", image_bias=2)
    params, rows = more.init(0), nest.flat_steps(seen("image"))
    assert not np.any(params["weights"]["image_image"]["bias_transform"])
    own = nest.repeat(params, N)
    first = dict(own["weights"]["image_image"])
    first.pop("bias_transform")
    first["0"] = {**first["0"], "kernel": first["0"]["kernel"][:, :, :, :3]}
    without = {**own, "weights": {**own["weights"], "image_image": first}}
    np.testing.assert_allclose(
        more.predicted(own, rows)[0], plain.predicted(without, rows)[0], rtol=1e-9
    )
    bias = own["weights"]["image_image"]["bias_transform"]
    assert bias.shape == (N, 7, 6, 2)
    with tf.GradientTape() as tape:
        tape.watch(bias)
        loss = tf.reduce_sum(more.predicted(own, rows)[0] ** 2)
    assert np.any(tape.gradient(loss, bias))
    assert "image_image/bias_transform" in more.adapted


OF_IMAGES = {"filters": 5, "kernel_sizes": (2,) * 3, "strides": (1,) * 3, "image_bias": 1}
OF_OBJECTS = {"object_layers": 1, "object_units": 5}
OF_ATTENTION = {"places": 3, "temperature": 2.0}
CANNOT_ACT = [
    *(("objects", {name: value}) for name, value in OF_IMAGES.items()),
    ("objects", {"image_features": "soft_argmax"}),
    *(("image", {name: value}) for name, value in {**OF_OBJECTS, **OF_ATTENTION}.items()),
    *(("vectors", {name: value}) for name, value in OF_ATTENTION.items()),
]


@pytest.mark.parametrize("spec, context", [("image", 3), ("vectors", 3), ("set", 0)])
def test_attention_sees_all_only_where_something_stands_beside_objects(spec, context):
    specs = {**SPECS, "set": {"blocks": SPECS["objects"]["blocks"]}}
    config = ImitationNetworkConfig(attention_sees="all")
    with pytest.raises(ConfigError, match=r"attention_sees to be left at .* beside a set of obj"):
        ImitationPolicy(specs[spec], ACTION, config=config, context=context)
    policy = ImitationPolicy(specs["set"], ACTION, config=config, context=3)
    assert policy.init(0)["weights"]["objects_blocks"]["0"]["kernel"].shape[0] == 5 + 3 + 10


@pytest.mark.parametrize("spec, settings", CANNOT_ACT, ids=str)
def test_settings_of_what_is_not_observed_are_refused(spec, settings):
    [name] = settings
    with pytest.raises(ConfigError, match=f"^expected {name} to be left at .* is observed"):
        ImitationPolicy(SPECS[spec], ACTION, config=ImitationNetworkConfig(**settings))
