"""All-walk: what is seen and paid, where goals lie, and that tests have goals of their own."""

import numpy as np
import pytest
import tensorflow as tf

from tests.environments.native import points
from tfcaml import keys
from tfcaml.environments import AllWalk, AllWalkConfig, check
from tfcaml.errors import ConfigError


def task(*goals):
    return {"goal": tf.constant(goals, tf.float32)}


@pytest.mark.parametrize(
    "action, place",
    [(0, [390, 5]), (1, [410, 5]), (2, [370, 5]), (3, [390, 25]), (4, [390, -15])],
)
def test_a_step(action, place):
    """Coordinates are seen as they are, and distances along both axes add up."""
    start, of = np.array([390, 5], np.float32), task([100, 300])
    state, seen, reward, ended = points.step(AllWalk(), of, start, action)
    np.testing.assert_array_equal(state, place)
    np.testing.assert_array_equal(seen, state)
    distance = abs(place[0] - 100) + abs(place[1] - 300)
    np.testing.assert_allclose(reward, -distance / 5000, rtol=1e-6)
    assert not ended
    other = AllWalk(AllWalkConfig(observation_unit=400.0, reward_unit=100.0, move=5.0))
    state, seen, reward, _ = points.step(other, of, start, action)
    np.testing.assert_array_equal(state, start + points.MOVES[action] / 4)
    np.testing.assert_allclose(seen, state / 400, rtol=1e-6)
    np.testing.assert_allclose(reward, -np.abs(state - [100, 300]).sum() / 100, rtol=1e-6)


def test_episodes_start_in_the_middle_of_where_goals_lie():
    """As seen from the start, of which pictures take the place to be (0, 0)."""
    for unit in (1.0, 400.0):
        family = AllWalk(AllWalkConfig(observation_unit=unit))
        tasks = family.population(0, 400).test
        state, seen = family.reset(tasks, keys.per_episode(keys.from_int(0), 400, 2))
        np.testing.assert_array_equal(state, np.full([400, 2, 2], 200))
        np.testing.assert_array_equal(seen, np.full([400, 2, 2], 200 / unit, np.float32))
        np.testing.assert_allclose(family.planar_positions(seen.numpy()), 0, atol=1e-4)
        np.testing.assert_array_equal(family.planar_goal(tasks), tasks["goal"] - 200.0)
        step = family.step(tasks, state, tf.fill([400, 2], 1), tf.zeros([400, 2, 0]))
        moved = family.planar_positions(step[1].numpy())
        np.testing.assert_allclose(moved - [20, 0], 0, atol=1e-4)


def test_goals_are_anywhere_in_the_square_and_none_is_in_both_sets():
    population = AllWalk().population(0, 1000)
    drawn = population.draw(1000, keys.from_int(1))
    for tasks in (population.test, population.train, drawn):
        goal = tasks["goal"].numpy()
        assert goal.shape == (1000, 2) and goal.min() >= 0 and goal.max() <= 400
        np.testing.assert_allclose(goal.mean(axis=0), 200, atol=4 * 400 / np.sqrt(12 * 1000))
        assert (goal.min(axis=0) < 5).all() and (goal.max(axis=0) > 395).all()
        assert abs(np.corrcoef(goal.T)[0, 1]) < 4 / np.sqrt(1000)
    known = {*drawn["goal"].numpy().ravel(), *population.train["goal"].numpy().ravel()}
    assert not known & set(population.test["goal"].numpy().ravel())
    again = population.draw(1000, keys.from_int(2))
    assert (again["goal"].numpy() != drawn["goal"].numpy()).any(axis=1).all()


def test_the_shortest_way_is_paid_as_by_hand():
    """Going along one axis after the other, as greedy points do, and staying at the end."""
    goal = np.array([260.0, 120.0])  # three and four moves away
    family, of = AllWalk(), task(goal)
    target = tf.constant(np.broadcast_to(goal, [1, 3, 2]), tf.float32)
    act = lambda state: points.greedy({"position": state}, target)
    left = [120, 100, 80, 60, 40, 20]  # along both axes, after each but the last of seven moves
    _, found = points.played(family, act, of, 3)
    np.testing.assert_allclose(found, np.full([1, 3], -sum(left) / 5000), rtol=1e-5)


def test_it_can_be_learned_in():
    check(AllWalk(), quiet=True)


def test_mistakes_are_one_line():
    for name in ("move", "reward_unit", "observation_unit", "horizon"):
        with pytest.raises(ConfigError, match=f"^expected {name} to be > 0; received {name}=0"):
            AllWalkConfig(**{name: 0})
