"""ANIL adapts the policy's head alone."""

import numpy as np
import pytest
import tensorflow as tf

from tfcaml import keys, learners
from tfcaml.errors import ConfigError
from tfcaml.policies import mlp_policy
from tfcaml.types import Experience, blank_trajectory

SIZES = {"meta_batch_size": 2, "episodes_per_update": 3}


def make(cls, family, layers=(4, 5), **settings):
    policy = mlp_policy(family.observation_spec, family.action_spec, layers)
    return cls(family, policy, cls.Config(**SIZES, **settings))


@pytest.fixture(scope="module")
def learner(slide):
    return make(learners.ANIL, slide)


def adapted(learner):
    task = {"goal": tf.constant([-1.0, 1.0])}
    meta = learner.meta.read()
    fast = learner.start(meta, 2)
    moved = learner.adapt_to(fast, task, keys.from_int(0))
    return meta, fast, moved


def test_the_head_is_the_last_layer_and_the_standard_deviation(learner, particle):
    assert [x.shape[1:] for x in learner.start(learner.meta.read(), 2).params] == [[5, 1], [1], [1]]
    parts = ("means_projection_layer", "means_projection_layer", "bias_layer")
    names = [learner.policy.names[i] for i in learner.adapted]
    assert all(part in name for part, name in zip(parts, names, strict=True))
    discrete = make(learners.ANIL, particle)
    assert [x.shape[1:] for x in discrete.start(discrete.meta.read(), 2).params] == [[5, 4], [4]]


def test_a_step_moves_the_head_and_nothing_else(learner):
    meta, fast, moved = adapted(learner)
    before, after = (learner.acting(meta, each) for each in (fast, moved))
    for i, (old, new) in enumerate(zip(before, after, strict=True)):
        assert np.array_equal(old, new) == (i not in learner.adapted)


def test_it_moves_as_maml_moves_it(learner, slide):
    """The body's gradient is not taken, and the head's is the same without it."""
    maml = make(learners.MAML, slide)
    maml.meta.write(learner.meta.read())
    _, _, ours = adapted(learner)
    _, _, theirs = adapted(maml)
    for i, row in zip(learner.adapted, ours.params, strict=True):
        np.testing.assert_allclose(row, theirs.params[i], rtol=1e-5, atol=1e-6)


def products(learner):
    """How many matrix products an adaptation step takes beyond those of its loss."""
    meta = learner.meta.read()
    fast = learner.start(meta, 2)
    blank = blank_trajectory(learner.environment, learner.policy, 2, 3)
    support = Experience(blank, blank.reward)

    def count(function):
        graph = tf.function(function, autograph=False).get_concrete_function(meta, fast, support)
        return sum("MatMul" in each.type for each in graph.graph.get_operations())

    return count(learner.adapt) - count(learner.inner_loss)


def test_an_inner_step_does_not_differentiate_the_body(learner, slide):
    """Of the three layers' five products, or six with that of the input, ANIL takes the last."""
    assert products(learner) <= 2
    assert products(make(learners.MAML, slide)) >= 5


def test_other_weights_are_adapted_by_name(slide):
    learner = make(learners.ANIL, slide, layers=(4,), adapted="dense,bias_layer")
    chosen = [learner.policy.names[i] for i in learner.adapted]
    assert len(chosen) == 3 and "EncodingNetwork" in chosen[0] and "bias_layer" in chosen[2]
    with pytest.raises(ConfigError, match=r"adapted to be parts of names .*received adapted='top'"):
        make(learners.ANIL, slide, adapted="top")
