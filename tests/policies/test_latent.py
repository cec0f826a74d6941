"""A latent behind the observation, drawn once per episode."""

import numpy as np
import pytest
import tensorflow as tf

from tests.by_hand import Softmax
from tests.recall import Recall
from tfcaml import keys, losses, nest
from tfcaml.errors import ConfigError
from tfcaml.policies import LatentPolicy
from tfcaml.rollouts import sampling

SPEC = {"place": tf.TensorSpec([2]), "clock": tf.TensorSpec([], tf.int32)}


def test_the_policy_within_sees_the_observation_as_a_vector_and_the_latent():
    policy = LatentPolicy(Softmax(tf.float32, 5), SPEC, 2)
    assert policy.names == ("log_sigma", "mu", "policy/0", "policy/1") and policy.head == (2, 3)
    assert policy.episode_noise_spec == tf.TensorSpec([2]) and policy.has_memory
    kernel, bias = (x.numpy() for x in policy.policy.init(0))
    fresh = policy.init(0)
    for name in ("mu", "log_sigma"):
        np.testing.assert_array_equal(fresh[name], [0, 0])
    np.testing.assert_array_equal(fresh["policy"][0], kernel)
    mu, log_sigma = tf.constant([[1.0, 2.0], [3.0, 4.0]]), tf.constant([[0.0, -1.0], [1.0, 0.5]])
    noise = tf.constant(np.random.default_rng(0).normal(size=(2, 3, 2)), tf.float32)
    params = {"mu": mu, "log_sigma": log_sigma, "policy": nest.repeat((kernel, bias), 2)}
    latent = policy.initial_memory(params, 3, noise).numpy()
    seen = {"place": tf.ones([2, 3, 2]), "clock": tf.constant([[1, 2, 3], [4, 5, 6]])}
    distribution, memory = policy.act(params, seen, latent)
    np.testing.assert_array_equal(memory, latent)
    for n in range(2):
        for e in range(3):
            z = mu[n] + np.exp(log_sigma[n]) * noise[n, e]
            np.testing.assert_allclose(latent[n, e], z, rtol=1e-5)
            vector = np.array([seen["clock"][n, e], 1, 1, *latent[n, e]], np.float32)
            expected = vector @ kernel + bias
            np.testing.assert_allclose(distribution.logits[n, e], expected, rtol=1e-4, atol=1e-5)


TASK = {"displacement": tf.constant(np.random.default_rng(2).normal(size=(2, 4, 2)), tf.float32)}


@pytest.fixture(scope="module")
def played(particle):
    """(policy, parameters of two tasks, three episodes of each)."""
    policy = LatentPolicy(Softmax(tf.float32, 4), particle.observation_spec, 2)
    latent = {"mu": tf.constant([[0.0, 1.0], [2.0, 3.0]]), "log_sigma": tf.fill([2, 2], 0.5)}
    params = {**latent, "policy": nest.repeat(policy.init(0)["policy"], 2)}
    return policy, params, sampling.sample(policy, particle, params, TASK, 3, keys.from_int(1))


def test_an_episode_keeps_to_its_latent(played, particle):
    """In all of its steps, also where episodes are played in parts."""
    policy, params, whole = played
    noise = whole.episode_noise.numpy()
    assert noise.shape == (2, 3, 2) and len(np.unique(noise)) == 12
    again = losses.action_log_prob(policy, params, whole)
    np.testing.assert_allclose(
        again * whole.mask, whole.log_prob * whole.mask, rtol=1e-4, atol=1e-5
    )
    rollout = sampling.begin(
        policy, particle, params, TASK, keys.per_episode(keys.from_int(1), 2, 3)
    )
    latent = policy.initial_memory(params, 3, whole.episode_noise)
    for _ in range(2):
        rollout, part = sampling.play(policy, particle, params, TASK, rollout, 5)
        np.testing.assert_array_equal(part.start, latent)
        score = losses.action_log_prob(policy, params, part)
        np.testing.assert_allclose(
            score * part.mask, part.log_prob * part.mask, rtol=1e-4, atol=1e-5
        )


def test_a_latent_that_is_given_is_a_number(played):
    """Else it follows mu and sigma, by the noise it was made of."""
    policy, params, whole = played
    latent = policy.initial_memory(params, 3, whole.episode_noise)
    given = whole._replace(start=latent)
    moved = {**params, "mu": params["mu"] + 1, "log_sigma": params["log_sigma"] - 1}
    old, same = (losses.action_log_prob(policy, each, given) for each in (params, moved))
    np.testing.assert_array_equal(same, old)
    other = losses.action_log_prob(policy, moved, whole)
    assert np.abs(other - old).max() > 1e-2
    now = policy.initial_memory(moved, 3, whole.episode_noise)
    by_value = losses.action_log_prob(policy, params, whole._replace(start=now))
    np.testing.assert_allclose(other, by_value, rtol=1e-5)


def test_only_policies_without_memory(slide):
    with pytest.raises(ConfigError, match="policy to be one without memory"):
        LatentPolicy(Recall(), slide.observation_spec, 2)
    with pytest.raises(ConfigError, match="size"):
        LatentPolicy(Softmax(tf.float32), SPEC, 0)
