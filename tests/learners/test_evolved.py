"""Evolution as the outer step of other learners, by its name."""

import numpy as np
import pytest
import tensorflow as tf

import tfcaml
from tests.eager import PlainPolicy, eagerly
from tests.learners.checks import assert_resumes, collected
from tfcaml import environments, learners, nest
from tfcaml.agents import MetaAgent
from tfcaml.errors import ConfigError
from tfcaml.learners import LEARNERS
from tfcaml.learners.gradient_based import GradientLearner, Offspring
from tfcaml.types import episode_return

SIZES = {
    "num_iterations": 3,
    "meta_batch_size": 2,
    "episodes_per_update": 3,
    "outer": {"optimizer": "evolution_strategy", "population": 4, "learning_rate": 0.05},
}
EVOLVE = ("anil", "cavia", "maml", "meta_sgd")


@pytest.fixture(scope="module")
def family():
    return environments.Navigation(environments.NavigationConfig(horizon=4))


@pytest.fixture(scope="module")
def learner(family):
    policy = PlainPolicy(family.observation_spec, family.action_spec)
    return learners.MAML(family, policy, learners.MAML.Config(**SIZES))


def test_which_learners_it_suits():
    found = {
        name
        for name, each in LEARNERS.items()
        if issubclass(each, GradientLearner) and each.evolves
    }
    assert found == set(EVOLVE)


OTHERS = sorted(
    name
    for name, each in LEARNERS.items()
    if issubclass(each, GradientLearner) and name not in EVOLVE
)


@pytest.mark.parametrize("name", OTHERS)
def test_others_refuse_it(name):
    kind = LEARNERS[name]
    with pytest.raises(ConfigError, match=r"outer\.optimizer|received first_order"):
        config = kind.Config(**SIZES) if name != "rl2" else kind.Config(outer=SIZES["outer"])
        kind(environments.Navigation(environments.NavigationConfig(observe_goal=name == "oracle")),
             config=config)  # fmt: skip


def test_fitness_is_what_members_earn_after_adaptation(learner, family):
    """Each member, an initialisation of its own, in the same tasks and with the same numbers."""
    population = family.population(0, 2)
    found = collected(learner, population)
    assert found.returns.shape == [4, 2]
    task, key, index = tfcaml.training.draw(learner, population, 0)
    for member in (0, 3):
        meta = nest.map(lambda x, e, i=member: x + 0.1 * e[i], learner.meta.read(), found.noise)
        with eagerly():
            batch = learner._collected(meta, task, key, index)
        phases = [*batch.support, batch.query]
        earned = [float(tf.reduce_mean(episode_return(x.trajectory))) for x in phases]
        np.testing.assert_allclose(found.returns[member], earned, rtol=1e-4)


def test_a_resumed_run_is_the_uninterrupted_one(learner, family, tmp_path):
    history = assert_resumes(learner, family.population(0), tmp_path)
    assert {"return_before", "return_after", "evolution_gradient", "step_size"} < set(history[0])
    assert learner.episodes_per_iteration == 4 * 2 * 2 * 3


@pytest.mark.parametrize("name", [name for name in EVOLVE if name != "maml"])
def test_all_of_them_train(name, family):
    kind = LEARNERS[name]
    config = kind.Config(**{**SIZES, "num_iterations": 1})
    policy = kind.make_policy(family, config, (4,))
    learner = kind(family, policy, config)
    before = nest.ravel(learner.meta.read())[0].numpy()
    tfcaml.train(learner, family.population(0))
    after = nest.ravel(learner.meta.read())[0].numpy()
    assert np.mean(before != after) > 0.9


def test_episodes_from_elsewhere_are_refused(learner, family):
    with pytest.raises(ConfigError, match=r"outer\.optimizer=evolution_strategy"):
        MetaAgent(learner)


def test_evolution_follows_what_is_earned_after_adaptation(learner):
    """Not before it."""
    learner.reset(0)
    start = learner.meta.read()
    noise, _ = learner.strategy.ask(start, tfcaml.keys.from_int(0))
    after = tf.constant([3.0, 1.0, 0.0, 2.0])
    moved = []
    for before in (tf.zeros([4]), -10 * after):
        learner.reset(0)
        learner.update(Offspring(noise, tf.stack([before, after], axis=1)))
        moved.append(nest.ravel(learner.meta.read())[0].numpy())
    np.testing.assert_array_equal(*moved)
    assert not np.array_equal(moved[0], nest.ravel(start)[0])
