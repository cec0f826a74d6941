"""MAML inside the clusters of CAML."""

import numpy as np
import pytest

import tfcaml
from launchers.studies.caml.cluster_maml import ClusterMAML
from tfcaml import keys, learners, nest
from tfcaml.learners.caml import CAMLConfig


@pytest.fixture(scope="module")
def caml(particle, policy, constant_action):
    """Two medoids that always take action 0 and action 3."""
    choice = {"trial_episodes": 4, "min_transfer": 0.0}
    config = CAMLConfig(num_medoids=2, choice=choice, episodes_per_update=3)
    learner = learners.CAML(particle, policy, config)
    meta = learner.meta.read()
    medoids = meta["medoids"]["fast"]
    meta["medoids"]["fast"] = medoids._replace(
        params=nest.map(lambda x: 0.1 * x, constant_action([0, 3]))
    )
    learner.meta.write(meta)
    return learner


@pytest.mark.slow
def test_each_medoid_is_trained_on_the_entities_it_suits(caml, population):
    before = [variable.numpy() for variable in caml.variables]
    learner = ClusterMAML(caml, num_iterations=1)
    learner.train_clusters(population.train, seed=0)
    for variable, value in zip(caml.variables, before):
        np.testing.assert_array_equal(variable, value)
    old, new = (caml.arms(meta) for meta in (caml.meta.read(), learner.clusters))
    moved = [np.abs(a - b).reshape(len(a), -1).max(axis=1) for a, b in zip(old, new)]
    assert (np.max(moved, axis=0)[:2] > 0).all()  # both medoids suit some entity
    assert np.max(moved, axis=0)[2] == 0  # the initial weights stay the fallback


@pytest.mark.slow
def test_new_entities_choose_and_adapt_by_mamls_step(caml, population):
    learner = ClusterMAML(caml, num_iterations=1)
    fast, metrics = learner.choose_start(learner.meta.read(), population.test, keys.from_int(1))
    chosen = nest.take(caml.arms(learner.clusters), metrics["chosen_medoid"])
    for value, expected in zip(fast.params, chosen):
        np.testing.assert_array_equal(value, expected)
    np.testing.assert_array_equal(fast.slots, 0)
    found = tfcaml.evaluate(learner, population.test, num_updates=1, num_episodes=2)
    assert np.isfinite(found.returns).all()
