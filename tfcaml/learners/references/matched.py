"""Policies trained on one entity alone: the ceiling of adaptation, and its opposite.

`Matched` trains a policy on each held-out entity itself, which no meta-learner may see: the upper
bound. `Unmatched` trains it on an entity of another latent group. Baselines of the CAML study,
section 5 ("training on matched / unmatched types").
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import numpy as np
import tensorflow as tf

from tfcaml import nest, settings
from tfcaml.errors import check
from tfcaml.learners.references.policy_gradient import PolicyGradient, PolicyGradientConfig
from tfcaml.types import FastState, Nest, Task

if TYPE_CHECKING:
    from tfcaml.environments.base import Population


@settings.checked
@dataclasses.dataclass(frozen=True)
class MatchedConfig(PolicyGradientConfig):
    """Settings of both; `meta_batch_size` is the number of held-out entities.

    Attributes:
      num_iterations: Updates of each policy where `inner_updates` is 1. Source: CAML paper, Figure
        3: 100.
      meta_batch_size: Policies, one for each held-out entity. Source: CAML paper, section 5: 3.
      shared_initialization: Whether all policies start from the same weights. Source: tfcaml.
    """

    num_iterations: int = 100
    meta_batch_size: int = 3
    shared_initialization: bool = True


class Matched(PolicyGradient):
    """Row i of `meta` is the policy trained on held-out entity i."""

    Config = MatchedConfig

    def training_tasks(
        self, population: Population, key: tf.Tensor
    ) -> tuple[Task, tf.Tensor | tuple[()]]:
        self._check_number(nest.leading(population.test))
        return population.test, ()

    def start(self, meta: Nest, num_tasks: int, key: tf.Tensor | tuple[()] = ()) -> FastState:
        self._check_number(num_tasks)
        return super().start(meta, num_tasks, key)

    def _check_number(self, num_tasks: int) -> None:
        rule = f"{num_tasks}, the number of held-out entities, as every one has its own policy"
        found = self.config.meta_batch_size
        check(found == num_tasks, "meta_batch_size", found, rule)


class Unmatched(Matched):
    """Row i of `meta` is the policy of a training entity of another group than entity i's."""

    def training_tasks(
        self, population: Population, key: tf.Tensor
    ) -> tuple[Task, tf.Tensor | tuple[()]]:
        self._check_number(nest.leading(population.test))
        rows = []
        for i, group in enumerate(population.test_group):
            others = np.flatnonzero(population.train_group != group)
            check(len(others) > 0, "num_groups", 1, "at least 2 for an unmatched entity")
            rows.append(others[i * len(others) // len(population.test_group)])
        return nest.take(population.train, rows), tf.constant(rows)
