import numpy as np
import pytest
import tensorflow as tf

from tfcaml import keys
from tfcaml.environments import Bandit, BanditConfig
from tfcaml.environments.native import bandit_solvers as solvers
from tfcaml.errors import ConfigError


@pytest.fixture(scope="module")
def bandits():
    """How often the arms of many bandits pay, [Q, 5]."""
    return np.random.default_rng(11).random([20_000, 5])


def test_an_arm_pays_as_often_as_the_task_says():
    family = Bandit(BanditConfig(num_arms=3))
    task = {"p": tf.constant([[0.0, 1.0, 0.3], [0.6, 0.0, 1.0]])}
    noise = tf.constant(np.random.default_rng(0).random([2, 999, 1]), tf.float32)
    for arm in range(3):
        action = tf.fill([2, 999], arm)
        _, observation, reward, ended = family.step(task, tf.zeros([2, 999, 1]), action, noise)
        expected = noise[..., 0] < task["p"][:, arm, None]
        np.testing.assert_array_equal(reward, tf.cast(expected, tf.float32))
        assert not np.any(observation) and not np.any(ended)


def test_bandits_are_made_without_end():
    family = Bandit(BanditConfig(num_arms=4))
    population = family.population(3, 5)
    more = family.population(3, 9)
    np.testing.assert_array_equal(population.test["p"], more.test["p"][:5])
    drawn, index = population.sample(2000, keys.from_int(0))
    assert index == () and drawn["p"].shape == [2000, 4]
    assert abs(float(tf.reduce_mean(drawn["p"])) - 0.5) < 0.02
    assert float(tf.reduce_min(drawn["p"])) < 0.01 and float(tf.reduce_max(drawn["p"])) > 0.99
    with pytest.raises(ConfigError, match="num_arms to be >= 2"):
        BanditConfig(num_arms=1)


def test_indices_are_those_of_the_published_table():
    """J. Gittins, "Bandit processes and dynamic allocation indices", 1979; Gittins et al. 2011."""
    table = solvers.gittins_indices(3, 0.9)
    expected = [[0.7029, 0.5001, 0.3796], [0.8001, 0.6346], [0.8452]]
    for successes, row in enumerate(expected):
        np.testing.assert_allclose(table[successes, : len(row)], row, atol=1e-4)
    assert np.isnan(table[2, 1])
    closer = solvers.gittins_indices(3, 0.9, 1e-6)
    assert np.nanmax(np.abs(closer - table)) < 1e-4
    with pytest.raises(ConfigError, match=r"discount to be in \(0, 1\)"):
        solvers.gittins_indices(3, 1.0)


# RL2 paper, Table 1, in which UCB1 has the best width of 0, 0.1, ... 1, on 1000 bandits.
PUBLISHED = {
    "random": (solvers.random, 5.0),
    "gittins": (solvers.gittins(10), 6.6),
    "ucb1": (solvers.ucb1(0.1), 6.7),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_strategies_earn_what_was_published(name, bandits):
    strategy, published = PUBLISHED[name]
    earned = solvers.play(bandits, 10, strategy).sum(axis=1).mean()
    assert abs(earned / published - 1) < 0.01


@pytest.mark.slow
def test_strategies_earn_what_was_published_of_many_pulls(bandits):
    for strategy, published in (
        (solvers.random, 49.9),
        (solvers.gittins(100), 78.3),
        (solvers.ucb1(0.2), 78.0),
    ):
        earned = solvers.play(bandits, 100, strategy).sum(axis=1).mean()
        assert abs(earned / published - 1) < 0.01


def test_strategies_do_what_they_say():
    rng = np.random.default_rng(0)
    won, lost = np.array([[3.0, 0.0, 1.0]]), np.array([[1.0, 0.0, 5.0]])
    np.testing.assert_allclose(solvers.epsilon_greedy(0.0)(won, lost, 9, rng), [[4 / 6, 0.5, 0.25]])
    assert not np.any(solvers.epsilon_greedy(1.0)(won, lost, 9, rng))
    wide = solvers.ucb1(2.0)(won, lost, 9, rng) - solvers.ucb1(0.0)(won, lost, 9, rng)
    np.testing.assert_allclose(wide, 2 * np.sqrt(2 * np.log(9) / np.array([[6, 2, 8]])))
    drawn = np.concatenate([solvers.thompson(won, lost, 9, rng) for _ in range(4000)])
    np.testing.assert_allclose(drawn.mean(axis=0), [4 / 6, 0.5, 0.25], atol=0.02)
    # Of equal arms any is pulled, and what is pulled is counted.
    pulled = solvers.play(np.tile([[1.0, 0.0]], [500, 1]), 1, solvers.random)
    assert 0.4 < pulled.mean() < 0.6
    always = solvers.play(np.tile([[1.0, 0.0]], [50, 1]), 20, solvers.epsilon_greedy(0.0))
    assert always[:, 2:].all()
