import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfcaml import bandit
from tfcaml.errors import ConfigError

CASES = st.tuples(
    st.sampled_from(sorted(bandit.RULES)),
    st.integers(1, 12),
    st.integers(1, 30),
    st.integers(0, 99),
)


def draw(case):
    rule, num_arms, budget, seed = case
    returns = np.random.default_rng(seed).normal(size=(num_arms, budget))
    return rule, returns, budget, seed


@given(CASES)
def test_the_whole_budget_is_spent_and_no_more(case):
    rule, returns, budget, seed = draw(case)
    choice = bandit.choose(rule, returns, budget, np.random.default_rng(seed))
    assert choice.pulls.sum() == budget
    assert choice.pulls.shape == (len(returns),) and (choice.pulls >= 0).all()
    assert choice.pulls[choice.arm] > 0
    seen = [returns[arm, pull] for arm, n in enumerate(choice.pulls) for pull in range(n)]
    np.testing.assert_allclose(choice.mean_return, np.mean(seen))


@given(CASES)
def test_episodes_that_were_not_pulled_have_no_influence(case):
    rule, returns, budget, seed = draw(case)
    choice = bandit.choose(rule, returns, budget, np.random.default_rng(seed))
    hidden = np.arange(budget) >= choice.pulls[:, None]
    for value in (1e9, -1e9):
        changed = np.where(hidden, value, returns)
        again = bandit.choose(rule, changed, budget, np.random.default_rng(seed))
        assert again.arm == choice.arm
        np.testing.assert_array_equal(again.pulls, choice.pulls)
        np.testing.assert_allclose(again.mean_return, choice.mean_return)


@pytest.mark.parametrize("rule", sorted(bandit.RULES))
@pytest.mark.parametrize("best", [0, 2, 3])
def test_the_better_arm_wins(rule, best):
    returns = np.tile(-100.0 - np.arange(4)[:, None], 40)
    returns[best] = -1
    assert bandit.choose(rule, returns, 40, np.random.default_rng(0)).arm == best


def test_one_lucky_episode_fools_the_papers_rule_only():
    """Arm 0 is bad but for one episode that beats all of arm 1's."""
    returns = np.stack([np.full(20, -100.0), np.full(20, -10.0)])
    returns[0, 0] = -1
    choices = {
        rule: bandit.choose(rule, returns, 20, np.random.default_rng(0)).arm
        for rule in bandit.RULES
    }
    assert choices == {
        "uniform_best_episode": 0,
        "round_robin_mean": 1,
        "successive_halving": 1,
    }


def test_round_robin_pulls_arms_in_turn():
    choice = bandit.choose("round_robin_mean", np.zeros([3, 8]), 8, None)
    np.testing.assert_array_equal(choice.pulls, [3, 3, 2])


def test_successive_halving_drops_the_worse_half():
    """Six arms: one pull each, then the best three, then the best two."""
    level = np.array([-60.0, -50, -40, -30, -20, -10])
    returns = np.tile(level[:, None], 13)
    choice = bandit.choose("successive_halving", returns, 13, None)
    np.testing.assert_array_equal(choice.pulls, [1, 1, 1, 2, 4, 4])
    assert choice.arm == 5


def test_fewer_pulls_than_arms():
    """The best of the arms that could be tried."""
    returns = -np.arange(5.0)[::-1, None] * np.ones([5, 3])
    for rule in ("round_robin_mean", "successive_halving"):
        choice = bandit.choose(rule, returns, 3, None)
        np.testing.assert_array_equal(choice.pulls, [1, 1, 1, 0, 0])
        assert choice.arm == 2


def test_unknown_rule():
    with pytest.raises(ConfigError, match=r"choice='greedy'") as error:
        bandit.choose("greedy", np.zeros([2, 2]), 2, None)
    assert all(rule in str(error.value) for rule in bandit.RULES)
