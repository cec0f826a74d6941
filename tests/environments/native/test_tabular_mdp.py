import itertools

import numpy as np
import pytest
import tensorflow as tf

from tfcaml import keys, nest
from tfcaml.environments import TabularMDP, TabularMDPConfig
from tfcaml.environments.native import tabular_mdp_solvers as solvers
from tfcaml.errors import ConfigError

SMALL = TabularMDPConfig(num_states=3, num_actions=2, horizon=3)


@pytest.fixture(scope="module")
def tasks():
    """Many MDPs of the published size, in NumPy."""
    return nest.map(lambda x: x.numpy(), TabularMDP().population(5, 1000).test)


def test_tasks_are_distributed_as_published(tasks):
    np.testing.assert_allclose(tasks["transition"].sum(axis=-1), 1, rtol=1e-5)
    # A number of a flat Dirichlet distribution of ten: mean 1 / 10, variance 9 / (100 * 11).
    assert abs(tasks["transition"].mean() - 0.1) < 1e-3
    assert abs(tasks["transition"].var() - 9 / 1100) < 2e-4
    assert abs(tasks["reward"].mean() - 1) < 0.02 and abs(tasks["reward"].std() - 1) < 0.02


def test_tasks_are_made_without_end():
    family = TabularMDP(SMALL)
    population, more = family.population(3, 2), family.population(3, 4)
    nest.map(lambda x, y: np.testing.assert_array_equal(x, y[:2]), population.test, more.test)
    drawn, index = population.sample(5, keys.from_int(0))
    assert index == () and drawn["transition"].shape == [5, 3, 2, 3]


def test_steps_are_by_the_tasks_probabilities_and_rewards():
    family, episodes = TabularMDP(SMALL), 4000
    task = family.population(0, 2).test
    state, seen = family.reset(task, keys.per_episode(keys.from_int(0), 2, 1))
    np.testing.assert_array_equal(seen, [[[1, 0, 0]], [[1, 0, 0]]])  # the first state
    unit = tf.constant(np.random.default_rng(0).random([2, episodes, 2]), tf.float32)
    for first, action in itertools.product(range(3), range(2)):
        state, act = tf.fill([2, episodes], first), tf.fill([2, episodes], action)
        after, seen, reward, ended = family.step(task, state, act, unit)
        share = tf.reduce_mean(seen, axis=1)
        np.testing.assert_allclose(share, task["transition"][:, first, action], atol=0.03)
        np.testing.assert_array_equal(np.argmax(seen, axis=-1), after)
        np.testing.assert_allclose(
            tf.reduce_mean(reward, axis=1), task["reward"][:, first, action], atol=0.06
        )
        np.testing.assert_allclose(np.std(reward, axis=1), 1, atol=0.05)
        assert not np.any(ended)
    edge = tf.constant([[[0.0, 0.0], [1 - 1e-8, 1 - 1e-8]]] * 2)
    after, _, reward, _ = family.step(
        task, tf.zeros([2, 2], tf.int32), tf.zeros([2, 2], tf.int32), edge
    )
    assert np.isfinite(reward).all() and np.max(after) <= 2


def test_rewards_may_be_sure_and_alike():
    family = TabularMDP(TabularMDPConfig(reward_noise=0.0, reward_spread=0.0, reward_mean=2.0))
    task = family.population(0, 1).test
    zeros = tf.zeros([1, 3], tf.int32)
    _, _, reward, _ = family.step(task, zeros, zeros, tf.random.uniform([1, 3, 2]))
    np.testing.assert_allclose(reward, 2)
    with pytest.raises(ConfigError, match="reward_noise to be >= 0"):
        TabularMDPConfig(reward_noise=-1.0)
    with pytest.raises(ConfigError, match="num_states to be >= 2"):
        TabularMDPConfig(num_states=1)


def test_plans_are_the_best_of_all_policies():
    """Against every policy of an MDP with two steps."""
    rng = np.random.default_rng(0)
    transition, reward = rng.dirichlet([1, 1], size=[1, 2, 2]), rng.normal(size=[1, 2, 2])
    worth = solvers.plan(transition, reward, 2)
    np.testing.assert_allclose(worth[:, 1], reward)
    best = max(
        reward[0, 0, first] + transition[0, 0, first] @ reward[0, range(2), list(then)]
        for first in range(2)
        for then in itertools.product(range(2), repeat=2)
    )
    np.testing.assert_allclose(worth[0, 0, 0].max(), best)


def test_who_knows_the_mdp_earns_what_was_planned(tasks):
    worth = solvers.plan(tasks["transition"].astype(float), tasks["reward"].astype(float), 10)
    planned = worth[:, 0, 0].max(axis=-1).mean()
    earned = solvers.best(tasks, 4).mean()
    assert abs(earned / planned - 1) < 0.01


# RL2 paper, Table 2, in which OPSRL has the best of 1 to 20 samples, on 1000 MDPs.
@pytest.mark.slow
@pytest.mark.parametrize("episodes, random, optimist", [(10, 100.1, 144.1), (25, 250.2, 425.2)])
def test_strategies_earn_what_was_published(episodes, random, optimist, tasks):
    assert abs(solvers.random(tasks, episodes).sum(axis=1).mean() / random - 1) < 0.01
    found = solvers.posterior_sampling(tasks, episodes, num_samples=20).sum(axis=1)
    error = found.std() / np.sqrt(len(found))
    assert abs(found.mean() / optimist - 1) < 0.01 + error / optimist


def test_more_episodes_earn_more_each(tasks):
    few = nest.map(lambda x: x[:200], tasks)
    earned = solvers.posterior_sampling(few, 8).mean(axis=0)
    assert earned[-1] > earned[0] + 3
