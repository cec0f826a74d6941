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
