import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfcaml.errors import ConfigError
from tfcaml.learners.caml import bandit

CASES = st.tuples(
    st.sampled_from(sorted(set(bandit.RULES) - {"oracle"})),
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
        "upper_confidence_bound": 1,
        "oracle": 1,
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


def test_upper_confidence_bound_pulls_what_may_be_best():
    """Arms that are clearly worse are pulled less, and none is given up."""
    returns = np.random.default_rng(0).normal([[-10.0], [0.0], [-0.1]], size=(3, 300))
    pulls = bandit.choose("upper_confidence_bound", returns, 300, None).pulls
    assert 1 < pulls[0] < pulls[1] / 2 and pulls[2] > 50


def test_the_oracle_sees_everything():
    returns = np.array([[-1.0, -9.0, -9.0], [-5.0, -5.0, -5.0], [-2.0, -2.0, -20.0]])
    choice = bandit.choose("oracle", returns, 3, None)
    assert choice.arm == 1 and choice.pulls.sum() == 9


HOME = np.array([-20.0, -10.0])


@pytest.mark.parametrize(
    ("here", "min_transfer", "arm"),
    [
        ((-200.0, -30.0), 0.75, 1),  # it brings 270 of the 290 it brings at home
        ((-200.0, -90.0), 0.75, 2),  # 210 of 290
        ((-200.0, -90.0), 0.5, 1),
        ((-200.0, -290.0), 0.0, 0),  # the better of the two is still better than the fallback
        ((-400.0, -310.0), 0.0, 2),  # and here worse
    ],
)
def test_the_fallback_is_taken_unless_a_choice_does_most_of_what_it_does_at_home(
    here, min_transfer, arm
):
    returns = np.tile(np.array([*here, -300.0])[:, None], 5)
    choice = bandit.choose_or_fall_back("round_robin_mean", returns, HOME, min_transfer, 5, None)
    assert choice.arm == arm
    np.testing.assert_array_equal(choice.pulls, [2, 2, 1])
    np.testing.assert_allclose(choice.mean_return, (2 * sum(here) - 300) / 5)


def test_an_arm_that_is_no_better_at_home_needs_to_beat_the_fallback():
    returns = np.tile(np.array([-11.0, -10.0])[:, None], 4)
    fall_back = lambda r: bandit.choose_or_fall_back("round_robin_mean", r, [-50.0], 1, 4, None)
    assert fall_back(returns).arm == 1
    assert fall_back(np.add(returns, [[2.0], [0.0]])).arm == 0


def test_fewer_pulls_than_arms():
    """The best of the arms that could be tried."""
    returns = -np.arange(5.0)[::-1, None] * np.ones([5, 3])
    for rule in ("round_robin_mean", "successive_halving"):
        choice = bandit.choose(rule, returns, 3, None)
        np.testing.assert_array_equal(choice.pulls, [1, 1, 1, 0, 0])
        assert choice.arm == 2


def test_unknown_rule():
    with pytest.raises(ConfigError, match=r"rule='greedy'") as error:
        bandit.choose("greedy", np.zeros([2, 2]), 2, None)
    assert all(rule in str(error.value) for rule in bandit.RULES)
