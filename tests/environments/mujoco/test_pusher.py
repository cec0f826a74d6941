"""MAESN's pusher: layouts, what is observed, and what dense and sparse rewards pay."""

import numpy as np
import pytest
import tensorflow as tf

from tests.environments.mujoco import playing
from tfcaml import nest
from tfcaml.environments import Pusher, PusherConfig
from tfcaml.errors import ConfigError

PUSHER = Pusher()


@pytest.fixture(scope="module")
def population():
    return PUSHER.population(0, 23)


def test_a_layout_has_a_task_for_each_block(population):
    train = nest.map(np.asarray, population.train)
    assert train["blocks"].shape == (100, 5, 2)
    layouts = train["blocks"].reshape(20, 5, 5, 2)
    assert (layouts == layouts[:, :1]).all()
    assert len(np.unique(layouts[:, 0, 0, 0])) == 20
    np.testing.assert_array_equal(train["block"].reshape(20, 5), [range(5)] * 20)
    assert len(np.unique(train["goal"], axis=0)) == 100
    test = nest.map(np.asarray, population.test)
    np.testing.assert_array_equal(test["block"], np.arange(23) % 5)
    assert not np.isin(test["blocks"][:, 0, 0], train["blocks"][:, 0, 0]).any()
    np.testing.assert_array_equal(population.train_group, train["block"])


def test_each_block_has_a_lane_of_its_own(population):
    for task in (population.train, population.test):
        blocks, goal = task["blocks"].numpy(), task["goal"].numpy()
        assert (blocks[..., 0] > 0.35).all() and (blocks[..., 0] < 0.65).all()
        lane = np.floor((blocks[..., 1] + 0.5) / 0.2)
        np.testing.assert_array_equal(np.sort(lane, axis=1), [range(5)] * len(lane))
        assert (goal[:, 0] > 0.75).all() and (goal[:, 0] < 0.95).all()
        own = np.take_along_axis(lane, task["block"].numpy()[:, None], axis=1)[:, 0]
        np.testing.assert_array_equal(np.floor((goal[:, 1] + 0.5) / 0.2), own)
    lanes = np.floor((population.train["blocks"].numpy()[::5, :, 1] + 0.5) / 0.2)
    assert len(np.unique(lanes, axis=0)) > 10  # in many orders


def test_layouts_are_the_seeds():
    few, many = PUSHER.population(0, 3), PUSHER.population(0, 12)
    for name in few.train:
        np.testing.assert_array_equal(few.train[name], many.train[name])
        np.testing.assert_array_equal(few.test[name], many.test[name][:3])
    other = Pusher(PusherConfig(num_layouts=2)).population(1, 3)
    assert len(other.train["block"]) == 10
    assert (other.test["blocks"].numpy() != few.test["blocks"].numpy()).all()


def test_episodes_start_with_blocks_where_the_task_has_them(population):
    task = nest.take(population.train, range(60))
    state, seen = playing.start(PUSHER, task)
    blocks = playing.positions(PUSHER, state)[:, 3:].reshape(-1, 5, 2)
    spread = blocks - task["blocks"].numpy()
    assert abs(spread.std() / 0.01 - 1) < 0.15
    assert abs(playing.positions(PUSHER, state)[:, :3].std() / 0.01 - 1) < 0.2
    assert (playing.velocities(PUSHER, state) == 0).all()
    expected = [playing.positions(PUSHER, state), playing.velocities(PUSHER, state)]
    np.testing.assert_allclose(seen[:, 0], np.concatenate(expected, axis=1), rtol=1e-6)


def test_blocks_are_paid_for_by_their_distance(population):
    """Sparse rewards tell it within 0.2 m, and are level elsewhere."""
    chosen = nest.take(population.train, [2, 3, 2, 3])
    task = {**chosen, "sparse": tf.constant([0.0, 0.0, 1.0, 1.0])}
    blocks, goal = task["blocks"].numpy().copy(), task["goal"].numpy()
    blocks[[0, 2], 2] = goal[[0, 2]] + [0.05, -0.1]  # near
    positions = np.concatenate([np.zeros([4, 3]), blocks.reshape(4, 10)], axis=1)
    state = playing.put(PUSHER, playing.start(PUSHER, task)[0], positions)
    state, _, reward, ended = playing.step(PUSHER, task, state, [1.0, -1.0, 0.3])
    found = playing.positions(PUSHER, state)[:, 3:].reshape(4, 5, 2)
    distance = np.linalg.norm(found[range(4), task["block"].numpy()] - goal, axis=1)
    assert (distance < 0.2).tolist() == [True, False, True, False]
    told = [distance[0], distance[1], distance[2], np.linalg.norm(goal[3])]
    np.testing.assert_allclose(reward, -5 * np.array(told), rtol=1e-5)
    assert not ended.any()


def test_a_gripper_pushes_the_block_before_it(population):
    """And the others stay where they are."""
    task = nest.take(population.train, [0])
    state, _ = playing.start(PUSHER, task)
    blocks = np.array([[0.3, 0.0], [0.5, 0.4], [0.5, -0.4], [0.6, 0.6], [0.6, -0.6]])
    before = np.concatenate([[0.12, 0, 0], blocks.ravel()])
    state = playing.put(PUSHER, state, before)
    for _ in range(60):
        state, *_ = playing.step(PUSHER, task, state, [1.0, 0.0, 0.0])
    moved = playing.positions(PUSHER, state)[0] - before
    assert moved[0] > 0.1 and moved[3] > 0.05
    assert np.abs(moved[5:]).max() < 1e-6


def test_options_that_cannot_act_are_refused():
    with pytest.raises(ConfigError, match=r"sparse_radius to be left at 0\.2, .*sparse reward"):
        PusherConfig(test_reward="dense", sparse_radius=0.5)


def test_films_show_the_goal_on_the_table(population):
    where = PUSHER.goal(population.test).numpy()
    np.testing.assert_array_equal(where[:, :2], population.test["goal"])
    assert (where[:, 2] == where[0, 2]).all() and -0.33 < where[0, 2] < -0.3
