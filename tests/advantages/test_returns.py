import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from tfcaml.advantages import returns

REWARDS = hnp.arrays(
    np.float64, hnp.array_shapes(min_dims=3, max_dims=3, max_side=5), elements=st.floats(-10, 10)
)


def loop(reward, discount):
    result = np.zeros_like(reward)
    for index in np.ndindex(*reward.shape[:2]):
        following = 0.0
        for t in reversed(range(reward.shape[2])):
            following = reward[(*index, t)] + discount * following
            result[(*index, t)] = following
    return result


@given(REWARDS, st.floats(0.01, 1))
def test_reward_to_go_is_the_recursion(reward, discount):
    actual = returns.reward_to_go(tf.constant(reward), discount)
    np.testing.assert_allclose(actual, loop(reward, discount), atol=1e-9)


@given(REWARDS, st.floats(0.01, 1))
def test_whole_return_is_the_first_reward_to_go_at_every_step(reward, discount):
    actual = returns.whole_return(tf.constant(reward), discount)
    expected = np.broadcast_to(loop(reward, discount)[..., :1], reward.shape)
    np.testing.assert_allclose(actual, expected, atol=1e-9)


def test_float32_over_a_long_episode():
    reward = np.random.default_rng(0).normal(size=(2, 3, 100)).astype(np.float32)
    actual = returns.reward_to_go(tf.constant(reward), 0.99)
    assert actual.dtype == tf.float32
    np.testing.assert_allclose(actual, loop(reward.astype(np.float64), 0.99), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("discount", [0.5, 1.0])
def test_one_reward_is_discounted_backwards(discount):
    reward = tf.constant([[[0.0, 0.0, 1.0, 0.0]]])
    expected = [[[discount**2, discount, 1, 0]]]
    np.testing.assert_allclose(returns.reward_to_go(reward, discount), expected)


@pytest.mark.parametrize("gae_lambda", [0.0, 0.7, 1.0])
def test_generalized_advantage_is_the_recursion(gae_lambda):
    rng = np.random.default_rng(0)
    shape, discount = (2, 3, 6), 0.9
    length = rng.integers(1, 7, shape[:2])
    mask = (np.arange(6) < length[..., None]).astype(float)
    reward, value = rng.normal(size=shape) * mask, rng.normal(size=shape)
    expected = np.zeros(shape)
    for index in np.ndindex(*shape[:2]):
        following, next_value = 0.0, 0.0
        for t in reversed(range(length[index])):
            step = (*index, t)
            delta = reward[step] + discount * next_value - value[step]
            following = delta + discount * gae_lambda * following
            expected[step], next_value = following, value[step]
    actual = returns.generalized_advantage(
        tf.constant(reward), tf.constant(value), tf.constant(mask), discount, gae_lambda
    )
    np.testing.assert_allclose(actual * mask, expected, atol=1e-9)
    if gae_lambda == 1:
        np.testing.assert_allclose(expected, (loop(reward, discount) - value) * mask, atol=1e-9)


def test_discounted_reward():
    actual = returns.discounted_reward(tf.ones([1, 1, 3]), 0.5)
    np.testing.assert_allclose(actual, [[[1, 0.5, 0.25]]])


@pytest.mark.parametrize(
    ("tasks", "episodes", "steps"),
    [
        *((2, 2, steps) for steps in (128, 129, 300, 5000, 20_000)),
        *((tasks, 1, 250) for tasks in (100, 256, 600)),
        *((tasks, 1, 300) for tasks in (150, 1500)),
        (40, 20, 200),
    ],
)
@pytest.mark.parametrize("discount", [0.0, 0.9, 0.99, 1.0])
def test_long_episodes(tasks, episodes, steps, discount):
    rng = np.random.default_rng(steps)
    reward = (rng.normal(size=(tasks, episodes, steps)) + 0.5).astype(np.float32)
    expected = loop_over_time(reward.astype(np.float64), discount)
    actual = returns.reward_to_go(tf.constant(reward), discount)
    error = np.abs(actual - expected) / np.abs(expected).max(axis=-1, keepdims=True)
    assert error.max() < 1e-5
    exact = returns.reward_to_go(tf.constant(reward, tf.float64), discount)
    np.testing.assert_allclose(exact, expected, rtol=1e-9, atol=1e-9)


def loop_over_time(reward, discount):
    result, following = np.zeros_like(reward), 0.0
    for t in reversed(range(reward.shape[-1])):
        following = reward[..., t] + discount * following
        result[..., t] = following
    return result


@pytest.mark.slow
def test_memory_grows_with_the_number_of_steps():
    """Of 20 tasks of 10 episodes of 5,000 steps, in a process of its own."""
    code = (
        "import resource, numpy as np, tensorflow as tf; from tfcaml.advantages import returns;"
        "peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024;"
        "returns.reward_to_go(tf.ones([20, 10, 200]), 0.99);"
        "reward = tf.ones([20, 10, 5000]); before = peak();"
        "returns.reward_to_go(reward, 0.99).numpy(); print(peak() - before)"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert float(found.stdout.split()[-1]) < 100  # MB
