"""One pull at a time gives what `bandit.choose` gives with all returns at hand."""

import numpy as np
import pytest
import tensorflow as tf

from tfcaml import keys
from tfcaml.errors import ConfigError
from tfcaml.learners.caml import bandit, trials

RULES = sorted(set(bandit.RULES) - {"uniform_best_episode"})


def play(rule, returns, next_arm=trials.next_arm):
    """Pulls one after the other: the table of what was seen."""
    table = np.full_like(returns, np.nan)
    rows = np.arange(len(returns))
    while True:
        arm = next_arm(rule, tf.constant(table), keys.from_int(1)).numpy()
        if (arm == -1).all():
            return table
        pull = (~np.isnan(table)).sum(-1)[rows, arm]
        table[rows, arm, pull] = returns[rows, arm, pull]


def pulls_of(table):
    return (~np.isnan(table)).sum(-1)


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("num_arms, budget", [(7, 10), (7, 22), (4, 15), (1, 3), (6, 4)])
def test_same_pulls_and_arm_as_with_all_returns(rule, num_arms, budget):
    returns = np.random.default_rng(num_arms).normal(size=(20, num_arms, budget))
    returns = returns.astype(np.float32)
    table = play(rule, returns)
    arm = trials.best_arm(rule, tf.constant(table))
    for row in range(len(returns)):
        expected = bandit.choose(rule, returns[row], budget, None)
        np.testing.assert_array_equal(pulls_of(table)[row], expected.pulls)
        assert arm[row] == expected.arm


@pytest.mark.parametrize("rule", RULES)
def test_same_fallback_as_with_all_returns(rule):
    rng = np.random.default_rng(0)
    returns = rng.normal(size=(40, 5, 9)).astype(np.float32)
    home = rng.normal(size=4).astype(np.float32) + 1
    table = play(rule, returns, trials.next_arm_or_fallback)
    arm = trials.best_arm_or_fallback(rule, tf.constant(table), home, 0.5).numpy()
    for row in range(len(returns)):
        expected = bandit.choose_or_fall_back(rule, returns[row], home, 0.5, 9, None)
        np.testing.assert_array_equal(pulls_of(table)[row], expected.pulls)
        assert arm[row] == expected.arm
    assert 0 < np.mean(arm == 4) < 1


def test_the_rule_that_draws_takes_the_best_episode():
    returns = np.random.default_rng(0).normal(size=(50, 3, 6)).astype(np.float32)
    table = play("uniform_best_episode", returns)
    pulls, arm = pulls_of(table), trials.best_arm("uniform_best_episode", tf.constant(table))
    np.testing.assert_array_equal(pulls.sum(1), 6)
    assert np.all(np.abs(pulls.mean(0) - 2) < 0.6)
    for row, counts in enumerate(pulls):
        best = [max([-np.inf, *returns[row, a, :count]]) for a, count in enumerate(counts)]
        assert arm[row] == np.argmax(best)


def test_unknown_rule():
    with pytest.raises(ConfigError, match=r"rule to be one of .*received rule='guess'"):
        trials.best_arm("guess", tf.zeros([1, 2, 3]))
