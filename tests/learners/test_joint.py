import numpy as np
import pytest
import tensorflow as tf

import tfcaml
from tfcaml import nest
from tfcaml.errors import ConfigError
from tfcaml.learners.joint import (
    Joint,
    JointConfig,
    RandomInitialization,
    RandomInitializationConfig,
)

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
    assert all({"return_before", "return_after"} == set(metrics) for metrics in history)


def test_update_takes_the_adapted_weights_over(particle, policy):
    learner = Joint(particle, policy, JointConfig(**TINY))
    fast = nest.map(lambda x: x + 1, learner.meta.read())
    metrics = learner.update((fast, tf.constant([[-3.0], [-2.0]])))
    for new, old in zip(tf.nest.flatten(learner.meta.read()), tf.nest.flatten(fast)):
        np.testing.assert_array_equal(new, old)
    assert float(metrics["return_before"]) == -3 and float(metrics["return_after"]) == -2


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
    learner = RandomInitialization(particle, policy, RandomInitializationConfig(**TINY), seed=4)
    assert tfcaml.train(learner, population) == []
    fast, trials = learner.try_out(learner.meta.read(), population.query, None)
    assert trials == {}
    for rows, params in zip(fast.params, policy.init(4)):
        for row in rows:
            np.testing.assert_array_equal(row, params)
    with pytest.raises(NotImplementedError):
        tfcaml.train(
            RandomInitialization(particle, policy, RandomInitializationConfig(num_iterations=1)),
            population,
        )
