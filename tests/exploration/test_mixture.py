"""Mixtures of whole episodes, against the enumeration of all episodes."""

import itertools

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

from tfcaml import keys, losses, nest
from tfcaml.exploration import mixture as guided_exploration
from tfcaml.exploration.mixture import Players
from tfcaml.policies import Policy
from tfcaml.types import Trajectory, episode_return

STEPS, ACTIONS = 3, 3


class Table(Policy):
    """Weights are logits [N, S, A]; observations are one-hot."""

    num_actions = ACTIONS

    def __call__(self, params, observation):
        return tfp.distributions.Categorical(logits=observation @ params[0])


@pytest.fixture(scope="module")
def everything():
    """All sequences of actions, observing the last one; logits [1, C, S, A], shares [1, C]."""
    action = np.array(list(itertools.product(range(ACTIONS), repeat=STEPS)), np.int32)[None]
    state = np.concatenate([np.zeros([1, action.shape[1], 1], int), 1 + action[..., :-1]], axis=2)
    observation = tf.constant(np.eye(1 + ACTIONS)[state])
    ones = tf.ones(action.shape, tf.float64)
    paid = np.random.default_rng(1).normal(size=[1 + ACTIONS, ACTIONS])
    reward = tf.constant(paid[state, action])
    trajectory = Trajectory(
        observation, tf.constant(action), reward, ones, 0 * ones, 0 * ones, observation[:, :, -1]
    )
    logits = tf.constant(np.random.default_rng(0).normal(0, 2, [1, 3, 1 + ACTIONS, ACTIONS]))
    return trajectory, (logits,), tf.constant([[0.5, 0.3, 0.2]], tf.float64)


def test_the_mixture_is_one_of_episodes(everything):
    trajectory, params, share = everything
    log_prob = guided_exploration.mixture_log_prob(Table(), Players(params, share), trajectory)
    probability = np.exp(tf.reduce_sum(log_prob, axis=-1))[0]
    assert probability.sum() == pytest.approx(1, abs=1e-12)
    each = [
        np.exp(
            tf.reduce_sum(losses.action_log_prob(Table(), (params[0][:, c],), trajectory), axis=-1)
        )[0]
        for c in range(3)
    ]
    np.testing.assert_allclose(probability, np.array([0.5, 0.3, 0.2]) @ each, rtol=1e-10)


def test_weighted_gradient_is_the_on_policy_one_and_weights_are_bounded(everything):
    """In expectation, of rewards weighted each by its own step; weights up to 1 / own share."""
    trajectory, params, share = everything
    own = params[0][:, 0]
    log_prob = guided_exploration.mixture_log_prob(Table(), Players(params, share), trajectory)
    ratio = losses.action_log_prob(Table(), (own,), trajectory) - log_prob
    weight = losses.per_decision_weights(ratio, trajectory.mask, clip=None)
    assert 1.5 < tf.reduce_max(weight) <= 2 + 1e-9

    def gradient(log_prob, weight):
        probability = np.exp(tf.reduce_sum(log_prob, axis=-1))[..., None]
        paid_later = tf.cumsum(weight * trajectory.reward, axis=-1, reverse=True)
        with tf.GradientTape() as tape:
            tape.watch(own)
            acted = losses.action_log_prob(Table(), (own,), trajectory)
            loss = tf.reduce_sum(probability * acted * paid_later)
        return tape.gradient(loss, own)

    on_policy = losses.action_log_prob(Table(), (own,), trajectory)
    expected = gradient(on_policy, tf.ones([], tf.float64))
    np.testing.assert_allclose(gradient(log_prob, weight), expected, atol=1e-12)
    assert np.abs(gradient(log_prob, 1.0) - expected).max() > 0.1


