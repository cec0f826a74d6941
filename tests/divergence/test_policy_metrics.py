import math

import numpy as np
import pytest
import scipy.stats
import sklearn.neighbors
import tensorflow as tf
from tf_agents.networks import actor_distribution_rnn_network

from tfcaml import keys, nest
from tfcaml.divergence import (
    Behaviour,
    action_distance,
    jensen_shannon,
    pairs,
    square,
    state_bank,
    state_bank_distance,
    trajectory_divergence,
    visited_distance,
)
from tfcaml.environments import Navigation, NavigationConfig
from tfcaml.errors import ConfigError
from tfcaml.policies import NetworkPolicy
from tfcaml.rollouts import sampling

FIRST, SECOND = pairs(5)


@pytest.fixture(scope="module")
def behaviour(rollouts):
    """Five policies of particles, and three episodes of each."""
    return Behaviour(rollouts[0], rollouts[2])


@pytest.fixture(scope="module")
def one(behaviour):
    return nest.take(behaviour, FIRST)


@pytest.fixture(scope="module")
def other(behaviour):
    return nest.take(behaviour, SECOND)


def roots(policy, params, other, observation):
    """sqrt(J) from logits, in float64: observation [N, B, d] -> [N, B]."""
    logits = [np.float64(policy(x, observation).logits_parameter()) for x in (params, other)]
    return np.sqrt(jensen_shannon(*logits).numpy())


def test_trajectory_divergence_is_its_definition(policy, one, other):
    actual = trajectory_divergence(policy, one, other)
    total, mean = 0, 0
    for side in (one, other):
        mask = side.trajectory.mask.numpy().reshape(10, 30)
        assert mask.sum(axis=1).min() > 0
        observation = tf.reshape(side.trajectory.observation, [10, 30, 2])
        summed = (roots(policy, one.params, other.params, observation) * mask).sum(axis=1)
        total += summed / 3
        mean += summed / mask.sum(axis=1) / 2
    np.testing.assert_allclose(actual.total, total, rtol=1e-4)
    np.testing.assert_allclose(actual.normalized, mean, rtol=1e-4)


@pytest.mark.parametrize("name", ["d_P", "d_E", "P"])
def test_symmetric_and_zero_of_the_same(policy, one, other, name):
    function = {
        "d_P": lambda p, q: state_bank_distance(policy, p.params, q.params, tf.ones([2, 2])),
        "d_E": lambda p, q: visited_distance(policy, p, q),
        "P": lambda p, q: tf.stack(trajectory_divergence(policy, p, q), axis=-1),
    }[name]
    distance = tf.function(function, autograph=False)
    value = distance(one, other).numpy()
    np.testing.assert_allclose(value, distance(other, one), rtol=1e-5)
    assert value.min() > 0
    np.testing.assert_array_equal(distance(one, one), 0)
    alone = function(nest.take(one, [3]), nest.take(other, [3]))  # and not compiled
    np.testing.assert_allclose(alone[0], value[3], rtol=1e-4)


def test_padded_steps_do_not_count(policy, random_trajectory):
    params = nest.stack([policy.init(seed) for seed in range(6)])
    pair = [nest.map(lambda x: x[:3], params), nest.map(lambda x: x[3:], params)]
    sides = [Behaviour(p, random_trajectory(s, (3, 4, 6))) for s, p in enumerate(pair)]

    def broken(side):
        mask = side.trajectory.mask[..., None]
        observation = tf.where(mask > 0, side.trajectory.observation, 1e3)
        return side._replace(trajectory=side.trajectory._replace(observation=observation))

    expected = trajectory_divergence(policy, *sides)
    actual = trajectory_divergence(policy, *map(broken, sides))
    np.testing.assert_allclose(actual.total, expected.total, rtol=1e-6)
    np.testing.assert_allclose(actual.normalized, expected.normalized, rtol=1e-6)
    np.testing.assert_allclose(
        visited_distance(policy, *map(broken, sides)), visited_distance(policy, *sides), rtol=1e-5
    )


def test_d_p_is_a_metric_over_the_bank(policy, behaviour, one, other):
    cover = tf.random.stateless_uniform([7, 2], [0, 1], -2.0, 2.0)
    bank, weight = state_bank(behaviour.trajectory, 20, cover)
    assert bank.shape == [5 * 20 + 7, 2] and (weight.numpy() == 1).all()
    distance = state_bank_distance(policy, one.params, other.params, bank, weight)
    expected = roots(policy, one.params, other.params, nest.repeat(bank, 10)).mean(axis=1)
    np.testing.assert_allclose(distance, expected, rtol=1e-4)
    matrix = square(distance, 5).numpy()
    assert (matrix[:, None] <= matrix[:, :, None] + matrix[None] + 1e-6).all()
    heavy = tf.one_hot(3, bank.shape[0])
    only = state_bank_distance(policy, one.params, other.params, bank, heavy)
    alone = roots(policy, one.params, other.params, nest.repeat(bank[3:4], 10))[:, 0]
    np.testing.assert_allclose(only, alone, rtol=1e-4)


