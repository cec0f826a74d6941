"""Who is learned from and who is held out. Research use only, not for dosing decisions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import tensorflow as tf

from tfcaml import keys, nest
from tfcaml.environments.base import Population, overlap
from tfcaml.environments.glucose import patients
from tfcaml.errors import check, check_whole

if TYPE_CHECKING:
    from tfcaml.environments.glucose.family import GlucoseConfig


def population(config: GlucoseConfig, seed: int, num_test: int) -> Population:
    """The `Population` of a study, see `Glucose.population`."""
    seed = keys.as_int(seed)
    rng = np.random.default_rng([seed, 0x617C])
    support, query = split(config.split, num_test, rng)
    ordinary = patients.tasks(support)
    variants = [ordinary]
    for index in range(1, config.variants):
        rng = np.random.default_rng([seed, 0x6A, index])
        variants.append(patients.perturbed(ordinary, config.perturbation, rng))
    tasks = nest.map(lambda *values: tf.constant(np.concatenate(values)), *variants)
    held_out = nest.map(tf.constant, patients.tasks(query))
    shared = overlap(tasks, held_out)
    check(shared == 0, "number of patients in both sets", shared, "0")
    return Population(tasks, held_out, np.tile(_groups(support), config.variants), _groups(query))


def split(rule: str, num_test: int, rng: np.random.Generator) -> tuple[list[str], list[str]]:
    """Names of patients to learn from and of others, held out.

    Args:
      rule: "mixed", or the cohort that is held out.
      num_test: patients held out.
      rng: `np.random.Generator`.

    Returns:
      (list of names, list of `num_test` names).

    Raises:
      ConfigError: `num_test` is more than there are.
    """
    members = lambda cohort: [name for name in patients.names() if patients.cohort(name) == cohort]
    order = {cohort: list(rng.permutation(members(cohort))) for cohort in patients.COHORTS}
    if rule == "mixed":
        turns = [name for turn in zip(*order.values()) for name in turn]
        most = len(turns) - len(patients.COHORTS)  # one of each at least is to learn from
        check_whole("num_test", num_test, 1, most)
        held_out = turns[:num_test]
    else:
        most = len(order[rule])
        check_whole("num_test", num_test, 1, most, f"the {rule} patients")
        held_out = order.pop(rule)[:num_test]
    known = [name for names in order.values() for name in names if name not in held_out]
    return sorted(known), held_out


def _groups(names: Sequence[str]) -> np.ndarray:
    return np.array([patients.COHORTS.index(patients.cohort(name)) for name in names])
