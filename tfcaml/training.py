"""The training loop without anything around it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import TYPE_CHECKING

import tensorflow as tf

from tfcaml import keys
from tfcaml.environments.base import check_population
from tfcaml.errors import RunError, check_function, check_whole, checked_call
from tfcaml.learners.base import check_learner
from tfcaml.progress import Progress, is_watched, silent
from tfcaml.settings import check_switch
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


@checked_call
def train(
    learner: MetaLearner,
    population: Population,
    *,
    seed: int = 0,
    max_bad_updates: int = 10,
    callback: Callable[[MetaLearner, Population, dict[str, float]], object] | None = None,
    progress: bool | None = None,
) -> list[dict[str, float]]:
    """Trains until `learner.config.num_iterations`; returns the metrics of each iteration.

    Args:
      learner: a `MetaLearner`.
      population: a `Population` of the learner's family.
      seed: an integer from 0 to 2**62 - 1, see `keys.as_int`.
      max_bad_updates: how many updates may be skipped because they are not finite.
      callback: function (learner, population, metrics) called after each iteration with the
        iteration's metrics, a dict of floats; such as a `DivergenceMonitor`.
      progress: whether to tell on stderr how far training is. True: as a bar on a terminal and in
        notebooks, as lines elsewhere; False: not at all; None: on a terminal and in notebooks only.

    Raises:
      ConfigError: an argument of another kind; a population of another family, or one in which a
        held-out entity is a training entity too.
      RunError: more updates than that were skipped; or an environment failed. The learner is as
        after the last sound update.
    """
    check_learner(learner)
    check_population(learner.environment, population)
    seed = keys.as_int(seed)
    check_whole("max_bad_updates", max_bad_updates, 0, 10**9)
    if callback is not None:
        check_function("callback", callback, ("learner", "population", "metrics"))
    check_switch("progress", progress)
    history: list[dict[str, float]] = []
    done, length = int(learner.iteration), learner.config.num_iterations
    shown = is_watched() if progress is None else progress
    told: contextlib.AbstractContextManager[Progress | None] = contextlib.nullcontext()
    if shown and done < length:
        told = Progress(length, done)
    with contextlib.nullcontext() if shown else silent(), told as bar:
        while int(learner.iteration) < length:
            metrics = train_iteration(learner, population, seed)
            history.append(metrics)
            check_bad_updates(learner, max_bad_updates)
            if callback is not None:
                callback(learner, population, metrics)
            if bar is not None:
                what = f"{type(learner).__name__} iteration {int(learner.iteration)}/{length}"
                bar.advance(what, latest_figure(metrics))
    return history


def latest_figure(metrics: dict[str, float]) -> str:
    """What an iteration's metrics tell of training, for progress, such as "return -12.3".

    The return after adaptation; the loss of learners that play nothing; "" if there is neither.
    """
    for name in ("return_after", "return_last_update", "loss_before"):
        if name in metrics:
            value = metrics[name]
            number = f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"
            return f"{name.split('_')[0]} {number}"
    return ""
