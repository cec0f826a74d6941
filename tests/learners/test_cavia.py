"""CAVIA adapts a context vector alone."""

import numpy as np
import pytest
import tensorflow as tf

from tests.by_hand import with_context
from tfcaml import keys, learners
from tfcaml.errors import ConfigError

SIZES = {"meta_batch_size": 2, "episodes_per_update": 3}


def test_it_starts_at_zero_and_a_step_moves_the_context_alone(slide):
    config = learners.CAVIA.Config(**SIZES, context_size=3)
    learner = learners.CAVIA(slide, learners.CAVIA.make_policy(slide, config, (4,)), config)
    meta, task = learner.meta.read(), {"goal": tf.constant([-1.0, 1.0])}
    fast = learner.start(meta, 2)
    np.testing.assert_array_equal(fast.params["context"], np.zeros([2, 3]))
    moved = learner.adapt_to(fast, task, keys.from_int(0))
    assert list(moved.params) == ["context"] and not np.any(moved.params["context"] == 0)
    before, after = (learner.acting(meta, each) for each in (fast, moved))
    for old, new, shared in zip(before["policy"], after["policy"], meta["params"], strict=True):
        np.testing.assert_array_equal(old, new)
        np.testing.assert_array_equal(old[1], shared)
    seen = tf.constant([[[0.5]], [[0.5]]])
    first, second = (learner.policy(each, seen).mean() for each in (before, after))
    assert first[0, 0, 0] == first[1, 0, 0] and abs(second[0, 0, 0] - second[1, 0, 0]) > 1e-6


def test_it_wants_a_policy_with_its_context(particle, policy):
    rule = r"expected policy to be a ContextPolicy of context_size=5; received policy="
    with pytest.raises(ConfigError, match=rule + "'NetworkPolicy'"):
        learners.CAVIA(particle, policy)
    with pytest.raises(ConfigError, match=rule + "'ContextPolicy of 2'"):
        learners.CAVIA(particle, with_context(2, tf.float32))
    with pytest.raises(ConfigError, match="context_size to be >= 1; received context_size=0"):
        learners.CAVIA.Config(context_size=0)