def test_weights_per_step_are_of_the_states_that_the_mixture_visits(everything):
    """The closed form of tables. A step's own ratio has no bound but the clipping.

    Where the past tells that another policy plays, the mixture acts as that one does; only the
    first step has weights up to 1 / own share.
    """
    trajectory, params, share = everything
    own = params[0][:, 0]
    log_prob = guided_exploration.mixture_log_prob(Table(), Players(params, share), trajectory)
    ratio = losses.action_log_prob(Table(), (own,), trajectory) - log_prob
    weight = losses.per_step_weights(ratio, trajectory.mask, clip=None)
    q = np.random.default_rng(2).normal(size=[1 + ACTIONS, ACTIONS])
    worth = q[tf.argmax(trajectory.observation, axis=-1), trajectory.action]
    probability = np.exp(tf.reduce_sum(log_prob, axis=-1))[..., None]
    with tf.GradientTape() as tape:
        tape.watch(own)
        acted = losses.action_log_prob(Table(), (own,), trajectory)
        loss = tf.reduce_sum(probability * weight * acted * worth)
    pi, visits = np.exp(tf.nn.log_softmax(params[0][0])), np.zeros(1 + ACTIONS)
    for part, policy in zip(share.numpy()[0], pi):
        at = part * np.eye(1 + ACTIONS)[0]
        for _ in range(STEPS):
            visits += at
            at = np.concatenate([[0], at @ policy])
    slope = pi[0] * (q - (pi[0] * q).sum(axis=1, keepdims=True))
    np.testing.assert_allclose(tape.gradient(loss, own)[0], visits[:, None] * slope, atol=1e-12)
    largest = weight.numpy().max(axis=(0, 1))
    assert largest[0] <= 2 + 1e-9 and (largest[1:] > 2.3).all()


def test_shares():
    valid = [[True, False, True], [False, False, False]]
    share = guided_exploration.shares(tf.constant(valid), tf.constant([0.4, 0.4]))
    np.testing.assert_allclose(share, [[0.6, 0.2, 0, 0.2], [1, 0, 0, 0]], rtol=1e-6)


def test_each_policy_plays_its_share(particle, policy, population, constant_action):
    """Always up, down, left or right: who acted is seen by what was done."""
    task = nest.take(population.train, [0, 1])
    weights = constant_action([0, 1, 2, 3])
    params = nest.map(lambda x: tf.stack([x, x[::-1]]), weights)  # [2, 4, ...]
    share = tf.constant([[0.5, 0.2, 0.0, 0.3], [1.0, 0.0, 0.0, 0.0]])
    arguments = policy, particle, Players(params, share), task, 10, keys.from_int(0)
    trajectory, player = guided_exploration.sample(*arguments)
    np.testing.assert_array_equal(player, [[0] * 5 + [1] * 2 + [3] * 3, [0] * 10])
    done = trajectory.action.numpy()
    np.testing.assert_array_equal(done[0], np.repeat(player.numpy()[0], 10).reshape(10, 10))
    np.testing.assert_array_equal(done[1], np.full([10, 10], 3))
    # The first action tells who plays, after which nothing is left to chance.
    log_prob = trajectory.log_prob.numpy()
    np.testing.assert_allclose(log_prob[0, :, 0], np.log([0.5] * 5 + [0.2] * 2 + [0.3] * 3), 1e-5)
    np.testing.assert_allclose(log_prob[0, :, 1:], 0, atol=1e-5)
    np.testing.assert_allclose(log_prob[1], 0, atol=1e-5)
    assert episode_return(trajectory).shape == [2, 10]


def test_shares_of_few_episodes_go_to_the_next_whole_number(policy, particle, population, sample):
    """1.6 of 2 episodes are 2, 0.4 are none; 1.4 and 0.6 are one each."""
    params = nest.stack([policy.init(0), policy.init(1)])
    share = tf.constant([[0.8, 0.2], [0.7, 0.3]])
    task = nest.take(population.train, [0, 1])
    players = Players(nest.map(lambda x: tf.stack([x, x]), params), share)
    play = tf.function(
        lambda: guided_exploration.sample(policy, particle, players, task, 2, keys.from_int(0))[1],
        autograph=False,
    )
    np.testing.assert_array_equal(play(), [[0, 0], [0, 1]])
