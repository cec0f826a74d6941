"""Cloning, and policies that are shown a demonstration in place of being adapted to it."""

import functools

import numpy as np
import pytest
import tensorflow as tf

from tests.places import Places
from tfcaml import keys, learners, nest
from tfcaml.errors import ConfigError
from tfcaml.policies.imitation import ImitationNetworkConfig, ImitationPolicy

FORMS = {
    "contextual": (learners.Contextual, {}),
    "contextual, video": (learners.Contextual, {"demonstrations": {"shown": "video"}}),
    "contextual, images": (
        learners.Contextual,
        {"observes": "image", "pose": "point", "network": {"image_features": "soft_argmax"}},
    ),
    "recurrent": (learners.RecurrentCloning, {"units": 3}),
    "recurrent, states": (
        learners.RecurrentCloning,
        {"units": 3, "demonstrations": {"shown": "states"}},
    ),
    "attentive": (learners.RecurrentCloning, {"units": 3, "attention": True}),
    "attentive, video": (
        learners.RecurrentCloning,
        {
            "units": 3,
            "attention": True,
            "attention_units": 4,
            "pose": "point",
            "demonstrations": {"shown": "video"},
        },
    ),
    "cloning": (learners.Cloning, {}),
}
SEES_ALL = {"network": {"attention_sees": "all"}}
FORMS |= {
    f"{form}, sees all": (FORMS[form][0], {**FORMS[form][1], **SEES_ALL})
    for form in ("contextual", "contextual, video", "recurrent", "attentive, video")
}


@pytest.fixture(scope="module")
def case(imitation_case):
    found = {}

    def make(form):
        cls, settings = FORMS[form]
        if form not in found:
            found[form] = imitation_case(cls, **settings)
        return found[form]

    return make


@pytest.mark.slow
@pytest.mark.parametrize("form", FORMS)
def test_the_outer_gradient(case, form):
    assert case(form).error() < 1e-5


def adapted(case, trajectory=None):
    """The policy's parameters after one demonstration."""
    learner, support = case.learner, case.batch.support[0]
    if trajectory is not None:
        support = support._replace(trajectory=trajectory)
    fast = learner.adapt(case.meta, learner.start(case.meta, 3), support)
    return learner.acting(case.meta, fast)


def actions(case, params):
    rows = nest.flat_steps(case.batch.query.trajectory.observation)
    return case.learner.policy.predicted(params, rows)[0]


CONDITIONED = [form for form in FORMS if form != "cloning"]


@pytest.mark.parametrize("form", CONDITIONED)
def test_before_a_demonstration_zeros_are_seen(case, form):
    case = case(form)
    learner = case.learner
    params = nest.map(
        lambda x: tf.cast(x, tf.float64) if x.dtype.is_floating else x,
        learner.acting(case.meta, learner.start(case.meta, 3)),
    )
    seen = tf.constant(np.random.default_rng(0).normal(size=[3, 4, learner.policy.seen_size]))
    if "attentive" in form:
        size = case.meta["params"]["attention"]["query"]["kernel"].shape[0]
        seen = tf.constant(np.random.default_rng(0).normal(size=[3, 4, size]))
    assert not np.any(learner.policy.context(params, seen))
    assert np.any(actions(case, params) != actions(case, adapted(case)))


@pytest.mark.parametrize("form", CONDITIONED)
def test_padded_steps_are_not_seen(case, form):
    case = case(form)
    own = case.batch.support[0].trajectory
    invalid = own.mask == 0
    spoilt = lambda x: tf.where(nest.expand(invalid, x), x + tf.ones([], x.dtype), x)
    other = own._replace(observation=nest.map(spoilt, own.observation), action=spoilt(own.action))
    wanted = actions(case, adapted(case))
    np.testing.assert_allclose(actions(case, adapted(case, other)), wanted, rtol=1e-9)


