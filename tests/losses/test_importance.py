import itertools

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

from tfcaml.losses import (
    action_log_prob,
    effective_sample_share,
    importance_weighted,
    per_decision_weights,
    per_step_weights,
    policy_gradient,
    unit_weights,
)
from tfcaml.policies import Policy
from tfcaml.types import Trajectory

ACTIONS = 3


class Table(Policy):
    """Weights are logits [N, S, A]; observations are one-hot."""

    num_actions = ACTIONS

    def __call__(self, params, observation):
        return tfp.distributions.Categorical(logits=observation @ params)


def every_episode(behaviour, num_steps):
    """All sequences of actions as episodes of one task, observing the last action; [1, A^T, T].

    Returns:
      (`Trajectory`, probability of each episode under `behaviour` [S, A]: [E]).
    """
    action = np.array(list(itertools.product(range(ACTIONS), repeat=num_steps)), np.int32)
    state = np.concatenate([np.zeros([len(action), 1], int), 1 + action[:, :-1]], axis=1)
    log_prob = tf.nn.log_softmax(behaviour).numpy()[state, action]
    ones = tf.ones([1, *action.shape], tf.float64)
    observation = tf.constant(np.eye(1 + ACTIONS)[state])[None]
    trajectory = Trajectory(
        observation,
        tf.constant(action)[None],
        ones,
        ones,
        tf.constant(log_prob)[None],
        0 * ones,
        observation[:, :, -1],
    )
    return trajectory, np.exp(log_prob.sum(axis=1))


def gradient(loss, params):
    with tf.GradientTape() as tape:
        tape.watch(params)
        value = loss(params)
    return tape.gradient(value, params).numpy()


def expected_gradients(num_steps, clip):
    """The gradient from episodes of another policy, and on-policy: both exact expectations."""
    rng = np.random.default_rng(0)
    target, behaviour = rng.normal(size=[2, 1 + ACTIONS, ACTIONS])
    q = rng.normal(size=[1 + ACTIONS, ACTIONS])  # what an action in a state is worth
    params = tf.constant(target)[None]

    def expected(acting, loss):
        trajectory, probability = every_episode(acting, num_steps)
        state = tf.argmax(trajectory.observation, axis=-1)
        advantage = q[state, trajectory.action] * probability[:, None] * len(probability)
        return gradient(lambda p: loss(Table(), p, trajectory, advantage), params)

    weighted = lambda *arguments: importance_weighted(*arguments, clip=clip)
    return expected(behaviour, weighted), expected(target, policy_gradient)


@pytest.mark.parametrize("num_steps", [1, 3])
def test_expected_gradient_is_that_of_the_policy_itself(num_steps):
    """A bandit, and episodes of three steps, with all actions enumerated."""
    weighted, on_policy = expected_gradients(num_steps, clip=None)
    np.testing.assert_allclose(weighted, on_policy, rtol=1e-10, atol=1e-12)
    assert np.abs(on_policy).max() > 0.05
    wide, _ = expected_gradients(num_steps, clip=1e6)
    np.testing.assert_allclose(wide, on_policy, rtol=1e-10, atol=1e-12)
    narrow, _ = expected_gradients(num_steps, clip=1.2)
    assert np.abs(narrow - on_policy).max() > 0.01


@pytest.mark.parametrize("num_steps", [1, 3])
def test_weights_per_step_are_of_the_states_that_the_behaviour_visits(num_steps):
    """The policy gradient where every state counts as often as the behaviour comes by.

    It has a closed form for tables: visits pi (q - sum_a pi q). Of a bandit it is the gradient.
    """
    rng = np.random.default_rng(0)
    target, behaviour = rng.normal(size=[2, 1 + ACTIONS, ACTIONS])
    q = rng.normal(size=[1 + ACTIONS, ACTIONS])
    pi, beta = np.exp(tf.nn.log_softmax([target, behaviour]))
    at, visits = np.eye(1 + ACTIONS)[0], np.zeros([1 + ACTIONS])
    for _ in range(num_steps):
        visits += at
        at = np.concatenate([[0], at @ beta])
    slope = pi * (q - (pi * q).sum(axis=1, keepdims=True))

    def expected(clip):
        trajectory, probability = every_episode(behaviour, num_steps)
        state = tf.argmax(trajectory.observation, axis=-1)
        advantage = q[state, trajectory.action] * probability[:, None] * len(probability)
        params = tf.constant(target)[None]
        log_ratio = action_log_prob(Table(), params, trajectory) - trajectory.log_prob
        weight = per_step_weights(log_ratio, trajectory.mask, clip)
        return gradient(
            lambda p: policy_gradient(Table(), p, trajectory, weight * advantage), params
        )[0]

    np.testing.assert_allclose(expected(None), -visits[:, None] * slope / num_steps, atol=1e-12)
    _, on_policy = expected_gradients(num_steps, clip=None)
    assert np.allclose(expected(None), on_policy) == (num_steps == 1)
    assert np.abs(expected(1.2) - expected(None)).max() > 0.01


