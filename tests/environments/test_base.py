import numpy as np
import pytest
import tensorflow as tf

from tfcaml import environments, nest
from tfcaml.environments.base import check_held_out, overlap
from tfcaml.errors import ConfigError


def _population(test_set, seen_sets):
    goals = lambda *values: {"goal": tf.constant(values, tf.float32)[:, None] * [0.3, 0.4]}
    zeros = np.zeros(3, int)
    return environments.Population(
        goals(1, 2, 3), goals(1, 2, 4), zeros, zeros, test_set=test_set, seen_sets=seen_sets
    )


def test_sets_that_are_seen_in_training_are_not_held_out():
    family = environments.Navigation()
    population = _population(np.array(["known", "known", "new"]), ("known",))
    assert nest.leading(population.held_out()) == 1
    assert overlap(population.train, population.test) == 2
    assert population.seen() == "some"
    assert population._replace(test=population.train).seen() == "all"
    assert family.population(0, 3).seen() == "none"
    check_held_out(family, population)
    for names, seen in (((), ()), (["known", "new", "new"], ("known",)), (["a"] * 3, ())):
        with pytest.raises(ConfigError, match="that are training entities too"):
            check_held_out(family, _population(names, seen))


@pytest.mark.parametrize(
    ("test_set", "seen_sets", "message"),
    [(["known"], (), "expected test_set of shape"), (["a"] * 3, ("b",), "seen_sets to be of")],
)
def test_sets_that_do_not_fit_are_named(test_set, seen_sets, message):
    class Family(environments.Navigation):
        def population(self, seed, num_test=3):
            return _population(test_set, seen_sets)

    with pytest.raises(ConfigError, match=message):
        environments.check(Family())
