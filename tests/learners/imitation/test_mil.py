"""MIL: its inner step, and the gradient through it, against finite differences in float64."""

import numpy as np
import pytest
import tensorflow as tf

from tfcaml import learners, nest
from tfcaml.errors import ConfigError

TWO = {"two_heads": True}
TEMPORAL = {**TWO, "loss_head": "temporal", "temporal_filters": 3, "temporal_width": 3}
FORMS = {
    "one head": {},
    "two heads": {"network": {**TWO, "bias_transform_layers": "all"}},
    "attention that is linear": {"network": {**TWO, "object_layers": 0, "object_units": 64}},
    "attention sees all": {"network": {**TWO, "attention_sees": "all"}},
    "several steps": {"inner_updates": 2, "inner_learning_rate": 0.02},
    "states": {"network": TWO, "demonstrations": {"shown": "states"}},
    "video": {"network": TWO, "demonstrations": {"shown": "video"}},
    "temporal": {"network": TEMPORAL, "demonstrations": {"shown": "video"}},
    "pose": {"network": TWO, "pose": "point", "pose_weight": 0.7},
    "flat images": {"observes": "image", "network": {**TWO, "image_bias": 1}},
    "places in images": {"observes": "image", "network": {**TWO, "image_features": "soft_argmax"}},
    "attention to images": {"observes": "image", "network": {**TWO, "image_features": "attention"}},
    "pose of images": {
        "observes": "image",
        "pose": "point",
        "network": {**TEMPORAL, "image_features": "soft_argmax"},
        "demonstrations": {"shown": "video"},
    },
}
SLOW = (
    "several steps",
    "states",
    "temporal",
    "flat images",
    "places in images",
    "attention to images",
    "pose of images",
)


def inner_gradients(case, params=None):
    """The gradients of the loss on the first demonstrations, by the tape alone."""
    learner = case.learner
    start = learner.start(case.meta, 3).params if params is None else params
    with tf.GradientTape() as tape:
        tape.watch(start)
        acting = learner.acting(case.meta, learner.start(case.meta, 3)._replace(params=start))
        loss = learner.loss.inner(None, acting, case.batch.support[0])
    return start, tape.gradient(loss, start, unconnected_gradients="zero")


