"""An experiment: one learner and its baselines, several seeds, one run directory.

The same command on the same directory goes on where it stopped: every (method, seed) has its own
checkpoints, all random numbers follow from the seed and the iteration, and the evaluation at the
end depends on nothing but the trained parameters.

    experiment = Experiment.create("runs/mine", config, seed=0)  # begins a run, or goes on with it
    experiment.train()
    summary, figures = experiment.evaluate()
    learner = Experiment.open("runs/mine").trained("caml", 0)  # of any run, also that of a study
"""

from __future__ import annotations

import collections
import contextlib
import functools
import logging
import os
import pathlib
import time
import types
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TextIO

import numpy as np

from tfcaml import evaluation, provenance
from tfcaml.errors import RunError, check_one_of, writing
from tfcaml.experiments import jobs, report_content, run_directory
from tfcaml.experiments.config import NO_AGENT, ExperimentConfig, completed, plugins_of
from tfcaml.experiments.trainer import Trainer, TrainingOptions
from tfcaml.experiments.training_log import logged_faults, tag_metrics
from tfcaml.reporting import report, run_report
from tfcaml.reporting.evaluation_figures import (
    figures_of,
    pictures_of_evaluation,
    pictures_of_films,
    pictures_of_paths,
    write_evaluation,
)

if TYPE_CHECKING:
    from tfcaml.environments.base import Population
    from tfcaml.learners.base import MetaLearner
    from tfcaml.types import Episodes

__all__ = ["NO_AGENT", "Experiment", "ExperimentConfig"]

_log = logging.getLogger(__name__)


