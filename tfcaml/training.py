"""The training loop without anything around it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import tensorflow as tf

from tfcaml import keys
from tfcaml.environments.base import check_held_out
from tfcaml.errors import RunError, check
from tfcaml.types import Task

if TYPE_CHECKING:
    from tfcaml.environments.base import Population
    from tfcaml.learners.base import MetaLearner


def draw(
    learner: MetaLearner, population: Population, seed: int
) -> tuple[Task, tf.Tensor, tf.Tensor | tuple[()]]:
    """Draws the training tasks and the random key of the learner's next iteration.

    All random numbers of the iteration follow from `seed` and the iteration's number.

    Args:
      learner: a `MetaLearner`.
      population: a `Population`.
      seed: Python int.

    Returns:
      (task, nest with leading [N]; key [2]; index [N], which training tasks they are, or `()`):
      the arguments of `MetaLearner.train`.
    """
    key = keys.fold(keys.from_int(seed), keys.TRAINING, int(learner.iteration))
    task, index = learner.training_tasks(population, keys.fold(key, 0))
    return task, keys.fold(key, 1), index


def train_iteration(learner: MetaLearner, population: Population, seed: int) -> dict[str, float]:
    """The learner's next iteration on training entities, as `draw` has it.

    Args:
      learner: a `MetaLearner`.
      population: a `Population`.
      seed: Python int.

    Returns:
      metrics, dict of floats.
    """
    return learner.train(*draw(learner, population, seed))


def train_all(learner: MetaLearner, task: Task, seed: int) -> dict[str, float]:
    """The learner's next iteration on `task` itself (independent policies, one per row)."""
    key = keys.fold(keys.from_int(seed), keys.TRAINING, int(learner.iteration))
    return learner.train(task, keys.fold(key, 1))


def check_bad_updates(learner: MetaLearner, max_bad_updates: int) -> None:
    """Raises a `RunError` when more updates have been skipped than `max_bad_updates`."""
    bad = int(learner.bad_updates)
    if bad > max_bad_updates:
        raise RunError(
            f"{type(learner).__name__} skipped {bad} of {int(learner.iteration)} updates that were "
            f"not finite, more than max_bad_updates={max_bad_updates}; lower the learning rates or "
            "check the environment"
        )


def train(
    learner: MetaLearner,
    population: Population,
    *,
    seed: int = 0,
    max_bad_updates: int = 10,
    callback: Callable[[MetaLearner, Population], object] = lambda learner, population: None,
) -> list[dict[str, float]]:
    """Trains until `learner.config.num_iterations`; returns the metrics of each iteration.

    Args:
      learner: a `MetaLearner`.
      population: a `Population`.
      seed: Python int.
      max_bad_updates: how many updates may be skipped because they are not finite.
      callback: called with learner and population after each iteration, such as a
        `DivergenceMonitor`.

    Raises:
      ConfigError: a held-out entity is a training entity too.
      RunError: more updates than that were skipped; or an environment failed. The learner is as
        after the last sound update.
    """
    check(max_bad_updates >= 0, "max_bad_updates", max_bad_updates, ">= 0")
    check_held_out(learner.environment, population)
    history = []
    while int(learner.iteration) < learner.config.num_iterations:
        history.append(train_iteration(learner, population, seed))
        check_bad_updates(learner, max_bad_updates)
        callback(learner, population)
    return history
