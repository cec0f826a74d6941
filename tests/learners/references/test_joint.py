import numpy as np
import pytest
import tensorflow as tf

import tfcaml
from tfcaml import keys, nest
from tfcaml.errors import ConfigError
from tfcaml.learners.references.joint import (
    Joint,
    JointConfig,
    JointMixed,
    RandomInitialization,
    RandomInitializationConfig,
)
from tfcaml.training import train_iteration

TINY = {"inner_updates": 2, "episodes_per_update": 3, "inner_learning_rate": 0.1}


@pytest.fixture(scope="module")
def trained(particle, policy, population):
    learner = Joint(particle, policy, JointConfig(num_iterations=3, **TINY), seed=1)
    initial = nest.map(tf.identity, learner.meta.read())
    history = tfcaml.train(learner, population, seed=2)
    return learner, initial, history


def test_one_policy_goes_from_entity_to_entity(trained):
    """With its optimiser state: three iterations of two updates."""
    learner, initial, history = trained
    final = learner.meta.read()
    np.testing.assert_array_equal(initial.slots["count"], [0])
    np.testing.assert_array_equal(final.slots["count"], [6])
    assert any(np.abs(a - b).max() > 0.1 for a, b in zip(initial.params, final.params))
    assert len(history) == 3
    expected = {"return_before", "return_last_update", "bad_update"}
    assert all(expected == set(metrics) for metrics in history)


def test_update_takes_the_adapted_weights_over(particle, policy):
    learner = Joint(particle, policy, JointConfig(**TINY))
    fast = nest.map(lambda x: x + 1, learner.meta.read())
    metrics = learner.update((fast, tf.constant([[-3.0], [-2.0]])))
    for new, old in zip(tf.nest.flatten(learner.meta.read()), tf.nest.flatten(fast)):
        np.testing.assert_array_equal(new, old)
    assert float(metrics["return_before"]) == -3 and float(metrics["return_last_update"]) == -2


def test_every_new_entity_starts_from_it_with_a_fresh_optimizer(trained):
    learner, _, _ = trained
    fast = learner.start(learner.meta.read(), 3)
    for rows, params in zip(fast.params, learner.meta.read().params):
        for row in rows:
            np.testing.assert_array_equal(row, params[0])
    np.testing.assert_array_equal(fast.slots["count"], [0, 0, 0])


def test_one_entity_at_a_time():
    with pytest.raises(ConfigError, match="meta_batch_size to be 1; received meta_batch_size=2"):
        JointConfig(meta_batch_size=2)


def test_random_initialization_is_that_of_the_seed(particle, policy, population):
    learner = RandomInitialization(
        particle, policy, RandomInitializationConfig(episodes_per_update=3), seed=4
    )
    assert tfcaml.train(learner, population) == []
    fast, trials = learner.choose_start(learner.meta.read(), population.test, None)
    assert trials == {}
    for rows, params in zip(fast.params, policy.init(4)):
        for row in rows:
            np.testing.assert_array_equal(row, params)
    with pytest.raises(ConfigError, match="num_iterations to be left at 0, as it acts only in tr"):
        RandomInitializationConfig(num_iterations=1)


@pytest.mark.slow
def test_joint_mixed_learns_from_an_episode_of_each_entity(particle, policy, population):
    learner = JointMixed(particle, policy, JointConfig(episodes_per_update=4, inner_updates=2))
    task, _ = learner.training_tasks(population, keys.from_int(3))
    assert nest.leading(task) == 4
    fast = learner.start(learner.meta.read(), 1)
    batch = learner.support(None, fast, task, keys.from_int(1), 4).trajectory
    assert batch.reward.shape == (1, 4, particle.horizon)
    moves = tf.gather(task["displacement"], batch.action[0], batch_dims=1)  # each its own entity's
    np.testing.assert_allclose(
        batch.final_observation[0], 0.1 * np.sum(moves, axis=1), rtol=1e-3, atol=1e-4
    )
    before = learner.meta.read().params
    metrics = train_iteration(learner, population, seed=0)
    assert metrics["return_before"] != metrics["return_last_update"]
    assert any(np.abs(a - b).max() > 0 for a, b in zip(before, learner.meta.read().params))
