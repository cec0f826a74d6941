import numpy as np
import pytest
import tensorflow as tf

from tfcaml import keys, losses, nest
from tfcaml.advantages import baselines
from tfcaml.environments import Particle, ParticleConfig
from tfcaml.learners.references.policy_gradient import PolicyGradient, PolicyGradientConfig
from tfcaml.optimization import optimizers
from tfcaml.types import episode_return

TINY = {"meta_batch_size": 3, "episodes_per_update": 4, "inner_learning_rate": 0.1}


@pytest.fixture(scope="module")
def learner(particle, policy):
    return PolicyGradient(particle, policy, PolicyGradientConfig(**TINY), seed=1)


def test_each_policy_starts_on_its_own(learner, particle, policy):
    for x in learner.meta.read().params:
        if x.shape.rank > 2:  # kernels; biases start at 0
            assert all(np.abs(x[i] - x[j]).max() > 0.1 for i in range(3) for j in range(i))
    shared = PolicyGradient(
        particle, policy, PolicyGradientConfig(**TINY, shared_initialization=True)
    )
    for x in shared.meta.read().params:
        np.testing.assert_array_equal(x[0], x[1])
        np.testing.assert_array_equal(x[0], x[2])


def test_any_seed_of_a_user_makes_policies(particle, policy):
    PolicyGradient(particle, policy, PolicyGradientConfig(**TINY), seed=2**62 - 1)


def test_an_iteration_is_one_step_of_reinforce(learner, policy, sample, population):
    """Sample, advantage, loss and Adam, put together by hand, one task after another."""
    learner.reset(seed=1)
    task = nest.map(lambda x: x[:3], population.train)
    key = keys.from_int(5)
    before = nest.map(tf.identity, learner.meta.read())
    metrics = learner.train(task, key)
    trajectory = sample(before.params, task, 4, keys.fold(key, 0))
    assert metrics["return_before"] == pytest.approx(np.mean(episode_return(trajectory)), rel=1e-5)
    advantage = baselines.advantage(trajectory, 0.99, "reward_to_go", "time_step_mean", True)
    adam = optimizers.adam(0.1)
    for i in range(3):
        row = lambda x: x[i : i + 1]
        params = nest.map(row, before.params)
        with tf.GradientTape() as tape:
            tape.watch(params)
            loss = losses.policy_gradient(policy, params, nest.map(row, trajectory), row(advantage))
        gradients = nest.map(tf.convert_to_tensor, tape.gradient(loss, params))
        expected, _ = adam.apply(params, gradients, adam.init(params, 1))
        for new, by_hand in zip(learner.meta.read().params, expected):
            np.testing.assert_allclose(new[i], by_hand[0], rtol=1e-3, atol=1e-4)
    np.testing.assert_array_equal(learner.meta.read().slots["count"], [1, 1, 1])


def test_policies_do_not_influence_each_other(learner, population):
    results = []
    for last in (2, 20):
        learner.reset(seed=1)
        task = nest.map(lambda x: tf.gather(x, [0, 1, last]), population.train)
        for iteration in range(2):
            learner.train(task, keys.from_int(iteration))
        results.append(learner.meta.read().params)
    for first, second in zip(*results):
        np.testing.assert_allclose(first[:2], second[:2], rtol=1e-4, atol=1e-5)
    assert any(np.abs(a[2] - b[2]).max() > 1e-2 for a, b in zip(*results))


@pytest.mark.slow
def test_it_learns(policy):
    """Forty updates bring particles of two kinds most of the way to the goal."""
    particle = Particle(ParticleConfig(horizon=40))
    population = particle.population(0)
    config = PolicyGradientConfig(
        meta_batch_size=2, episodes_per_update=10, inner_learning_rate=0.03
    )
    learner = PolicyGradient(particle, policy, config)
    task = nest.map(lambda x: x[::12], population.train)
    returns = [
        learner.train(task, keys.from_int(iteration))["return_before"] for iteration in range(60)
    ]
    assert np.mean(returns[:3]) < -60
    assert np.mean(returns[-3:]) > -30
