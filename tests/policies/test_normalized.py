"""Policies that see observations by how far they are from what was seen so far."""

import numpy as np
import pytest
import tensorflow as tf
from tf_agents.specs import tensor_spec

from tests.eager import PlainActorCritic, PlainPolicy
from tfcaml import environments, keys, nest
from tfcaml.errors import ConfigError
from tfcaml.policies import LatentPolicy, mlp_policy
from tfcaml.policies.normalized import NormalizedPolicy
from tfcaml.rollouts import sampling

SPEC = tf.TensorSpec([3], tf.float32)
ACTIONS = tensor_spec.BoundedTensorSpec([], tf.int32, 0, 3)
POLICY = NormalizedPolicy(PlainPolicy(SPEC, ACTIONS), clip=2.0)


def drawn(shape, seed=0):
    rng = np.random.default_rng(seed)
    return tf.constant(rng.normal(3.0, 2.0, shape), tf.float32)


def seen_of(policy, *parts):
    """Moments of two tasks after observations [2, E, T, 3] and their masks."""
    seen = nest.repeat(policy.nothing_seen(), 2)
    for observation, mask in parts:
        seen = policy.counted(seen, observation, tf.constant(mask, tf.float32))
    return seen


def test_moments_are_those_of_all_that_counts():
    """In two parts, of which some steps do not count, and one has none at all."""
    first, second = drawn([2, 4, 5, 3]), drawn([2, 2, 5, 3], 1)
    rng = np.random.default_rng(2)
    masks = [rng.integers(0, 2, x.shape[:3]) for x in (first, second)]
    none = drawn([2, 1, 5, 3], 3), np.zeros([2, 1, 5])
    seen = seen_of(POLICY, none, (first, masks[0]), none, (second, masks[1]))
    for task in range(2):
        rows = [x.numpy()[task][m[task] > 0] for x, m in zip((first, second), masks)]
        rows = np.concatenate(rows)
        assert seen["count"][task] == len(rows)
        np.testing.assert_allclose(seen["mean"][task], rows.mean(0), rtol=1e-5)
        np.testing.assert_allclose(seen["square"][task], (rows**2).mean(0), rtol=1e-5)


def test_the_policy_within_sees_standard_observations_that_are_cut_off():
    observation = drawn([2, 40, 5, 3])
    seen = seen_of(POLICY, (observation, np.ones([2, 40, 5])))
    rows = nest.flat_steps(observation)
    found = POLICY.normalized(seen, rows).numpy()
    mean, deviation = np.mean(rows, axis=1), np.std(rows, axis=1)
    expected = (rows - mean[:, None]) / deviation[:, None]
    assert np.abs(expected).max() > 2
    np.testing.assert_allclose(found, np.clip(expected, -2, 2), rtol=1e-3, atol=1e-4)
    params = {"policy": nest.repeat(POLICY.policy.init(0), 2), "seen": seen}
    within = POLICY.policy(params["policy"], tf.constant(found))
    np.testing.assert_allclose(
        POLICY(params, rows).logits_parameter(), within.logits_parameter(), rtol=1e-5
    )


def test_before_anything_was_seen_observations_are_as_they_are():
    rows = drawn([2, 7, 3])
    seen = nest.repeat(POLICY.nothing_seen(), 2)
    np.testing.assert_array_equal(POLICY.normalized(seen, rows), rows)


def test_without_clip_observations_are_as_they_are():
    policy = NormalizedPolicy(PlainPolicy(SPEC, ACTIONS), clip=0.0)
    observation = drawn([2, 4, 5, 3])
    seen = seen_of(policy, (observation, np.ones([2, 4, 5])))
    rows = nest.flat_steps(observation)
    np.testing.assert_array_equal(policy.normalized(seen, rows), rows)


def test_what_is_no_float_stays_and_the_rest_of_a_nest_is_normalized():
    spec = {"pixel": tf.TensorSpec([2], tf.uint8), "place": tf.TensorSpec([], tf.float32)}
    policy = NormalizedPolicy(mlp_policy(spec, ACTIONS, (4,)))
    rng = np.random.default_rng(0)
    observation = {
        "pixel": tf.constant(rng.integers(0, 255, [1, 2, 6, 2]), tf.uint8),
        "place": tf.constant(rng.normal(5, 3, [1, 2, 6]), tf.float32),
    }
    seen = policy.counted(nest.repeat(policy.nothing_seen(), 1), observation, tf.ones([1, 2, 6]))
    rows = nest.flat_steps(observation)
    found = policy.normalized(seen, rows)
    np.testing.assert_array_equal(found["pixel"], rows["pixel"])
    np.testing.assert_allclose(np.mean(found["place"]), 0, atol=1e-5)
    np.testing.assert_allclose(np.std(found["place"]), 1, rtol=1e-4)


def test_values_are_of_what_the_critic_sees():
    """Of the states in which a rollout acted, and of what it led to."""
    family = environments.Particle(environments.ParticleConfig(horizon=5))
    policy = NormalizedPolicy(PlainActorCritic(family.observation_spec, family.action_spec), 1.0)
    task = family.population(0, 2).test
    params = nest.repeat(policy.init(0), 2)
    sample = tf.function(sampling.sample, autograph=False)
    played = sample(policy, family, params, task, 3, keys.from_int(0))
    params["seen"] = policy.counted(params["seen"], played.observation, played.mask)
    scaled = policy.normalized(params["seen"], nest.flat_steps(played.observation))
    scaled = tf.reshape(scaled, played.observation.shape)
    final = policy.normalized(params["seen"], played.final_observation)
    assert np.any(np.abs(scaled - played.observation) > 0.1)
    known = played._replace(observation=scaled, final_observation=final)
    expected = policy.policy.value(params["policy"], known)
    nest.map(
        lambda x, y: np.testing.assert_allclose(x, y, rtol=1e-5, atol=1e-6),
        policy.value(params, played),
        expected,
    )


def test_arguments_that_do_not_fit_are_refused():
    inner = PlainPolicy(tf.TensorSpec([5], tf.float32), ACTIONS)
    with pytest.raises(ConfigError, match="policy to be a policy without memory"):
        NormalizedPolicy(LatentPolicy(inner, SPEC, 2))
    with pytest.raises(ConfigError, match="clip to be >= 0"):
        NormalizedPolicy(mlp_policy(SPEC, ACTIONS, (4,)), -1.0)
