"""Returns, baselines and advantages on a hand-made batch, against lists of an episode's steps."""

import itertools

import numpy as np
import pytest
import tensorflow as tf

from tests import by_hand
from tests.by_hand import EPISODES, TASKS, Phase
from tfcaml.advantages import baselines, returns

RULES = [
    (return_type, baseline, normalize, gae_lambda)
    for return_type, baseline, normalize, gae_lambda in itertools.product(
        baselines.RETURNS, baselines.BASELINES, (False, True), (1.0, 0.7)
    )
    if return_type == "reward_to_go" or gae_lambda == 1
]


@pytest.fixture(scope="module")
def phase():
    return Phase(4)


@pytest.mark.parametrize("return_type, baseline, normalize, gae_lambda", RULES)
def test_advantage(phase, return_type, baseline, normalize, gae_lambda):
    rule = 0.9, return_type, baseline, normalize, gae_lambda
    expected = by_hand.advantages(phase, *rule)
    actual = baselines.advantage(phase.trajectory(), *rule)
    np.testing.assert_allclose(actual, expected, rtol=1e-8, atol=1e-10)
    actual = baselines.advantage(phase.trajectory(tf.float32), *rule)
    assert actual.dtype == tf.float32
    np.testing.assert_allclose(actual, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("normalize", [False, True])
def test_reward_credit(phase, normalize):
    actual = baselines.reward_credit(phase.trajectory(), 0.9, normalize)
    expected = by_hand.reward_credits(phase, 0.9, normalize)
    np.testing.assert_allclose(actual, expected, rtol=1e-9)
    assert (np.abs(expected)[~phase.mask] > 0).any()


@pytest.mark.parametrize("return_type", sorted(baselines.RETURNS))
def test_returns(phase, return_type):
    actual = baselines.RETURNS[return_type](phase.trajectory().reward, 0.9)
    for i in range(TASKS):
        reward = [phase.reward[i, e, : phase.lengths[i][e]] for e in range(EPISODES)]
        for e, expected in enumerate(by_hand.targets(reward, 0.9, return_type)):
            np.testing.assert_allclose(actual[i, e, : len(expected)], expected, rtol=1e-12)
    discounted = returns.discounted_reward(phase.trajectory().reward, 0.9)
    for t in range(phase.reward.shape[-1]):
        np.testing.assert_allclose(discounted[..., t], phase.reward[..., t] * 0.9**t, rtol=1e-12)


def test_a_baseline_that_sees_the_state_is_clipped(phase):
    """The features of linear_feature are of o in [-10, 10]."""
    far = Phase(4)
    far.observation = 9 * far.observation
    expected = by_hand.advantages(far, normalize=False)
    actual = baselines.advantage(far.trajectory(), 0.99, "reward_to_go", "linear_feature", False)
    np.testing.assert_allclose(actual, expected, rtol=1e-6, atol=1e-8)
    assert (np.abs(far.observation[far.mask]) > 10).any()


def test_standardized():
    values = np.array([3.0, -1.0, 4.0, 1.0])
    expected = (values - 1.75) / np.sqrt(np.mean((values - 1.75) ** 2))
    np.testing.assert_allclose(baselines.standardized(tf.constant(values)), expected, rtol=1e-12)
    rows = tf.constant([values, 2 - 3 * values])
    np.testing.assert_allclose(baselines.standardized(rows), [expected, -expected], rtol=1e-12)