def test_a_bank_holds_living_states(random_trajectory):
    trajectory = random_trajectory(3, (3, 4, 6))
    bank, weight = state_bank(trajectory, max_points=100)
    living = trajectory.observation.numpy()[trajectory.mask.numpy() > 0]
    kept = bank.numpy()[weight.numpy() > 0]
    assert len(kept) == len(living) == weight.numpy().sum()
    np.testing.assert_array_equal(np.sort(kept, axis=0), np.sort(living, axis=0))


def test_visited_distance_is_its_definition(policy, one, other):
    fewer = other.trajectory.mask * tf.constant([1.0, 0.0, 1.0])[:, None]
    other = other._replace(trajectory=other.trajectory._replace(mask=fewer))
    actual = visited_distance(policy, one, other, bandwidth=0.3)
    flat = lambda x: tf.reshape(x, [10, 30, -1])
    sides = one.trajectory, other.trajectory
    observation = tf.concat([flat(x.observation) for x in sides], axis=1)
    alive = np.concatenate([flat(x.mask) for x in sides], axis=1)[..., 0] > 0
    distance = roots(policy, one.params, other.params, observation)
    for n in range(10):
        living = np.where(alive[n])[0]
        pool = np.float64(observation[n].numpy()[living])
        parts = pool[living < 30], pool[living >= 30]
        fit = sklearn.neighbors.KernelDensity(bandwidth=0.3).fit
        density = np.exp([fit(x).score_samples(pool) for x in parts])
        share = np.array([len(x) for x in parts]) / len(pool)
        weight = density.min(axis=0) / (share @ density)
        expected = weight @ distance[n][living] / weight.sum()
        np.testing.assert_allclose(actual[n], expected, rtol=1e-3)


def linear_gaussian(environment, mean, log_scale):
    """Policies with means of matrices [N, 2, 2] times positions plus vectors [N, 2]."""
    model = tf.keras.Sequential([tf.keras.layers.Dense(2)])
    policy = NetworkPolicy.from_keras(model, environment.observation_spec, environment.action_spec)
    scale = tf.fill([mean[1].shape[0], 2], log_scale)
    return policy, (*(tf.constant(x, tf.float32) for x in mean), scale)


@pytest.fixture(scope="module")
def navigators():
    """Twelve policies that head for their own goal, and where they went."""
    environment = Navigation(NavigationConfig(horizon=20))
    task = environment.population(0, 12).test
    goal = task["goal"].numpy()
    mean = -4 * np.repeat(np.eye(2)[None], 12, axis=0), 4 * goal
    policy, params = linear_gaussian(environment, mean, math.log(0.5))
    sample = tf.function(sampling.sample, autograph=False)
    trajectory = sample(policy, environment, params, task, 5, keys.from_int(0))
    return policy, Behaviour(params, trajectory)


def test_the_bound_orders_pairs_as_monte_carlo_does(navigators):
    policy, behaviour = navigators
    i, j = pairs(12)
    one, other = nest.take(behaviour, i), nest.take(behaviour, j)
    bound = lambda p, q: action_distance(p, q, method="bound")
    drawn, bounds = (
        trajectory_divergence(policy, one, other, distance).normalized.numpy()
        for distance in (action_distance, bound)
    )
    assert scipy.stats.spearmanr(drawn, bounds)[0] >= 0.95
    assert (drawn <= bounds + 0.05).all()
    assert drawn.max() - drawn.min() > 0.3


@pytest.mark.slow
def test_policies_with_memory(particle, random_trajectory):
    network = actor_distribution_rnn_network.ActorDistributionRnnNetwork(
        particle.observation_spec,
        particle.action_spec,
        input_fc_layer_params=None,
        output_fc_layer_params=None,
        lstm_size=(4,),
    )
    policy = NetworkPolicy(network, particle.action_spec)
    params = [nest.stack([policy.init(i), policy.init(i + 2)]) for i in (0, 1)]
    one, other = (Behaviour(p, random_trajectory(s, (2, 3, 3))) for s, p in enumerate(params))
    compiled = tf.function(lambda p, q: trajectory_divergence(policy, p, q), autograph=False)
    assert compiled(one, other).total.numpy().min() > 0
    np.testing.assert_array_equal(compiled(one, one).total, 0)
    with pytest.raises(ConfigError, match="without memory"):
        state_bank_distance(policy, one.params, other.params, tf.zeros([3, 2]))
    with pytest.raises(ConfigError, match="without memory"):
        visited_distance(policy, one, other)
