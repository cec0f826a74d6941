"""Every number that an iteration returns has a description."""

import pytest

from tests.eager import eagerly
from tests.test_repeatability import TRAINED, small
from tfcaml import environments, learners, policies, training

# One of those that share all that makes numbers.
_CALLED = ("update", "after_update", "after_iteration", "metrics")
DISTINCT = {
    tuple(getattr(learners.LEARNERS[name], called) for called in _CALLED): name for name in TRAINED
}


def _check(learner, population):
    with eagerly():
        returned = training.train_iteration(learner, population, 0)
    described = learner.metrics
    assert set(returned) - {"bad_update"} <= set(described), learner
    for metric in described.values():
        assert not metric.description[0].islower() and metric.description.endswith(".")
    return returned


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(DISTINCT.values()))
def test_numbers_of_every_learner_are_described(name):
    _check(*small(name))


@pytest.mark.slow
@pytest.mark.parametrize("outer", [{"optimizer": "trpo"}, {"optimizer": "ppo", "steps": 2}])
def test_numbers_of_outer_steps_are_described(outer):
    family = environments.Navigation(environments.NavigationConfig(horizon=2))
    policy = policies.mlp_policy(family.observation_spec, family.action_spec, (4,))
    settings = {"meta_batch_size": 2, "episodes_per_update": 2, "inner_updates": 2}
    config = learners.MAML.Config(**settings, outer=outer)
    returned = _check(learners.MAML(family, policy, config), family.population(0, 2))
    assert {"return_1", "loss_after"} <= set(returned)


@pytest.mark.slow
def test_clusters_are_two_numbers_however_many_there_are():
    """Not a chart for each cluster."""
    learner, population = small("caml")
    with eagerly():
        for _ in range(2):
            returned = training.train_iteration(learner, population, 0)
    sizes = {name: value for name, value in returned.items() if "cluster" in name}
    assert set(sizes) == {
        "num_clusters", "smallest_cluster", "largest_cluster", "clustering_cost",
    }  # fmt: skip
    assert 1 <= sizes["smallest_cluster"] <= sizes["largest_cluster"]
