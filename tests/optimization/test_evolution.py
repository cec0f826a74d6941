"""Evolution strategies against exact gradients and by hand."""

import numpy as np
import pytest
import tensorflow as tf

from tfcaml import keys, nest
from tfcaml.errors import ConfigError
from tfcaml.optimization import evolution

PARAMS = {"a": tf.constant([0.3, -0.8, 1.2]), "b": tf.constant([[0.5, -0.1]])}


def fitness(params):
    """A smooth function of each member, [V]."""
    a, b = params["a"], params["b"]
    return tf.reduce_sum(tf.sin(a), -1) - tf.reduce_sum(b**2 * a[:, None, :2], [-2, -1])


@pytest.mark.parametrize("antithetic", [False, True])
def test_the_estimate_points_where_the_gradient_does(antithetic):
    """Cosine of at least 0.95 with a population of 1,024."""
    with tf.GradientTape() as tape:
        tape.watch(PARAMS)
        value = fitness(nest.map(lambda p: p[None], PARAMS))
    exact = nest.ravel(tape.gradient(value, PARAMS))[0].numpy()
    noise = evolution.perturbations(keys.from_int(0), PARAMS, 1024, antithetic)
    found = fitness(evolution.perturbed(PARAMS, noise, 0.05))
    found = found if antithetic else found - tf.reduce_mean(found)
    estimate = nest.ravel(evolution.evolution_gradient(noise, found, 0.05))[0].numpy()
    cosine = estimate @ exact / np.linalg.norm(estimate) / np.linalg.norm(exact)
    assert cosine >= 0.95
    np.testing.assert_allclose(np.linalg.norm(estimate), np.linalg.norm(exact), rtol=0.15)


def test_ranks_are_centred():
    ranks = evolution.centred_ranks(tf.constant([3.0, -7.0, 100.0, 3.5, 0.0]))
    np.testing.assert_allclose(ranks, [0.0, -0.5, 0.5, 0.25, -0.25])
    # Where all are alike nothing is to be followed.
    np.testing.assert_array_equal(evolution.centred_ranks(tf.ones([4])), np.zeros(4))
    ranks = evolution.centred_ranks(tf.constant([1.0, 2.0, 1.0, 0.0, 2.0]))
    np.testing.assert_allclose(ranks, [-0.125, 0.375, -0.125, -0.5, 0.375])


def test_members_that_fail_are_the_worst():
    found, failed = evolution.repaired(tf.constant([3.0, np.nan, -2.0, np.inf, 5.0]))
    np.testing.assert_array_equal(found, [3, -2, -2, -2, 5])
    np.testing.assert_allclose(failed, 0.4)
    of_phases, _ = evolution.repaired(tf.constant([[1.0, np.nan], [2.0, 4.0]]))
    np.testing.assert_array_equal(of_phases, [[1, 4], [2, 4]])
    assert not np.isfinite(evolution.repaired(tf.constant([np.nan, np.nan]))[0]).any()


def test_the_estimate_by_hand():
    noise = {"a": tf.constant([[1.0, 0.0], [0.0, 2.0], [-1.0, 1.0]])}
    found = evolution.evolution_gradient(noise, tf.constant([3.0, 6.0, -3.0]), 0.5)
    np.testing.assert_allclose(found["a"], np.array([6.0, 9.0]) / 1.5)


def test_numbers_of_a_member_are_its_own():
    few, many = (evolution.perturbations(keys.from_int(3), PARAMS, v) for v in (4, 6))
    for one, other in zip(tf.nest.flatten(few), tf.nest.flatten(many)):
        np.testing.assert_array_equal(one, other[:4])
    pairs = evolution.perturbations(keys.from_int(3), PARAMS, 8, antithetic=True)
    for one, other in zip(tf.nest.flatten(few), tf.nest.flatten(pairs)):
        np.testing.assert_array_equal(other, tf.concat([one, -one], 0))


@pytest.mark.parametrize("size, antithetic", [(1, False), (3, True)])
def test_sizes_that_make_no_population_are_refused(size, antithetic):
    with pytest.raises(ConfigError, match="size"):
        evolution.perturbations(keys.from_int(0), PARAMS, size, antithetic)


# Steps.


def test_steps_by_hand():
    """Adam without momentum along ranks less decay; a step size that falls to a tenth by half."""
    strategy = evolution.evolution_strategy(4, False, 0.5, 0.1, weight_decay=0.2, decay_steps=2)
    meta = {"a": tf.constant([1.0, -2.0])}
    slots, second = strategy.init(meta), np.zeros(2)
    expected = np.array([1.0, -2.0])
    rng = np.random.default_rng(0)
    for step, size in enumerate([0.1, 0.055, 0.01, 0.01], 1):
        eps, fitness = rng.normal(size=[4, 2]), rng.normal(size=4)
        ranks = np.argsort(np.argsort(fitness)) / 3 - 0.5
        uphill = ranks @ eps / (4 * 0.5)
        gradient = uphill - 0.2 * expected
        second = 0.999 * second + 0.001 * gradient**2
        expected = expected + size * gradient / (np.sqrt(second / (1 - 0.999**step)) + 1e-8)
        noise = {"a": tf.constant(eps, tf.float32)}
        meta, slots, metrics = strategy.tell(meta, slots, noise, tf.constant(fitness, tf.float32))
        np.testing.assert_allclose(meta["a"], expected, rtol=1e-4)
        np.testing.assert_allclose(metrics["step_size"], size, rtol=1e-6)
        norm = np.linalg.norm(uphill)
        np.testing.assert_allclose(metrics["evolution_gradient"], norm, rtol=1e-4)


def test_pairs_are_ranked_by_what_one_has_more_than_the_other():
    """How hard the task of a pair is does not count."""
    strategy = evolution.evolution_strategy(6, True, 0.5, 0.1)
    meta = {"a": tf.constant([0.0])}
    noise, members = strategy.ask(meta, keys.from_int(1))
    np.testing.assert_allclose(members["a"], 0.5 * noise["a"])
    found = []
    for hard in ([0.0, 0.0, 0.0], [50.0, -30.0, 7.0]):
        fitness = tf.constant([1.0, 4.0, 2.0, 0.5, 6.0, 1.0]) + tf.constant([*hard, *hard])
        _, _, metrics = strategy.tell(meta, strategy.init(meta), noise, fitness)
        found.append(float(metrics["evolution_gradient"]))
    more = np.array([0.5, -2.0, 1.0])
    ranks = np.argsort(np.argsort([*more, *-more])) / 5 - 0.5
    by_hand = abs(ranks @ noise["a"].numpy()[:, 0] / 3)
    np.testing.assert_allclose(found, by_hand, rtol=1e-5)


def test_it_climbs():
    """A smooth hill, in a hundred steps, from nothing but what members earn."""
    strategy = evolution.evolution_strategy(64, True, 0.1, 0.1, decay_steps=50)
    top = tf.constant([1.0, -0.5, 2.0])
    earned = lambda members: -tf.reduce_sum((members["a"] - top) ** 2, axis=-1)
    meta = {"a": tf.zeros([3])}
    slots = strategy.init(meta)
    for step in range(100):
        noise, members = strategy.ask(meta, keys.from_int(step))
        meta, slots, _ = strategy.tell(meta, slots, noise, earned(members))
    np.testing.assert_allclose(meta["a"], top, atol=0.1)