def test_own_episodes_have_weight_one():
    rng = np.random.default_rng(1)
    params = tf.constant(rng.normal(size=[1, 1 + ACTIONS, ACTIONS]))
    trajectory, _ = every_episode(params[0], 2)
    advantage = tf.constant(rng.normal(size=trajectory.mask.shape))
    for self_normalized in (False, True):
        loss = lambda p, s=self_normalized: importance_weighted(
            Table(), p, trajectory, advantage, self_normalized=s
        )
        on_policy = lambda p: policy_gradient(Table(), p, trajectory, advantage)
        np.testing.assert_allclose(loss(params), on_policy(params), rtol=1e-10)
        np.testing.assert_allclose(
            gradient(loss, params), gradient(on_policy, params), rtol=1e-8, atol=1e-12
        )


def test_weights():
    ratio = np.array([[[2.0, 0.5, 9.0], [4.0, 4.0, 0.01]]])
    mask = np.array([[[1.0, 1.0, 1.0], [1.0, 1.0, 0.0]]])
    weight = per_decision_weights(np.log(ratio), mask, clip=5.0)
    np.testing.assert_allclose(weight, [[[2, 1, 5], [4, 5, 0]]])
    weight = per_decision_weights(np.log(ratio), mask, clip=None)
    np.testing.assert_allclose(weight, [[[2, 1, 9], [4, 16, 0]]])
    weight = per_decision_weights(np.log(ratio), mask, clip=5.0, self_normalized=True)
    np.testing.assert_allclose(weight, [[[2 / 3, 1 / 3, 1], [4 / 3, 5 / 3, 0]]])
    for clip, largest in ((5.0, 5), (None, 9)):
        weight = per_step_weights(np.log(ratio), mask, clip)
        np.testing.assert_allclose(weight, [[[2, 0.5, largest], [4, 4, 0]]])
    np.testing.assert_array_equal(unit_weights(np.log(ratio), mask, 5.0), mask)


def test_padded_steps_say_nothing():
    rng = np.random.default_rng(2)
    log_ratio = rng.normal(size=[2, 3, 4])
    mask = (np.arange(4) < rng.integers(1, 4, [2, 3, 1])).astype(float)
    broken = np.where(mask > 0, log_ratio, 1e3)
    for rule in (
        lambda x: per_decision_weights(x, mask, 5.0),
        lambda x: per_decision_weights(x, mask, 5.0, self_normalized=True),
        lambda x: per_step_weights(x, mask, 5.0),
        lambda x: per_step_weights(x, mask, None),
    ):
        weights = [rule(x) for x in (log_ratio, broken)]
        np.testing.assert_array_equal(*weights)
        assert (weights[0].numpy()[mask == 0] == 0).all()
        assert np.isfinite(weights[0]).all()


def test_long_episodes_neither_overflow_nor_vanish_into_nan():
    log_ratio = np.stack([np.full([2, 500], 1.0), np.full([2, 500], -1.0)]).astype(np.float32)
    weight = per_decision_weights(log_ratio, np.ones([2, 2, 500], np.float32)).numpy()
    assert weight[0].max() == pytest.approx(5) and weight[1, :, -1].max() == 0
    own = per_decision_weights(
        log_ratio, np.ones([2, 2, 500], np.float32), self_normalized=True
    ).numpy()
    assert np.isfinite(own).all()


def test_effective_sample_share():
    mask = np.ones([3, 2, 5])
    mask[2, :, 1:] = 0
    weight = np.ones([3, 2, 5]) * mask
    weight[1] = np.eye(5)[[0, 0]] * [[1], [0]]
    np.testing.assert_allclose(effective_sample_share(weight, mask), [1, 0.1, 1])
    np.testing.assert_allclose(effective_sample_share(7 * weight, mask), [1, 0.1, 1])
    np.testing.assert_array_equal(effective_sample_share(0 * weight, mask), 0)
