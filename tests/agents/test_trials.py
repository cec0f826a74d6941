"""One pull at a time gives what `bandit.choose` gives with all returns at hand."""

import numpy as np
import pytest
import tensorflow as tf

from tfcaml import bandit, seeds
from tfcaml.agents import trials
from tfcaml.errors import ConfigError


def play(rule, returns):
    """Pulls one after the other: (pulls [N, k], chosen arm [N])."""
    table = np.full_like(returns, np.nan)
    rows = np.arange(len(returns))
    for _ in range(returns.shape[-1]):
        arm = trials.next_arm(rule, tf.constant(table), seeds.from_int(1)).numpy()
        pull = (~np.isnan(table)).sum(-1)[rows, arm]
        table[rows, arm, pull] = returns[rows, arm, pull]
    assert (trials.next_arm(rule, tf.constant(table), seeds.from_int(1)) == -1).numpy().all()
    return (~np.isnan(table)).sum(-1), trials.best_arm(rule, tf.constant(table)).numpy()


@pytest.mark.parametrize("rule", ["successive_halving", "round_robin_mean"])
@pytest.mark.parametrize("num_arms, budget", [(7, 10), (7, 22), (4, 15), (1, 3), (6, 4)])
def test_same_pulls_and_arm_as_with_all_returns(rule, num_arms, budget):
    returns = np.random.default_rng(num_arms).normal(size=(20, num_arms, budget))
    returns = returns.astype(np.float32)
    pulls, arm = play(rule, returns)
    for row in range(len(returns)):
        expected = bandit.choose(rule, returns[row], budget, None)
        np.testing.assert_array_equal(pulls[row], expected.pulls)
        assert arm[row] == expected.arm


def test_the_rule_that_draws_takes_the_best_episode():
    returns = np.random.default_rng(0).normal(size=(50, 3, 6)).astype(np.float32)
    pulls, arm = play("uniform_best_episode", returns)
    np.testing.assert_array_equal(pulls.sum(1), 6)
    assert np.all(np.abs(pulls.mean(0) - 2) < 0.6)
    for row, counts in enumerate(pulls):
        best = [max([-np.inf, *returns[row, a, :count]]) for a, count in enumerate(counts)]
        assert arm[row] == np.argmax(best)


def test_unknown_rule():
    with pytest.raises(ConfigError, match=r"choice to be one of .*received choice='guess'"):
        trials.best_arm("guess", tf.zeros([1, 2, 3]))
