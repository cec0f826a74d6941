"""Point ring: where goals lie, what is paid, and that distances are paid in training alone."""

import numpy as np
import pytest
import tensorflow as tf

from tfcaml.environments import PointRing, PointRingConfig
from tfcaml.errors import ConfigError


def task(goal, sparse):
    return {"goal": tf.constant([goal], tf.float32), "sparse": tf.constant([sparse])}


def step(family, of, position, action=(0.0, 0.0)):
    tensor = lambda x: tf.constant(x, tf.float32)[None, None]
    return [np.asarray(x)[0, 0] for x in family.step(of, tensor(position), tensor(action), None)]


def test_a_step():
    family = PointRing()
    state, observation, reward, ended = step(family, task([0, 2], 0.0), [0.1, 0.2], [0.5, -3.0])
    np.testing.assert_allclose(state, [0.15, 0.1], atol=1e-6)
    np.testing.assert_array_equal(observation, state)
    np.testing.assert_allclose(reward, 2 - np.hypot(0.15, 1.9), rtol=1e-5)
    assert not ended
    wide = PointRing(PointRingConfig(action_range=10.0))
    np.testing.assert_allclose(step(wide, task([0, 2], 0.0), [0, 0], [5, -50])[0], [0.05, -0.1])


def test_a_sparse_reward_is_that_of_the_distance_near_the_goal_and_nothing_elsewhere():
    family = PointRing(PointRingConfig(sparse_radius=0.3))
    goal = [2 * np.sin(0.3), 2 * np.cos(0.3)]
    for away, dense, sparse in ((0.25, 1.75, 1.75), (0.35, 1.65, 0.0), (3.0, -1.0, 0.0)):
        place = [goal[0], goal[1] - away]
        rewards = [step(family, task(goal, kind), place)[2] for kind in (0.0, 1.0)]
        np.testing.assert_allclose(rewards, [dense, sparse], rtol=1e-5)
        assert sparse or rewards[1] == 0


@pytest.mark.parametrize("arc, lowest", [("semicircle", 0.0), ("ring", -1.0)])
def test_goals(arc, lowest):
    population = PointRing(PointRingConfig(arc=arc, num_train=50)).population(0, 200)
    for tasks, number in ((population.train, 50), (population.test, 200)):
        goal = tasks["goal"].numpy() / 2
        assert goal.shape == (number, 2)
        np.testing.assert_allclose(np.linalg.norm(goal, axis=1), 1, rtol=1e-5)
        assert lowest <= goal[:, 1].min() < lowest + 0.1 and goal[:, 1].max() > 0.9
        assert goal[:, 0].min() < -0.9 and goal[:, 0].max() > 0.9
    assert not population.train["sparse"].numpy().any() and population.test["sparse"].numpy().all()
    assert population.draw is None


def test_rewards_of_training_and_of_tests_are_chosen():
    config = PointRingConfig(train_reward="sparse", test_reward="dense")
    population = PointRing(config).population(0, 3)
    assert population.train["sparse"].numpy().all() and not population.test["sparse"].numpy().any()
    with pytest.raises(ConfigError, match=r"sparse_radius to be left at 0\.6"):
        PointRingConfig(train_reward="dense", test_reward="dense", sparse_radius=0.5)
    for name, value in (("arc", "square"), ("train_reward", "none"), ("radius", 0.0)):
        with pytest.raises(ConfigError, match=name):
            PointRingConfig(**{name: value})
