"""What a training run shows of itself: events for TensorBoard, and pictures."""

from __future__ import annotations

import collections
import itertools
import os
from typing import TYPE_CHECKING, Any

import tensorflow as tf

from tfcaml import figures
from tfcaml.reporting import divergence_monitor, tensorboard
from tfcaml.reporting.divergence_monitor import DivergenceMonitor
from tfcaml.types import Metric

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from tfcaml.environments.base import Population
    from tfcaml.experiments.config import ExperimentConfig
    from tfcaml.experiments.run_directory import RunDirectory
    from tfcaml.learners.base import MetaLearner

_SPEED = {
    "iterations_per_second": Metric("Iterations of training in a second of wall time."),
    "steps_per_second": Metric("Environment steps of training in a second of wall time, at most."),
}
_FAULTS = {
    "bad_updates": Metric(
        "How many updates of this training were taken back so far because they were not finite."
    ),
    "errors": Metric("How many environments raised an error so far."),
    "timeouts": Metric("How many environments did not answer in time so far."),
    "retried_episodes": Metric("How many episodes were played again so far after a fault."),
}


def tag_metrics(learner: MetaLearner) -> dict[str, Metric]:
    """What training may log of a learner: dict tag -> `Metric`."""
    metrics = {**learner.metrics, **_SPEED}
    return {
        **{tensorboard.training_tag(name): metric for name, metric in metrics.items()},
        **{tensorboard.FAULTS + name: metric for name, metric in _FAULTS.items()},
        **divergence_monitor.METRICS,
    }


def logged_faults(directory: str | os.PathLike[str]) -> dict[str, int]:
    """Faults of the environment in all of a method's and a seed's training: name -> count.

    Args:
      directory: of its events. Where training was gone on with they count from 0 again, which is
        seen where a count falls: there may have been more.
    """
    found = {}
    for name, history in tensorboard.read_scalars(directory, tensorboard.FAULTS).items():
        counts = [0.0, *(history[step] for step in sorted(history))]
        steps = itertools.pairwise(counts)
        found[name] = int(sum(now - (before if now >= before else 0) for before, now in steps))
    found.pop("bad_updates", None)
    return found


class TrainingLog:
    """Events and pictures of one method and one seed. For a `with` block, which closes the events.

    Args:
      config: `ExperimentConfig`.
      directory: `RunDirectory`.
      method, seed: of the config.
      learner: a `MetaLearner`, restored: events of its next iterations are dropped, as they will be
        written again.
    """

    def __init__(
        self,
        config: ExperimentConfig,
        directory: RunDirectory,
        method: str,
        seed: int,
        learner: MetaLearner,
    ) -> None:
        self._config = config
        self._run_directory = directory
        self._method, self._seed = method, seed
        self._learner = learner
        self._directory = directory.train(method, seed)
        self._faults_before = collections.Counter(learner.environment.faults())
        done = int(learner.iteration)
        tensorboard.drop_from(self._directory, done)
        self._writer = tf.summary.create_file_writer(str(self._directory))
        self._new = dict(tag_metrics(learner))  # tags that this process has not written yet
        self._monitor: DivergenceMonitor | None = None
        if config.divergence is not None:
            self._monitor = DivergenceMonitor(
                self._directory, config.divergence, seed, self._writer
            )

    def __enter__(self) -> TrainingLog:
        return self

    def __exit__(self, *_: Any) -> None:
        self._writer.close()

    def write(self, metrics: dict[str, float]) -> None:
        """The metrics of the iteration that has just ended, if it is one that is logged."""
        done = int(self._learner.iteration)
        last = done == self._learner.config.num_iterations
        if last or done % self._config.log_interval == 0:
            counts = {"bad_updates": int(self._learner.bad_updates), **self._faults()}
            values = {tensorboard.training_tag(name): value for name, value in metrics.items()}
            values.pop(tensorboard.training_tag("bad_update"))  # those are counted below
            values |= {tensorboard.FAULTS + name: count for name, count in counts.items()}
            texts = {tag: self._new.pop(tag).description for tag in values if tag in self._new}
            tensorboard.write_scalars(self._writer, values, done - 1, descriptions=texts)

    def draw(self, population: Population) -> None:
        """Pictures of the learner, and of adapted policies where these are followed.

        The learner is drawn for the first seed only, whose PNGs the run directory has.
        """
        if self._is_first:
            step = int(self._learner.iteration) - 1
            for name, figure in self._learner.pictures(population).items():
                png = self._save(f"{self._method}_{name.rpartition('/')[2]}", figure)
                tensorboard.write_png(self._writer, name, png, step)
        followed = self._monitor(self._learner, population) if self._monitor else None
        if followed is not None and self._is_first:
            for name, figure in followed.figures.items():
                self._save(f"{self._method}_adapted_{name}", figure)

    def flush(self) -> None:
        """Has the events on the disk: they may be ahead of a checkpoint, never behind."""
        tensorboard.flush(self._writer, self._directory)

    def _faults(self) -> dict[str, int]:
        """Those of this training: the environment counts all that it has seen."""
        counts = self._learner.environment.faults()
        return {name: count - self._faults_before[name] for name, count in counts.items()}

    @property
    def _is_first(self) -> bool:
        return self._seed == self._config.seeds[0]

    def _save(self, name: str, figure: Figure) -> bytes:
        """Writes a PNG and gives its bytes."""
        return figures.save(figure, self._run_directory.figures / f"{name}.png")
