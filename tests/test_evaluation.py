import dataclasses

import numpy as np
import pytest
import tensorflow as tf

import tfcaml
from tfcaml import nest
from tfcaml.errors import ConfigError
from tfcaml.learners.references.joint import RandomInitialization, RandomInitializationConfig
from tfcaml.learners.state import Variables
from tfcaml.types import episode_return


@pytest.fixture(scope="module")
def learner(particle, policy):
    config = RandomInitializationConfig(episodes_per_update=4, inner_learning_rate=0.1)
    return RandomInitialization(particle, policy, config, seed=2)


@pytest.fixture(scope="module")
def evaluation(learner, population):
    return tfcaml.evaluate(learner, population.test, num_updates=3, num_episodes=5, seed=1)


def test_shapes(evaluation):
    assert evaluation.returns.shape == (4, 3, 5) and evaluation.trials == {}
    first, last = evaluation.trajectories
    assert first.reward.shape == last.reward.shape == [3, 5, 10]
    np.testing.assert_allclose(episode_return(first), evaluation.returns[0])
    np.testing.assert_allclose(episode_return(last), evaluation.returns[-1])
    for episodes, returns in zip(evaluation.shown, evaluation.returns, strict=True):
        assert episodes.trajectory.reward.shape == [1, 5, 10]
        np.testing.assert_allclose(episode_return(episodes.trajectory)[0], returns[0])


def test_any_task_is_shown_with_what_decides_its_episodes(learner, population, evaluation):
    """So that the family can play them again."""
    options = {"num_updates": 1, "num_episodes": 5, "seed": 1, "shown_task": 2}
    again = tfcaml.evaluate(learner, population.test, **options)
    np.testing.assert_array_equal(again.returns, evaluation.returns[:2])
    start = learner.start(learner.meta.read(), 1)
    for (task, key, trajectory), returns in zip(again.shown, again.returns, strict=True):
        assert trajectory.reward.shape == [1, 5, 10] and key.shape == [1, 5, 2]
        np.testing.assert_array_equal(episode_return(trajectory)[0], returns[2])
        tf.nest.map_structure(
            lambda x, every: np.testing.assert_array_equal(x, every[2:]), task, population.test
        )
    first = again.shown[0]
    played = learner.sample(start.params, first.task, 5, first.key)
    np.testing.assert_array_equal(played.action, first.trajectory.action)
    np.testing.assert_allclose(played.reward, first.trajectory.reward, rtol=1e-5)


def test_the_first_measurement_is_of_the_start(learner, evaluation):
    """And the last one is not."""
    first, last = evaluation.trajectories
    start = learner.start(learner.meta.read(), 3)
    for trajectory, same in ((first, True), (last, False)):
        log_prob = tfcaml.losses.action_log_prob(learner.policy, start.params, trajectory)
        assert np.allclose(trajectory.log_prob, log_prob, atol=1e-4) == same


def test_same_seed_same_returns_and_nothing_is_changed(learner, population, evaluation):
    before = [variable.numpy() for variable in learner.variables]
    again = tfcaml.evaluate(learner, population.test, num_updates=3, num_episodes=5, seed=1)
    np.testing.assert_array_equal(again.returns, evaluation.returns)
    other = tfcaml.evaluate(learner, population.test, num_updates=0, num_episodes=5, seed=2)
    assert other.returns.shape == (1, 3, 5)
    assert (other.returns[0] != evaluation.returns[0]).all()
    for variable, value in zip(learner.variables, before):
        np.testing.assert_array_equal(variable, value)


def test_results_of_a_task_do_not_depend_on_its_company(learner, population, evaluation):
    """Start, adaptation and measurement: the first entity alone gives the first row."""
    first = nest.map(lambda x: x[:1], population.test)
    alone = tfcaml.evaluate(learner, first, num_updates=3, num_episodes=5, seed=1)
    np.testing.assert_allclose(alone.returns[:, 0], evaluation.returns[:, 0], rtol=1e-3)


@pytest.mark.slow
def test_measured_episodes_are_not_learned_from(learner, population, evaluation):
    """However many of them there are, adaptation is the same."""
    fewer = tfcaml.evaluate(learner, population.test, num_updates=3, num_episodes=2, seed=1)
    np.testing.assert_allclose(fewer.returns, evaluation.returns[:, :, :2], rtol=1e-3)


def test_learning_has_episodes_of_its_own(learner, population, monkeypatch):
    """No two measurements or adaptation steps share a random key."""
    used = []
    for name in ("measure", "adapt_to"):
        call = getattr(learner, name)

        def recorded(*arguments, call=call):
            used.append(tuple(arguments[-1].numpy()))
            return call(*arguments)

        monkeypatch.setattr(learner, name, recorded)
    tfcaml.evaluate(learner, population.test, num_updates=2, num_episodes=2)
    assert len(used) == len(set(used)) == 5


@pytest.mark.slow
def test_each_measurement_has_episodes_of_its_own(particle, policy, population):
    """Also when nothing is learned."""
    config = RandomInitializationConfig(
        episodes_per_update=2, inner_optimizer="sgd", inner_learning_rate=1e-12
    )
    learner = RandomInitialization(particle, policy, config)
    returns = tfcaml.evaluate(learner, population.test, num_updates=2, num_episodes=3).returns
    assert len(np.unique(returns)) == returns.size


@pytest.mark.slow
def test_adaptation_helps(particle, policy, population):
    config = RandomInitializationConfig(episodes_per_update=20, inner_learning_rate=0.2)
    learner = RandomInitialization(particle, policy, config)
    returns = tfcaml.evaluate(learner, population.test, num_updates=8, num_episodes=20).returns
    mean = returns.mean(axis=2)
    assert (mean[-1] > mean[0] + 1).all()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"num_updates": -1},
            "num_updates to be a whole number from 0 to .*; received num_updates=-1",
        ),
        ({"num_episodes": 0}, "num_episodes=0"),
    ],
)
def test_errors(learner, population, options, message):
    with pytest.raises(ConfigError, match=message):
        tfcaml.evaluate(learner, population.test, **options)


def test_no_tasks_is_an_error(learner, population):
    with pytest.raises(ConfigError, match="no task to evaluate"):
        tfcaml.evaluate(learner, nest.map(lambda x: x[:0], population.test))


def test_every_learner_names_its_config():
    """Each config has defaults that are valid, and is frozen."""
    for name, cls in tfcaml.learners.LEARNERS.items():
        config = cls.Config()
        with pytest.raises(dataclasses.FrozenInstanceError):
            config.num_iterations = 1
        fields = {each.name for each in dataclasses.fields(config)}
        # Of learners without inner steps another one; nearest neighbours have no settings.
        for field in [x for x in ("inner_learning_rate", "meta_batch_size") if x in fields][:1]:
            with pytest.raises(ConfigError, match=f"{field}=-1"):
                dataclasses.replace(config, **{field: -1})
        assert tfcaml.learners.LEARNERS[name] is cls


def test_variables_are_read_and_written_whole():
    values = {"a": (tf.ones([2]), tf.constant(3)), "b": tf.zeros([1, 2])}
    variables = Variables(values)
    assert len(variables.variables) == 3 and not variables.trainable_variables
    variables.write(nest.map(lambda x: x + 1, values))
    read = variables.read()
    np.testing.assert_array_equal(read["a"][0], [2, 2])
    assert int(read["a"][1]) == 4 and not isinstance(read["b"], tf.Variable)
    with pytest.raises((TypeError, ValueError)):
        variables.write({"a": values["a"]})
