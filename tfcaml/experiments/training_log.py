"""What a training run shows of itself: events for TensorBoard, and pictures."""

import collections
import dataclasses

import tensorflow as tf

from tfcaml import figures
from tfcaml.reporting import tensorboard
from tfcaml.reporting.divergence_monitor import DivergenceMonitor


class TrainingLog:
    """Events and pictures of one method and one seed. For a `with` block, which closes the events.

    Args:
      config: `ExperimentConfig`.
      directory: `RunDirectory`.
      method, seed: of the config.
      learner: a `MetaLearner`, restored: events of its next iterations are dropped, as they will be
        written again.
    """

    def __init__(self, config, directory, method, seed, learner):
        self._config = config
        self._run_directory = directory
        self._method, self._seed = method, seed
        self._learner = learner
        self._directory = directory.train(method, seed)
        self._faults_before = collections.Counter(learner.environment.faults())
        done = int(learner.iteration)
        tensorboard.drop_from(self._directory, done)
        self._writer = tf.summary.create_file_writer(str(self._directory))
        if done == 0:
            tensorboard.write_hparams(self._writer, dataclasses.asdict(learner.config))
        self._monitor = None
        if config.divergence is not None:
            self._monitor = DivergenceMonitor(
                self._directory, config.divergence, seed, self._writer
            )

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._writer.close()

    def write(self, metrics):
        """The metrics of the iteration that has just ended, if it is one that is logged."""
        done = int(self._learner.iteration)
        last = done == self._learner.config.num_iterations
        if last or done % self._config.log_interval == 0:
            counts = {"bad_updates": int(self._learner.bad_updates), **self._faults()}
            sections = {"train": metrics, "Reliability": counts}
            values = {
                f"{s}/{name}": x for s, numbers in sections.items() for name, x in numbers.items()
            }
            tensorboard.write_scalars(self._writer, values, done - 1)

    def draw(self, population):
        """Pictures of the learner, and of adapted policies where these are followed.

        The learner is drawn for the first seed only, whose PNGs the run directory has.
        """
        if self._is_first:
            step = int(self._learner.iteration) - 1
            for name, figure in self._learner.pictures(population).items():
                png = self._save(f"{self._method}_{name.rpartition('/')[2]}", figure)
                tensorboard.write_png(self._writer, name, png, step)
        followed = self._monitor and self._monitor(self._learner, population)
        if followed is not None and self._is_first:
            for name, figure in followed.figures.items():
                self._save(f"{self._method}_adapted_{name}", figure)

    def flush(self):
        """Has the events on the disk: they may be ahead of a checkpoint, never behind."""
        tensorboard.flush(self._writer, self._directory)

    def _faults(self):
        """Those of this training: the environment counts all that it has seen."""
        counts = self._learner.environment.faults()
        return {name: count - self._faults_before[name] for name, count in counts.items()}

    @property
    def _is_first(self):
        return self._seed == self._config.seeds[0]

    def _save(self, name, figure):
        """Writes a PNG and gives its bytes."""
        return figures.save(figure, self._run_directory.figures / f"{name}.png")
