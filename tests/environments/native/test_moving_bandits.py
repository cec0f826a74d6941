"""Moving bandits: what is seen, which goal is paid for, and what greedy policies get."""

import numpy as np
import pytest
import tensorflow as tf

from tests.environments.native import points
from tfcaml import keys
from tfcaml.environments import MovingBandits, MovingBanditsConfig, check
from tfcaml.errors import ConfigError

EPISODES = 10_000  # of each task


def task(*right):
    return {"right": tf.constant(right, tf.int32)}


@pytest.mark.parametrize(
    "action, move", [(0, [0, 0]), (1, [20, 0]), (2, [-20, 0]), (3, [0, 20]), (4, [0, -20])]
)
def test_a_step(action, move):
    """There is no wall to stop it, and what is seen is divided by the side of the square."""
    family, goals = MovingBandits(), np.array([[390, 300], [10, 20]], np.float32)
    state = {"position": np.array([395, 5], np.float32), "goals": goals}
    after, seen, reward, ended = points.step(family, task(1), state, action)
    np.testing.assert_array_equal(after["position"], [395 + move[0], 5 + move[1]])
    np.testing.assert_array_equal(after["goals"], goals)
    expected = np.array([*after["position"], 390, 300, 10, 20], np.float32) / 400
    np.testing.assert_array_equal(seen, expected)
    assert reward == 0 and not ended


@pytest.mark.parametrize("right", [0, 1])
def test_steps_near_the_real_goal_are_paid_for(right):
    """Less than 50 away, of which 30, 40 is the limit; near the other goal nothing is paid."""
    goals = np.array([[300, 300], [100, 100]], np.float32)
    for index, offset, paid in [(0, (29, 40), 1), (0, (30, 40), 0), (1, (29, 40), 1)]:
        state = {"position": goals[index] + np.array(offset, np.float32), "goals": goals}
        reward = points.step(MovingBandits(), task(right), state, 0)[2]
        assert reward == (paid and index == right)
    wide = MovingBandits(MovingBanditsConfig(radius=51.0))
    edge = {"position": goals[0] + np.array([30, 40], np.float32), "goals": goals}
    assert points.step(wide, task(0), edge, 0)[2] == 1
    # What counts is where a step ends.
    state = {"position": goals[right] + np.array([-60, 0], np.float32), "goals": goals}
    assert points.step(MovingBandits(), task(right), state, 1)[2] == 1
    assert points.step(MovingBandits(), task(right), state, 0)[2] == 0


def test_goals_are_anywhere_in_the_square_and_the_same_in_both_tasks():
    family = MovingBandits()
    state, seen = family.reset(task(0, 1), keys.per_episode(keys.from_int(0), 1, 2000))
    np.testing.assert_array_equal(seen[..., :2], np.full([1, 2000, 2], 0.5))
    goals = state["goals"].numpy()[0]
    np.testing.assert_array_equal(seen[0, :, 2:], goals.reshape(2000, 4) / 400)
    assert goals.min() >= 0 and goals.max() <= 400
    np.testing.assert_allclose(goals.mean(axis=0), 200, atol=4 * 400 / np.sqrt(12 * 2000))
    for number in (goals[:, 0, 0], goals[:, 1, 1]):  # flat: a tenth in each tenth
        counts = np.histogram(number, 10, (0, 400))[0]
        assert abs(counts - 200).max() < 4 * np.sqrt(200 * 0.9)
    assert abs(np.corrcoef(goals.reshape(2000, 4).T) - np.eye(4)).max() < 4 / np.sqrt(2000)


# Which goal is gone for by whom -> the mean return of 20,000 episodes that was measured once with
# the numbers of MLSH's code.
GREEDY = {"right": 43.75, "wrong": 2.25, "coin": 23.0}


@pytest.mark.parametrize("who", GREEDY)
def test_greedy_policies_get_what_was_measured(who):
    """Within three standard errors of the two measurements, and half of the last digit."""
    family, both = MovingBandits(), task(0, 1)
    coin = np.random.default_rng(0).integers(0, 2, [2, EPISODES])
    own = np.repeat([[0], [1]], EPISODES, axis=1)
    index = tf.constant({"right": own, "wrong": 1 - own, "coin": coin}[who])
    act = lambda state: points.greedy(state, tf.gather(state["goals"], index, axis=2, batch_dims=2))
    _, found = points.played(family, act, both, EPISODES)
    error = found.std() * np.sqrt(1 / EPISODES + 1 / 20_000)  # goals are shared by both tasks
    assert abs(found.mean() - GREEDY[who]) < 3 * error + 0.005
    assert error < 0.3 and found.max() <= 50


def test_both_tasks_are_learned_from_and_tested():
    family = MovingBandits()
    population = family.population(0, 5)
    np.testing.assert_array_equal(population.train["right"], [0, 1])
    np.testing.assert_array_equal(population.test["right"], [0, 1, 0, 1, 0])
    np.testing.assert_array_equal(population.test_group, [0, 1, 0, 1, 0])
    assert population.draw is None and not family.holds_out
    drawn, index = population.sample(200, keys.from_int(0))
    np.testing.assert_array_equal(drawn["right"], index)
    assert 60 < np.sum(index) < 140
    with pytest.raises(ConfigError, match="num_test"):
        family.population(0, 0)


def test_it_can_be_learned_in():
    check(MovingBandits(), num_episodes=20, quiet=True)


def test_mistakes_are_one_line():
    for name in ("move", "radius", "observation_unit", "horizon"):
        with pytest.raises(ConfigError, match=f"^expected {name} to be > 0; received {name}=0"):
            MovingBanditsConfig(**{name: 0})