class Experiment:
    """Trains and evaluates all methods of a config in a run directory.

    `create` and `open` make one. Learners are compiled once and shared by all seeds: a learner that
    `trained` returns is reset by the next call of `trained` for its method, and of `train`; nothing
    else here changes it.

    Args:
      config: `ExperimentConfig`.
      directory: `RunDirectory`.
      should_stop: called after each iteration; training stops at a checkpoint when it says so.
      save_interval: iterations between checkpoints, >= 1; the config's unless given.
      keep: checkpoints that are kept of each method and seed, >= 1.
      allow_fresh_start: where all checkpoints are damaged, train from the beginning.
      max_bad_updates: of each method and seed that may be skipped because they are not finite.
      command: the command line that begins or goes on with the run, for report.html; None without.
      name: of the experiment in what is told of its progress, where there are several.

    Attributes:
      environment: the `TaskFamily`.
      policy: the `Policy` of the main method; its weights are the learners'.
      loss: the `AgentLoss` of the main method, None unless the config names an agent.

    Raises:
      ConfigError: an option that is not allowed.
      RunError: more than that were, or an environment failed.
      WriteError: by what writes, when the disk is full or can't be written.
    """

    def __init__(
        self,
        config: ExperimentConfig,
        directory: run_directory.RunDirectory | None,
        should_stop: Callable[[], bool] = lambda: False,
        *,
        save_interval: int | None = None,
        keep: int = 2,
        allow_fresh_start: bool = False,
        max_bad_updates: int = 10,
        command: str | None = None,
        name: str = "",
    ) -> None:
        options = TrainingOptions(
            config.save_interval if save_interval is None else save_interval,
            keep,
            allow_fresh_start,
            max_bad_updates,
        )
        self.config = config
        self.should_stop = should_stop
        self.trainer = Trainer(config, directory, options)
        self.environment = self.trainer.environment
        self.policy, self.loss = self.trainer.policy_and_loss(next(iter(config.learners)))
        self.name = name
        self._command = command
        self._run: dict[str, Any] = {}  # what config.json is to hold, of a planned one
        # (method, seed) -> (seconds of training, updates skipped in it), as far as known
        self._trained_in: dict[tuple[str, int], tuple[float, int]] = {}

    @classmethod
    def create(
        cls,
        root: str | os.PathLike[str],
        content: dict[str, Any],
        seed: int = 0,
        jit_compile: bool | None = None,
        **options: Any,
    ) -> Experiment:
        """The experiment of a config in a run directory: a new one, or one to go on with.

        Args:
          root: path of the run directory; made if missing.
          content: the config, a nested dict, see `configs.base`. The modules of classes of the
            user's own that it names are imported.
          seed: Python int, the first seed.
          jit_compile: whether iterations are compiled with XLA, see `MetaLearner`.
          **options: of `Experiment`.

        Raises:
          ConfigError: a bad config or option; or a directory that is something else than a run of
            this config, with these seeds. Nothing in it is changed then.
        """
        experiment = cls.planned(content, seed, jit_compile, **options)
        experiment.begin(root)
        return experiment

    @classmethod
    def planned(
        cls,
        content: dict[str, Any],
        seed: int = 0,
        jit_compile: bool | None = None,
        **options: Any,
    ) -> Experiment:
        """An experiment without a directory yet, see `begin`; the arguments are those of `create`.

        Raises:
          ConfigError: a bad config or option.
        """
        config = ExperimentConfig.from_dict(content, seed, jit_compile)
        experiment = cls(config, None, **options)
        for method in config.learners:
            experiment.trainer.made(method)  # what they refuse leaves no directory behind
        experiment._run = {"config": content, "seed": seed, "jit_compile": jit_compile}
        return experiment

    def begin(self, root: str | os.PathLike[str]) -> None:
        """Gives a planned experiment its run directory; see `create`."""
        fill = functools.partial(completed, plugins=plugins_of(self._run["config"]))
        self.trainer.directory = run_directory.RunDirectory(
            root, self._run, fill, command=self._command
        )

    @property
    def directory(self) -> Any:
        """The `RunDirectory`; None until there is one."""
        return self.trainer.directory

    @directory.setter
    def directory(self, directory: run_directory.RunDirectory) -> None:
        self.trainer.directory = directory

    @classmethod
    def open(
        cls,
        root: str | os.PathLike[str],
        *,
        plugins: Sequence[str] = (),
        read_only: bool = False,
        **measured: int,
    ) -> Experiment:
        """The experiment of a run directory that there is, to evaluate it or to take learners from.

        Args:
          root: path of the run directory, whoever made it.
          plugins: names of modules that may be imported, see `ExperimentConfig.from_run`.
          read_only: nothing will be written, so that the directory may be in use.
          **measured: num_tasks, num_updates and episodes of an evaluation; the run's own unless
            given.

        Raises:
          ConfigError: there is no run, or not one that this version can read; or it names a class
            of a module that is not one of `plugins`.
        """
        run = run_directory.read_config(root)
        config = ExperimentConfig.from_run(run, plugins, **measured)
        return cls(config, run_directory.RunDirectory(root, run, read_only=read_only))

    def population(self, seed: int, num_tasks: int | None = None) -> Population:
        """Entities of one seed."""
        return self.environment.population(seed, num_tasks or self.config.num_tasks)

    def train(self, stream: TextIO | None = None, workers: jobs.Workers | None = None) -> bool:
        """Trains every method with every seed to the end; writes report.html if it trained any.

        Args:
          stream: where progress is told; stderr unless given.
          workers: what trains, such as `RayWorkers`; None: this process.

        Returns:
          whether it got there.
        """
        return jobs.train([self], stream, workers)

    @writing()
    def evaluate(
        self,
        num_tasks: int | None = None,
        num_updates: int | None = None,
        episodes: int | None = None,
    ) -> tuple[dict[str, Any], list[pathlib.Path]]:
        """Evaluates the trained learners on held-out entities.

        Writes eval/, figures/ and report.html.

        The learners are afterwards as they were before.

        Returns:
          (summary: `report.summarize` with environment, seeds, num_tasks, num_updates, episodes and
          seen, see `Population.seen`; paths of the figures).

        Raises:
          ConfigError: a learner that has not been trained to the end.
        """
        with self._unchanged():
            return self._evaluate(num_tasks, num_updates, episodes)

    def _evaluate(
        self, num_tasks: int | None, num_updates: int | None, episodes: int | None
    ) -> tuple[dict[str, Any], list[pathlib.Path]]:
        config = self.config
        num_updates = config.num_updates if num_updates is None else num_updates
        start, faults = time.monotonic(), collections.Counter(self.environment.faults())
        results: dict[str, list[dict[str, Any]]] = {}
        examples: dict[str, Any] = {}
        shown: dict[str, Sequence[Episodes]] = {}
        for method in config.learners:
            results[method] = []
            for seed in config.seeds:
                learner = self.trainer.restored(method, seed)
                skipped = int(learner.bad_updates)
                self._trained_in[method, seed] = float(self.trainer.seconds), skipped
                population = self.population(seed, num_tasks)
                found = evaluation.evaluate(
                    learner,
                    population.test,
                    num_updates=num_updates,
                    num_episodes=episodes or config.episodes,
                    seed=seed,
                )
                results[method].append(
                    {
                        "seed": seed,
                        "groups": population.test_group,
                        "test_set": population.test_set,
                        "returns": found.returns,
                        "trial_episodes": learner.trial_episodes,
                        "episodes_per_update": learner.test_episodes,
                        "bad_updates": found.bad_updates,
                    }
                )
                if found.bad_updates.any():
                    _log.warning(
                        "%s with seed %d: %d adaptation steps skipped, as they were not finite",
                        *(method, seed, found.bad_updates.sum()),
                    )
                examples.setdefault(method, found.trajectories)
                shown.setdefault(method, found.shown)
        summary = {
            "environment": config.environment_name,
            "seeds": list(config.seeds),
            "num_tasks": num_tasks or config.num_tasks,
            "num_updates": num_updates,
            "episodes": episodes or config.episodes,
            "seen": self.population(config.seeds[0], num_tasks).seen(),
            **report.summarize(results, main=next(iter(config.learners))),
        }
        run_directory.write_json(self.directory.evaluation / "evaluation.json", summary)
        for name, text in (("evaluation", report.to_csv), ("tables", report.tables_to_csv)):
            run_directory.write_text(self.directory.evaluation / f"{name}.csv", text(summary))
        paths = self._evaluation_figures(results, examples, shown, summary)
        faults = collections.Counter(self.environment.faults()) - faults
        self._write_report(summary, time.monotonic() - start, faults)
        return summary, paths

    def trained(self, method: str, seed: int, iteration: int | None = None) -> MetaLearner:
        """The learner that this method and seed were trained to; one object for all seeds.

        Args:
          method, seed: of this run.
          iteration: of a checkpoint that has been kept, see `keep`, or 0; the last unless given.

        Raises:
          ConfigError: a method or seed that is not of this run, or not trained to the end; or an
            iteration without a checkpoint.
        """
        check_one_of("method", method, tuple(self.config.learners))
        check_one_of("seed", seed, self.config.seeds)
        return self.trainer.restored(method, seed, iteration)

    def environment_steps(self, method: str) -> int:
        """Environment steps that training this method takes, per seed, at most."""
        learner = self.trainer.made(method)
        return learner.config.num_iterations * learner.steps_per_iteration

    def training_seconds(self, method: str) -> float:
        """Wall time that training this method took, mean over seeds."""
        seconds = []
        with self._unchanged():
            for seed in self.config.seeds:
                self.trainer.restored(method, seed)
                seconds.append(float(self.trainer.seconds))
        return float(np.mean(seconds))

    @contextlib.contextmanager
    def _unchanged(self) -> Iterator[None]:
        """Learners are afterwards as before: what only tells something must not change them."""
        learners = self.trainer.learners.values()
        before = [(x, x.numpy()) for learner in learners for x in learner.variables]
        seconds = float(self.trainer.seconds)
        try:
            yield
        finally:
            for variable, value in before:
                variable.assign(value)
            self.trainer.seconds.assign(seconds)

    def _evaluation_figures(
        self,
        results: dict[str, list[dict[str, Any]]],
        examples: dict[str, Any],
        shown: dict[str, Sequence[Episodes]],
        summary: dict[str, Any],
    ) -> list[pathlib.Path]:
        config, directory = self.config, self.directory
        pictures = pictures_of_evaluation(config, directory.train, results, summary["seen"])
        query = self.population(config.seeds[0]).test
        trajectories = {method: [each.trajectory for each in shown[method]] for method in shown}
        paths, animations = pictures_of_paths(self.environment, query, trajectories)
        films, moving = pictures_of_films(self.environment, config.environment_name, shown)
        pictures |= paths | films | self.environment.pictures(examples)
        animations |= moving
        learners = [self.trainer.made(method) for method in config.learners]
        configs = dict(zip(config.learners, (learner.config for learner in learners)))
        metrics = {k: v for learner in learners for k, v in tag_metrics(learner).items()}
        return write_evaluation(directory, pictures, animations, summary, configs, metrics)

    def note_training(self, method: str, seed: int, ended: jobs.Ended) -> None:
        """Remembers for the report how a job ended."""
        self._trained_in[method, seed] = ended.seconds, ended.bad_updates

    def write_progress(self) -> None:
        """Writes report.html of a run that has not been evaluated since it was trained."""
        self._write_report()

    def write_failure(self, failure: RunError) -> None:
        """Writes report.html of a run in which a job failed, if the disk takes it."""
        with contextlib.suppress(OSError):  # the other error is the one to be told
            self._write_report(failure=str(failure))

    def _write_report(
        self,
        summary: dict[str, Any] | None = None,
        seconds: float | None = None,
        faults: Mapping[str, int] = types.MappingProxyType({}),
        failure: str = "",
    ) -> None:
        """Writes report.html.

        Args:
          summary: of the evaluation; None: there was none.
          seconds: that it took.
          faults: of the environment in it.
          failure: what ended training early.
        """
        config, directory = self.config, self.directory
        faults_in_training = {}
        if self.environment.faults():
            for job in self._trained_in:
                faults_in_training[job] = logged_faults(directory.train(*job))
        skipped = {job: number for job, (_, number) in self._trained_in.items()}
        begun, plugins = directory.begun(), plugins_of(directory.config.get("config"))
        content = run_report.RunReport(
            environment=config.environment_name,
            notice=self.environment.notice,
            methods=[self._trained_method(method) for method in config.learners],
            seeds=config.seeds,
            summary=summary,
            evaluation_seconds=seconds,
            figures=figures_of(directory),
            incidents=report_content.incidents(skipped, faults_in_training, summary, faults),
            failure=failure,
            settings=report_content.settings_of(config),
            commands=report_content.commands(
                directory.root, config, self._command or begun.get("command"), plugins
            ),
            begun=begun,
            now=provenance.record(),
            written=time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()),
        )
        run_directory.write_text(directory.root / "report.html", run_report.to_html(content))

    def _trained_method(self, method: str) -> run_report.TrainedMethod:
        learner, seeds = self.trainer.made(method), self.config.seeds
        return run_report.TrainedMethod(
            name=method,
            learner=type(learner).__name__,
            num_iterations=learner.config.num_iterations,
            done=[self.trainer.saved_iteration(method, seed) for seed in seeds],
            environment_steps=self.environment_steps(method),
            seconds=[self._trained_in.get((method, seed), (None,))[0] for seed in seeds],
            jit_compile=learner.jit_compile,
        )