@pytest.mark.parametrize("form", CONDITIONED)
def test_what_a_demonstration_does_not_show_is_not_seen(case, form):
    case = case(form)
    shows, own = case.config.demonstrations.shown, case.batch.support[0].trajectory
    acted = own._replace(action=own.action + 1)
    move = lambda x: {**x, "point": x["point"] + 1}
    was = own._replace(
        observation=move(own.observation), final_observation=move(own.final_observation)
    )
    wanted = actions(case, adapted(case))
    same = lambda x: np.array_equal(actions(case, adapted(case, x)), wanted)
    sees_actions = shows == "all" and "contextual" not in form
    assert same(acted) != sees_actions
    assert same(was) == (shows == "video")


@pytest.mark.parametrize("form", ["contextual", "contextual, sees all"])
def test_the_context_is_how_demonstrations_ended(case, form):
    case = case(form)
    found = adapted(case)
    ends, policy = case.batch.support[0].trajectory.final_observation, case.learner.policy
    seen = tf.concat([policy.perceived(found, ends), policy.vectors(found, ends)], axis=-1)
    np.testing.assert_allclose(found["context"], np.mean(seen, axis=1), rtol=1e-9)
    assert found["context"].shape == (3, policy.seen_size)


def test_a_context_may_be_all_that_stands_beside_objects():
    observed = {"objects": tf.TensorSpec([4, 3], tf.float32)}
    action, config = Places().action_spec, ImitationNetworkConfig(attention_sees="all")
    made = functools.partial(ImitationPolicy, observed, action, config=config)
    policy = learners.Contextual.policy_of(None, made)
    assert policy.context_size == policy.seen_size == 3 * config.places


def test_a_second_demonstration_stands_in_for_the_first(case):
    case = case("recurrent")
    learner, other = case.learner, case.experience(2)
    fast = learner.adapt(case.meta, learner.start(case.meta, 3), case.batch.support[0])
    again = learner.acting(case.meta, learner.adapt(case.meta, fast, other))
    only = learner.adapt(case.meta, learner.start(case.meta, 3), other)
    np.testing.assert_array_equal(again["context"], learner.acting(case.meta, only)["context"])


def test_cloning_trains_without_inner_steps(case):
    case = case("cloning")
    learner = case.learner
    own = learner.loss.surrogate(
        None, learner.acting(case.meta, learner.start(case.meta, 3)), case.batch.query
    )
    np.testing.assert_allclose(learner.objective(case.meta, case.batch).loss, own.loss, rtol=1e-9)
    family = Places()
    learner = learners.Cloning(family, None, learners.Cloning.Config(meta_batch_size=2))
    task, index = learner.training_tasks(family.population(0), keys.from_int(0))
    batch = learner.collect(learner.meta.read(), task, keys.from_int(0), index)
    assert batch.support == () and batch.query.weight.shape == (2, 1, 8)
    fast = learner.adapt_to(learner.start(learner.meta.read(), 2), task, keys.from_int(0))
    assert any(
        np.any(x != y) for x, y in zip(fast.params, learner.start(learner.meta.read(), 2)[0])
    )


MISTAKES = {
    "cloning, two heads": (learners.Cloning, {"network": {"two_heads": True}}, "two_heads to be F"),
    "cloning, first order": (learners.Cloning, {"first_order": True}, "takes inner steps, unlike"),
    "cloning, steps": (learners.Cloning, {"inner_updates": 2}, "on new tasks, up to where"),
    "contextual": (learners.Contextual, {"network": {"two_heads": True}}, "two_heads to be False"),
    "clip": (learners.Contextual, {"clip": 3.0}, "unknown field 'clip'"),
    "units": (learners.RecurrentCloning, {"units": 0}, "units to be a whole number from 1"),
    "attention": (learners.RecurrentCloning, {"attention_units": 3}, "only with attention=True"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistakes_are_told_in_one_line(mistake):
    cls, settings, text = MISTAKES[mistake]
    with pytest.raises(ConfigError, match=text) as error:
        cls.Config(**settings)
    assert "\n" not in str(error.value)
