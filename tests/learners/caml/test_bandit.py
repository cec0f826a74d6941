import numpy as np
import pytest
import tensorflow as tf

from tests.learners.caml import plain_bandit
from tfcaml import keys
from tfcaml.errors import ConfigError
from tfcaml.learners.caml import bandit

EXACT = sorted(set(bandit.RULES) - {"uniform_best_episode"})  # all but the one that draws
KEY = keys.from_int(1)


def play(rule, returns, falls_back=False):
    """The table of what was seen when pull t of arm a brings returns[:, a, t]: [N, k, budget]."""
    returns = tf.convert_to_tensor(returns)
    num_pulls = bandit.num_pulls(rule, *returns.shape[1:], falls_back)
    next_arm = lambda table: bandit.next_arm(rule, table, KEY, falls_back)
    pull = lambda arm, before: tf.gather_nd(returns, tf.stack([arm, before], 1), batch_dims=1)
    return bandit.play(next_arm, pull, *returns.shape, num_pulls)


def choose(rule, returns, home_return=None, min_transfer=None):
    """(Best arm [N], pulls [N, k]); with a fallback if there is a home."""
    falls_back = home_return is not None
    table = play(rule, returns, falls_back).numpy()
    assert np.all(bandit.next_arm(rule, table, KEY, falls_back) == -1)  # the budget is spent
    np.testing.assert_array_equal(table, np.where(np.isnan(table), np.nan, returns))
    if falls_back:
        arm = bandit.best_arm_or_fallback(rule, table, home_return, min_transfer)
    else:
        arm = bandit.best_arm(rule, table)
    return arm.numpy(), (~np.isnan(table)).sum(axis=-1)


def choose_one(rule, returns, *fallback):
    """The same of a single task."""
    arm, pulls = choose(rule, np.asarray(returns, np.float32)[None], *fallback)
    return arm[0], pulls[0]


def draw(shape, seed):
    """Returns of which a third are all different, a third have many ties, a third inexact ones."""
    rng = np.random.default_rng(seed)
    different, ties = rng.normal(size=shape), rng.integers(0, 3, shape)
    inexact = 0.1 - 11.3 * np.minimum(ties, 1)
    kind = np.arange(shape[0]).reshape(-1, *[1] * (len(shape) - 1)) % 3
    return np.float32(np.choose(kind, [different, ties, inexact]))


@pytest.mark.parametrize("rule", EXACT)
@pytest.mark.parametrize("falls_back", [False, True])
@pytest.mark.parametrize("num_arms, budget", [(8, 10), (7, 23), (2, 9), (6, 4)])
def test_like_the_plain_statement(rule, falls_back, num_arms, budget):
    returns = draw((60, num_arms, budget), budget)
    fallback = (draw((num_arms - 1,), 0) + 0.5, 0.5) if falls_back else ()
    arm, pulls = choose(rule, returns, *fallback)
    for row, table in enumerate(returns):
        expected = plain_bandit.choose(rule, table, budget, *fallback)
        np.testing.assert_array_equal(pulls[row], expected[1])
        assert arm[row] == expected[0]


def test_the_rule_that_draws_takes_the_best_episode():
    """Arms are drawn uniformly, and for each task by itself."""
    compiled = tf.function(lambda *x: play("uniform_best_episode", *x), autograph=False)
    returns = draw((300, 3, 6), 0)
    table = compiled(returns).numpy()
    pulls = (~np.isnan(table)).sum(axis=-1)
    np.testing.assert_array_equal(pulls.sum(axis=1), 6)
    assert np.all(np.abs(pulls.mean(axis=0) - 2) < 0.2)
    seen = np.nan_to_num(table, nan=-np.inf)
    best = bandit.best_arm("uniform_best_episode", table)
    np.testing.assert_array_equal(best, seen.max(axis=2).argmax(axis=1))
    np.testing.assert_array_equal(compiled(returns[:7]), table[:7])


@pytest.mark.slow
@pytest.mark.parametrize("rule", sorted(bandit.RULES))
def test_ties_under_xla(rule):
    """It has sorts and searches of its own."""
    returns = draw((60, 5, 6), 0)
    home = np.float32([-11.2, 0.1, -11.2, 0.1])

    @tf.function(autograph=False, jit_compile=True)
    def compiled(table):
        arm = bandit.next_arm(rule, table, KEY, True)
        return arm, bandit.best_arm_or_fallback(rule, table, home, 0.5)

    pulled = np.arange(6) < [[2], [2], [1], [1], [1]]
    for table in (play(rule, returns, True), np.where(pulled, returns, np.float32(np.nan))):
        arm, best = compiled(table)
        np.testing.assert_array_equal(best, bandit.best_arm_or_fallback(rule, table, home, 0.5))
        if rule != "uniform_best_episode":  # XLA draws other numbers
            np.testing.assert_array_equal(arm, bandit.next_arm(rule, table, KEY, True))


