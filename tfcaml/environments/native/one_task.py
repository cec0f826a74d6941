"""The population of a family that has one task only."""

import numpy as np

from tfcaml import keys, nest
from tfcaml.environments.base import Population
from tfcaml.errors import check_whole
from tfcaml.types import Task


def population_of_one(task: Task, seed: int, num_test: int) -> Population:
    """A `Population` whose training task and `num_test` test tasks are all `task`, leading [1].

    For a family with `holds_out = False`. `seed` changes nothing.

    Raises:
      ConfigError: a negative seed, or `num_test` < 1.
    """
    keys.as_int(seed)
    num_test = check_whole("num_test", num_test, 1)
    test = nest.take(task, [0] * num_test)
    return Population(task, test, np.zeros(1, np.int64), np.zeros(num_test, np.int64))