def some_clip(case):
    """A number that some gradients are larger than, and some are not."""
    flat = np.sort(np.concatenate([np.abs(g).ravel() for g in inner_gradients(case)[1]]))
    high = flat[flat > 0][int(0.7 * np.sum(flat > 0)) :]
    widest = np.argmax(np.diff(high[: len(high) // 2 + 2]))  # far from both: there is a kink
    return float(np.mean(high[widest : widest + 2]))


def differentiable(imitation_case, form, **more):
    """A `Case` some of whose gradients are clipped."""
    settings = {"clip": 0.0, "inner_learning_rate": 0.05, **FORMS[form], **more}
    clip = some_clip(imitation_case(learners.MIL, **settings))
    return imitation_case(learners.MIL, **{**settings, "clip": clip})


@pytest.mark.parametrize(
    "form", [pytest.param(f, marks=pytest.mark.slow) if f in SLOW else f for f in FORMS]
)
def test_the_outer_gradient_goes_through_the_inner_step(imitation_case, form):
    assert differentiable(imitation_case, form).error() < 1e-5


def test_an_inner_step_by_hand(imitation_case):
    """All numbers of a gradient are clipped by themselves, and the offsets stay."""
    case = differentiable(imitation_case, "flat images")
    learner, clip = case.learner, case.config.clip
    start, gradients = inner_gradients(case)
    clipped = [np.clip(g, -clip, clip) for g in gradients]
    cut = np.mean(np.concatenate([(np.abs(g) > clip).ravel() for g in gradients]))
    assert 0.02 < cut < 0.5
    fast = learner.adapt(case.meta, learner.start(case.meta, 3), case.batch.support[0])
    for after, before, step in zip(fast.params, start, clipped):
        np.testing.assert_allclose(after, before - 0.05 * step, rtol=1e-9, atol=1e-12)
    np.testing.assert_array_equal(fast.slots, np.ones(3))
    # What is not adapted is the same for all tasks, to the bit.
    acting = learner.acting(case.meta, fast)["weights"]
    same = {
        name
        for name, own, first in zip(
            nest.names(acting), tf.nest.flatten(acting), tf.nest.flatten(case.meta["params"])
        )
        if np.array_equal(own, np.broadcast_to(first, own.shape))
    }
    kept = {f"image_image/{i}/offset" for i in (0, 1)}
    assert same == {*kept, "post/kernel", "post/bias"}
    assert set(nest.names(acting)) - set(learner.policy.adapted) == same


def test_without_a_clip_none_is_clipped(imitation_case):
    case = imitation_case(learners.MIL, clip=0.0, inner_learning_rate=0.05)
    start, gradients = inner_gradients(case)
    fast = case.learner.adapt(case.meta, case.learner.start(case.meta, 3), case.batch.support[0])
    for after, before, g in zip(fast.params, start, gradients):
        np.testing.assert_allclose(after, before - 0.05 * g, rtol=1e-9, atol=1e-12)


def test_steps_beyond_those_trained_are_scaled(imitation_case):
    case = imitation_case(
        learners.MIL, clip=0.0, inner_updates=1, later_step_scale=0.25, inner_learning_rate=0.05
    )
    learner, support = case.learner, case.batch.support[0]
    once = learner.adapt(case.meta, learner.start(case.meta, 3), support)
    _, gradients = inner_gradients(case, once.params)
    twice = learner.adapt(case.meta, once, support)
    for after, before, g in zip(twice.params, once.params, gradients):
        np.testing.assert_allclose(after, before - 0.25 * 0.05 * g, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("form", ["one head", "two heads"])
def test_first_order_is_the_gradient_at_the_adapted_weights(imitation_case, form):
    case = differentiable(imitation_case, form, first_order=True)
    learner = case.learner
    fast = learner.adapt(case.meta, learner.start(case.meta, 3), case.batch.support[0])
    acting = learner.acting(case.meta, fast)
    leaves = tf.nest.flatten(acting["weights"])
    with tf.GradientTape() as tape:
        tape.watch(leaves)
        loss = learner.loss.surrogate(None, acting, case.batch.query).loss
    found = tape.gradient(loss, leaves, unconnected_gradients="zero")
    wanted = np.concatenate([np.mean(g, axis=0).ravel() for g in found])
    np.testing.assert_allclose(case.gradient(), wanted, rtol=1e-8, atol=1e-12)
    second = differentiable(imitation_case, form)
    assert np.linalg.norm(second.gradient() - wanted) > 0.01 * np.linalg.norm(wanted)
    # The loss head is learned through the inner step alone.
    if form == "two heads":
        names = nest.names(acting["weights"])
        of_head = nest.ravel(
            [tf.fill(x.shape[1:], float("pre/" in n)) for n, x in zip(names, leaves)]
        )[0].numpy()
        assert not np.any(wanted * of_head) and np.any(second.gradient() * of_head)


def test_the_moments_are_no_weights(imitation_case):
    case = imitation_case(learners.MIL)
    leaves = tf.nest.flatten(case.meta["moments"])
    with tf.GradientTape() as tape:
        tape.watch(leaves)
        loss = case.learner.objective(case.meta, case.batch).loss
    assert tape.gradient(loss, leaves) == [None] * len(leaves)


def test_demonstrations_without_actions_teach_by_a_learned_loss(imitation_case):
    """Whatever actions are written beside a film, the adapted policy is the same."""
    for form in ("states", "video"):
        case = differentiable(imitation_case, form)
        support = case.batch.support[0]
        own = support.trajectory
        other = own._replace(action=5 - own.action)
        start = case.learner.start(case.meta, 3)
        one, two = (
            case.learner.adapt(case.meta, start, support._replace(trajectory=x)).params
            for x in (own, other)
        )
        for a, b in zip(one, two):
            np.testing.assert_array_equal(a, b)
        assert any(np.any(a != first) for a, first in zip(one, start.params))


MISTAKES = {
    "a film for one head": ({"demonstrations": {"shown": "video"}}, "network.two_heads to be True"),
    "states for one head": ({"demonstrations": {"shown": "states"}}, "network.two_heads to be"),
    "shown": ({"demonstrations": {"shown": "sound"}}, "shown to be one of all, states, video"),
    "per_task": ({"demonstrations": {"per_task": 1}}, "demonstrations.per_task to be >= 2"),
    "noise": ({"demonstrations": {"noise": 2.0}}, "noise to be from 0 to 1"),
    "a file's": ({"demonstrations": {"path": "a", "noise": 0.3}}, "the family's expert"),
    "clip": ({"clip": -1.0}, "clip to be >= 0"),
    "no steps": ({"inner_updates": 0}, "inner_updates to be >= 1"),
    "no size": ({"inner_learning_rate": 0.0}, "inner_learning_rate to be > 0"),
    "no tasks": ({"meta_batch_size": 0}, "meta_batch_size to be >= 1"),
    "no queries": ({"query_episodes": 0}, "query_episodes to be >= 1"),
    "no multiplier": ({"multiplier": 0.0}, "multiplier to be > 0"),
    "no pose": ({"pose_weight": 0.5}, "with a pose to predict"),
    "a name": ({"outer": {"rate": 1.0}}, "unknown field 'outer.rate'"),
    "outer": ({"outer": {"learning_rate": 0.0}}, "learning_rate to be > 0"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistakes_are_told_in_one_line(mistake):
    settings, text = MISTAKES[mistake]
    with pytest.raises(ConfigError, match=text) as error:
        learners.MIL.Config(**settings)
    assert "\n" not in str(error.value)