@pytest.mark.parametrize("rule", sorted(bandit.RULES))
def test_the_better_arm_wins(rule):
    returns = np.tile(-100.0 - np.arange(4)[:, None], [3, 1, 12])
    best = [0, 2, 3]
    returns[range(3), best] = -1
    np.testing.assert_array_equal(choose(rule, np.float32(returns))[0], best)


def test_one_lucky_episode_fools_the_papers_rule_only():
    """Arm 0 is bad but for one episode that beats all of arm 1's."""
    returns = np.stack([np.full(12, -100.0), np.full(12, -10.0)])
    returns[0, 0] = -1
    assert {rule: choose_one(rule, returns)[0] for rule in bandit.RULES} == {
        "uniform_best_episode": 0,
        "round_robin_mean": 1,
        "successive_halving": 1,
        "upper_confidence_bound": 1,
        "oracle": 1,
    }


def test_round_robin_pulls_arms_in_turn():
    _, pulls = choose_one("round_robin_mean", np.zeros([3, 8]))
    np.testing.assert_array_equal(pulls, [3, 3, 2])


def test_successive_halving_drops_the_worse_half():
    """Six arms: one pull each, then the best three, then the best two."""
    level = np.array([-60.0, -50, -40, -30, -20, -10])
    arm, pulls = choose_one("successive_halving", np.tile(level[:, None], 13))
    np.testing.assert_array_equal(pulls, [1, 1, 1, 2, 4, 4])
    assert arm == 5


def test_upper_confidence_bound_pulls_what_may_be_best():
    """Arms that are clearly worse are pulled less, and none is given up."""
    returns = np.random.default_rng(0).normal([[-10.0], [0.0], [-0.1]], size=(3, 120))
    _, pulls = choose_one("upper_confidence_bound", returns)
    assert 1 < pulls[0] < pulls[1] / 2 and pulls[2] > 20


def test_the_oracle_sees_everything():
    returns = [[-1.0, -9.0, -9.0], [-5.0, -5.0, -5.0], [-2.0, -2.0, -20.0]]
    arm, pulls = choose_one("oracle", returns)
    assert arm == 1 and pulls.sum() == 9


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
    chosen, pulls = choose_one("round_robin_mean", returns, HOME, min_transfer)
    assert chosen == arm
    np.testing.assert_array_equal(pulls, [2, 2, 1])


def test_an_arm_that_is_no_better_at_home_needs_to_beat_the_fallback():
    returns = np.tile(np.array([-11.0, -10.0])[:, None], 4)
    fall_back = lambda returns: choose_one("round_robin_mean", returns, [-50.0], 1.0)[0]
    assert fall_back(returns) == 1
    assert fall_back(np.add(returns, [[2.0], [0.0]])) == 0


def test_fewer_pulls_than_arms():
    """The best of the arms that could be tried."""
    returns = -np.arange(5.0)[::-1, None] * np.ones([5, 3])
    for rule in ("round_robin_mean", "successive_halving"):
        arm, pulls = choose_one(rule, returns)
        np.testing.assert_array_equal(pulls, [1, 1, 1, 0, 0])
        assert arm == 2


def test_a_return_that_is_no_number_is_the_worst():
    """And its episode is not played again."""
    returns = np.float32([[[np.nan, 0.0], [-9.0, -9.0]]])
    table = play("round_robin_mean", returns)
    np.testing.assert_array_equal(table, [[[-np.inf, np.nan], [-9, np.nan]]])
    assert bandit.best_arm("round_robin_mean", table) == 1


def test_unknown_rule():
    table = np.zeros([1, 2, 2], np.float32)
    for function, *more in (
        (bandit.num_pulls, 2, 2, False),
        (bandit.next_arm, table, KEY, False),
        (bandit.best_arm, table),
    ):
        with pytest.raises(ConfigError, match=r"rule='greedy'") as error:
            function("greedy", *more)
        assert all(rule in str(error.value) for rule in bandit.RULES)
