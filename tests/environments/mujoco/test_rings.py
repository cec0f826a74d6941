"""MAESN's rings: their places, and what dense and sparse rewards pay."""

import numpy as np
import pytest
import tensorflow as tf

from tests.environments.mujoco import playing
from tfcaml import nest
from tfcaml.environments import AntRing, AntRingConfig, RingConfig, WheeledRing
from tfcaml.environments.mujoco import sparse
from tfcaml.environments.mujoco.simulation import Robot
from tfcaml.errors import ConfigError

ANT, CART = AntRing(), WheeledRing()
both = pytest.mark.parametrize("family", [ANT, CART], ids=["ant", "wheeled"])


@both
def test_places_are_on_the_half_circle(family):
    population = family.population(0, 40)
    train, test = (x["goal"].numpy() for x in population[:2])
    assert train.shape == (100, 2) and population.draw is None
    goals = np.concatenate([train, test])
    np.testing.assert_allclose(np.linalg.norm(goals, axis=1), 2, rtol=1e-6)
    angle = np.arctan2(goals[:, 1], goals[:, 0])
    assert 0 <= angle.min() < 0.2 and np.pi - 0.2 < angle.max() <= np.pi
    assert abs(angle.mean() - np.pi / 2) < 0.4


@both
def test_places_are_the_seeds(family):
    """Those that are learned from do not hang on how many there are to adapt to."""
    one, other = family.population(0, 3), family.population(0, 40)
    for name in ("goal", "sparse"):
        np.testing.assert_array_equal(one.train[name], other.train[name])
        np.testing.assert_array_equal(one.test[name], other.test[name][:3])
    assert (one.train["goal"].numpy() != family.population(1, 3).train["goal"].numpy()).any()


def test_tasks_to_adapt_to_are_never_learned_from():
    """They are made of the odd points of the grid, and those to learn from of the even ones."""
    for odd, unit in enumerate(sparse.apart(0, 50, 60, 3)):
        point = unit.numpy().astype(np.float64) * 2**21
        assert unit.shape == (50 + 10 * odd, 3) and np.all(point % 2 == odd)


def test_rewards_are_entries_of_tasks():
    population = CART.population(0, 5)
    assert (population.train["sparse"].numpy() == 0).all()
    assert (population.test["sparse"].numpy() == 1).all()
    options = {"train_reward": "sparse", "test_reward": "dense", "num_train": 7}
    population = WheeledRing(RingConfig(**options)).population(0, 5)
    assert population.train["sparse"].numpy().tolist() == [1] * 7
    assert (population.test["sparse"].numpy() == 0).all()


def test_options_that_cannot_act_are_refused():
    with pytest.raises(ConfigError, match=r"sparse_radius to be left at 0\.8, .*sparse reward"):
        RingConfig(test_reward="dense", sparse_radius=0.5)
    with pytest.raises(
        ConfigError, match="expected train_reward to be one of dense, sparse; received"
    ):
        RingConfig(train_reward="rare")


GOALS = [[0.0, 2.0], [2.0, 0.0], [0.0, 2.0], [2.0, 0.0]]
TASK = {"goal": tf.constant(GOALS), "sparse": tf.constant([0.0, 0.0, 1.0, 1.0])}


def test_a_cart_is_paid():
    """Near a goal as by the dense reward, elsewhere as at the start."""
    state, _ = playing.start(CART, TASK)
    positions = playing.positions(CART, state)
    positions[:, :2] = [0.1, 1.3]
    action = [0.5, -3.0]
    state, _, reward, ended = playing.step(CART, TASK, playing.put(CART, state, positions), action)
    offset = playing.positions(CART, state)[:, :2] - GOALS
    distance = np.linalg.norm(offset, axis=1)
    assert (distance < 0.8).tolist() == [True, False, True, False]
    told = [distance[0], distance[1], distance[2], 2]
    cost = 0.05 * (1.0**2 + 2.0**2)  # motors within +-2
    np.testing.assert_allclose(reward, -np.array(told) - cost, rtol=1e-5)
    assert not ended.any()


def test_an_ant_is_paid():
    """By the distances along both axes, of the centre of mass."""
    state, _ = playing.start(ANT, TASK)
    positions = playing.positions(ANT, state)
    positions[:, :2] = [0.2, 1.4]
    action = np.linspace(-2, 0.9, 8)
    state, seen, reward, ended = playing.step(ANT, TASK, playing.put(ANT, state, positions), action)
    offset = seen[:, -3:-1] - GOALS
    assert (np.linalg.norm(offset, axis=1) < 0.8).tolist() == [True, False, True, False]
    assert np.abs(seen[:, -3:-1] - [0.2, 1.4]).max() < 0.1
    length = np.abs(offset).sum(axis=1)
    told = np.array([length[0], length[1], length[2], 2])
    cost = 0.005 * np.sum(np.maximum(action, -1) ** 2)
    np.testing.assert_allclose(reward, 4 - told - cost + 0.05, rtol=1e-5)
    assert not ended.any()


def test_sparse_rewards_are_level_away_from_the_goal():
    """Whatever way a robot goes there, it is told nothing."""
    task = nest.map(lambda x: tf.repeat(x[2:3], 3, axis=0), TASK)
    state, _ = playing.start(CART, task)
    positions = playing.positions(CART, state)
    positions[:, :2] = [[0, 0], [0, 1.1], [-5, 0]]
    *_, reward, _ = playing.step(CART, task, playing.put(CART, state, positions))
    np.testing.assert_array_equal(reward, [-2] * 3)


def test_starts():
    """Positions scatter a tenth as much as velocities."""
    task = nest.map(lambda x: tf.repeat(x[:1], 60, axis=0), TASK)
    for family in (ANT, CART):
        state, _ = playing.start(family, task)
        moved = playing.positions(family, state) - family.pose()
        assert abs(moved.std() / 0.01 - 1) < 0.15
        assert abs(playing.velocities(family, state).std() / 0.1 - 1) < 0.15
    assert ANT.pose()[2] == 0.55


def test_ends_and_motors():
    heights = [0.19, 0.21, 0.99, 1.01]
    positions = np.tile(ANT.pose(), [4, 1, 1]).astype(np.float32)
    positions[:, 0, 2] = heights
    body = Robot(tf.constant(positions), tf.zeros([4, 1, 14]), tf.zeros([4, 1, 0]))
    assert ANT.ended(TASK, body)[:, 0].numpy().tolist() == [True, False, False, True]
    assert (ANT.model.actuator_gear[:, 0] == 30).all()
    assert (AntRing(AntRingConfig(gear=150.0)).model.actuator_gear[:, 0] == 150).all()
    np.testing.assert_array_equal(CART.model.actuator_ctrlrange, [[-2, 2]] * 2)
    for family in (ANT, CART):
        assert family.seconds_per_step == 0.01 and family.horizon == 200
        np.testing.assert_array_equal(family.planar_goal(TASK), GOALS)
        np.testing.assert_array_equal(family.goal(TASK)[:, :2], GOALS)
