import numpy as np
import pytest

import tfcaml
from tfcaml import nest
from tfcaml.errors import ConfigError
from tfcaml.learners.references.matched import Matched, MatchedConfig, Unmatched
from tfcaml.training import train_iteration

TINY = {"num_iterations": 2, "episodes_per_update": 3, "inner_learning_rate": 0.1}


@pytest.mark.slow
def test_matched_policies_are_trained_on_the_held_out_entities(particle, policy, population):
    learner = Matched(particle, policy, MatchedConfig(**TINY))
    task, _ = learner.training_tasks(population, None)
    np.testing.assert_array_equal(task["displacement"], population.test["displacement"])
    before = learner.meta.read().params
    tfcaml.train(learner, population)
    after = learner.meta.read().params
    for old, new in zip(before, after):
        np.testing.assert_array_equal(old[0], old[1])  # one initialisation for all
        assert np.abs(new[0] - new[1]).max() > 0
    result = tfcaml.evaluate(learner, population.test, num_updates=1, num_episodes=2)
    assert result.returns.shape == (2, 3, 2)


def test_unmatched_policies_are_trained_on_entities_of_other_groups(particle, policy, population):
    learner = Unmatched(particle, policy, MatchedConfig(**TINY))
    task, _ = learner.training_tasks(population, None)
    assert (population.groups_of(task) != population.test_group).all()
    assert nest.leading(task) == 3
    train_iteration(learner, population, seed=0)


def test_number_of_policies_is_that_of_held_out_entities(particle, policy, population):
    learner = Matched(particle, policy, MatchedConfig(**TINY, meta_batch_size=2))
    for call in (
        lambda: train_iteration(learner, population, seed=0),
        lambda: tfcaml.evaluate(learner, population.test),
    ):
        with pytest.raises(ConfigError, match=r"meta_batch_size to be 3, .*meta_batch_size=2"):
            call()
