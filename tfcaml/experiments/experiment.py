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
import dataclasses
import functools
import logging
import os
import pathlib
import time
import types
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TextIO

import numpy as np
import tensorflow as tf

from tfcaml import agents, evaluation, training
from tfcaml.errors import ConfigError, RunError, check, check_one_of, writing
from tfcaml.experiments import checkpoints, provenance, report_content, run_directory
from tfcaml.experiments.config import NO_AGENT, ExperimentConfig, completed, plugins_of
from tfcaml.experiments.training_log import TrainingLog, logged_faults, tag_metrics
from tfcaml.policies import mlp_policy
from tfcaml.progress import Progress
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
    from tfcaml.policies.base import Policy
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
    ) -> None:
        self.save_interval = config.save_interval if save_interval is None else save_interval
        check(self.save_interval >= 1, "save_interval", self.save_interval, ">= 1")
        check(keep >= 1, "keep", keep, ">= 1")
        check(max_bad_updates >= 0, "max_bad_updates", max_bad_updates, ">= 0")
        self.config = config
        self.directory: Any = directory  # a `RunDirectory`, once there is one
        self.should_stop = should_stop
        self.keep = keep
        self.allow_fresh_start = allow_fresh_start
        self.max_bad_updates = max_bad_updates
        self._command = command
        self.environment = config.family(config.environment)
        self._policies: dict[str, Policy] = {}  # method -> its own policy
        self._losses: dict[float, agents.AgentLoss] = {}
        self.policy, self.loss = self._policy_and_loss(next(iter(config.learners)))
        self._learners: dict[str, MetaLearner] = {}
        self._seconds = tf.Variable(0.0, dtype=tf.float64)  # of training the current learner
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
        config = ExperimentConfig.from_dict(content, seed, jit_compile)
        experiment = cls(config, None, **options)
        for method in config.learners:
            experiment._made(method)  # what they refuse leaves no directory behind
        run = {"config": content, "seed": seed, "jit_compile": jit_compile}
        fill = functools.partial(completed, plugins=plugins_of(content))
        experiment.directory = run_directory.RunDirectory(
            root, run, fill, command=experiment._command
        )
        return experiment

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

    @writing()
    def train(self, stream: TextIO | None = None) -> bool:
        """Trains every method with every seed to the end; writes report.html if it trained any.

        Returns:
          whether it got there.
        """
        jobs = [(method, seed) for method in self.config.learners for seed in self.config.seeds]
        # Episodes are what takes the time.
        weights = [self._made(method).episodes_per_iteration for method, _ in jobs]
        lengths = [self.config.learners[method][1].num_iterations for method, _ in jobs]
        saved = [self._saved_iteration(*job) for job in jobs]
        with Progress(np.dot(weights, lengths), np.dot(weights, saved), stream) as progress:
            for method, seed in jobs:
                try:
                    finished = self._train_job(method, seed, progress)
                except RunError as error:
                    self._note_training(method, seed)
                    failure = self._failure(method, seed, error)
                    with contextlib.suppress(OSError):  # the other error is the one to be told
                        self._write_report(failure=str(failure))
                    raise failure from error
                self._note_training(method, seed)
                if not finished:
                    break
        if not finished or saved != lengths:
            self._write_report()
        return finished

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
          (summary, see `report.summarize`; paths of the figures).

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
                learner = self._restored(method, seed)
                self._note_training(method, seed)
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
            **report.summarize(results, main=next(iter(config.learners))),
        }
        run_directory.write_json(self.directory.evaluation / "evaluation.json", summary)
        for name, text in (("evaluation", report.to_csv), ("tables", report.tables_to_csv)):
            run_directory.write_text(self.directory.evaluation / f"{name}.csv", text(summary))
        paths = self._evaluation_figures(results, examples, shown, summary)
        faults = collections.Counter(self.environment.faults()) - faults
        self._write_report(summary, time.monotonic() - start, faults)
        return summary, paths

    def trained(self, method: str, seed: int) -> MetaLearner:
        """The learner that this method and seed were trained to; one object for all seeds.

        Raises:
          ConfigError: a method or seed that is not of this run, or not trained to the end.
        """
        check_one_of("method", method, tuple(self.config.learners))
        check_one_of("seed", seed, self.config.seeds)
        return self._restored(method, seed)

    def environment_steps(self, method: str) -> int:
        """Environment steps that training this method takes, per seed, at most."""
        learner = self._made(method)
        episodes = learner.config.num_iterations * learner.episodes_per_iteration
        return episodes * learner.environment.horizon

    def training_seconds(self, method: str) -> float:
        """Wall time that training this method took, mean over seeds."""
        seconds = []
        with self._unchanged():
            for seed in self.config.seeds:
                self._restored(method, seed)
                seconds.append(float(self._seconds))
        return float(np.mean(seconds))

    @contextlib.contextmanager
    def _unchanged(self) -> Iterator[None]:
        """Learners are afterwards as before: what only tells something must not change them."""
        learners = self._learners.values()
        before = [(x, x.numpy()) for learner in learners for x in learner.variables]
        seconds = float(self._seconds)
        try:
            yield
        finally:
            for variable, value in before:
                variable.assign(value)
            self._seconds.assign(seconds)

    def _policy_and_loss(self, method: str) -> tuple[Policy, Any]:
        """(policy, loss) of a method's learner; the loss is None unless it is an agent's.

        An agent knows one discount, so that methods with different ones get agents of their own.
        """
        learner_class, learner_config = self.config.learners[method]
        options = self.config.policy
        if self.config.agent == NO_AGENT:
            if method not in self._policies:
                place = learner_class.plays_in(self.environment, learner_config)
                own = learner_class.make_policy(place, learner_config, **options)
                self._policies[method] = own
            return self._policies[method], None
        discount = learner_config.advantage.discount
        if discount not in self._losses:
            make = agents.AGENTS[self.config.agent]
            specs = self.environment.observation_spec, self.environment.action_spec
            network = mlp_policy(*specs, **options).network
            layers = options["fc_layer_params"]
            self._losses[discount] = make(self.environment, network, layers, discount)
        return self._losses[discount].policy, self._losses[discount]

    def _made(self, method: str) -> MetaLearner:
        """The method's learner, whatever it has learned; compiled once for all seeds."""
        if method not in self._learners:
            learner_class, learner_config = self.config.learners[method]
            policy, loss = self._policy_and_loss(method)
            self._learners[method] = learner_class(
                self.environment,
                policy,
                learner_config,
                seed=self.config.seeds[0],
                jit_compile=self.config.jit_compile,
                loss=loss,
            )
        return self._learners[method]

    def _learner(self, method: str, seed: int) -> MetaLearner:
        """The method's learner, as new for `seed`."""
        learner = self._made(method)
        learner.reset(seed)
        self._seconds.assign(0)
        return learner

    def _checkpoints(self, method: str, seed: int, learner: MetaLearner) -> checkpoints.Checkpoints:
        config = self.config
        about = {
            "environment": config.environment_name,
            "learner": type(learner).__name__,
            "config": {
                "environment": dataclasses.asdict(config.environment),
                "policy": config.policy,
                "agent": config.agent,
                "learner": dataclasses.asdict(learner.config),
            },
        }
        variables = checkpoints.named({**learner.checkpointed(), "seconds": self._seconds})
        return checkpoints.Checkpoints(
            self._checkpoint_directory(method, seed), variables, about, self.keep
        )

    def _checkpoint_directory(self, method: str, seed: int) -> pathlib.Path:
        folder = self.directory.train(method, seed)
        old = folder / "checkpoint"  # of runs begun before; TensorFlow has a file of this name
        return old if old.is_dir() else folder / "checkpoints"

    def _saved_iteration(self, method: str, seed: int) -> int:
        """What the newest checkpoint says of itself; whether it is whole is not known yet."""
        newest = checkpoints.newest_step(self._checkpoint_directory(method, seed))
        return min(newest, self.config.learners[method][1].num_iterations)

    def _failure(self, method: str, seed: int, error: Exception) -> RunError:
        """The error with what can be gone on from."""
        directory = self._checkpoint_directory(method, seed)
        step = checkpoints.newest_step(directory)
        good = f"the last good checkpoint is {directory / f'iteration-{step}'}"
        return RunError(f"{method} with seed {seed}: {error}; {good if step else 'no checkpoint'}")

    def _restored(self, method: str, seed: int) -> MetaLearner:
        learner = self._learner(method, seed)
        length, saved = learner.config.num_iterations, 0
        if length:
            saved = self._checkpoints(method, seed, learner).restore()
        if saved < length:
            raise ConfigError(
                f"{self.directory.root}: {method} with seed {seed} is trained for {saved} of "
                f"{length} iterations; run tfcaml train with this root_dir to the end first"
            )
        return learner

    def _train_job(self, method: str, seed: int, progress: Progress) -> bool:
        """Trains one method with one seed from its last checkpoint; False when told to stop."""
        learner = self._learner(method, seed)
        length = learner.config.num_iterations
        saved = self._checkpoints(method, seed, learner)
        done = saved.restore(self.allow_fresh_start)
        lost = self._saved_iteration(method, seed) - done  # in checkpoints that were passed over
        progress.redo(lost * learner.episodes_per_iteration)
        if done >= length:
            return True
        population = self.population(seed)
        with TrainingLog(self.config, self.directory, method, seed, learner) as log:
            while (iteration := int(learner.iteration)) < length:
                metrics = self._train_iteration(learner, population, seed)
                latest = training.latest_return(metrics)
                log.write(metrics)
                training.check_bad_updates(learner, self.max_bad_updates)
                log.draw(population)
                progress.advance(
                    f"{method} seed {seed} iteration {iteration + 1}/{length}",
                    f"return {latest:.0f}",
                    learner.episodes_per_iteration,
                )
                stop, last = self.should_stop(), iteration + 1 == length
                if stop or last or (iteration + 1) % self.save_interval == 0:
                    log.flush()
                    saved.save(iteration + 1)
                if stop:
                    return False
        return True

    def _train_iteration(
        self, learner: MetaLearner, population: Population, seed: int
    ) -> dict[str, float]:
        """One iteration, with how fast it was among its metrics."""
        start = time.monotonic()
        metrics = training.train_iteration(learner, population, seed)
        seconds = time.monotonic() - start
        self._seconds.assign_add(seconds)
        steps = learner.episodes_per_iteration * learner.environment.horizon
        return {
            **metrics,
            "iterations_per_second": 1 / seconds,
            "steps_per_second": steps / seconds,
        }

    def _evaluation_figures(
        self,
        results: dict[str, list[dict[str, Any]]],
        examples: dict[str, Any],
        shown: dict[str, Sequence[Episodes]],
        summary: dict[str, Any],
    ) -> list[pathlib.Path]:
        config, directory = self.config, self.directory
        pictures = pictures_of_evaluation(config, directory.train, results)
        query = self.population(config.seeds[0]).test
        trajectories = {method: [each.trajectory for each in shown[method]] for method in shown}
        paths, animations = pictures_of_paths(self.environment, query, trajectories)
        films, moving = pictures_of_films(self.environment, config.environment_name, shown)
        pictures |= paths | films | self.environment.pictures(examples)
        animations |= moving
        learners = [self._made(method) for method in config.learners]
        configs = dict(zip(config.learners, (learner.config for learner in learners)))
        metrics = {k: v for learner in learners for k, v in tag_metrics(learner).items()}
        return write_evaluation(directory, pictures, animations, summary, configs, metrics)

    def _note_training(self, method: str, seed: int) -> None:
        """Remembers what the learner, which is this seed's now, knows of its training."""
        skipped = int(self._made(method).bad_updates)
        self._trained_in[method, seed] = float(self._seconds), skipped

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
        learner, seeds = self._made(method), self.config.seeds
        return run_report.TrainedMethod(
            name=method,
            learner=type(learner).__name__,
            num_iterations=learner.config.num_iterations,
            done=[self._saved_iteration(method, seed) for seed in seeds],
            environment_steps=self.environment_steps(method),
            seconds=[self._trained_in.get((method, seed), (None,))[0] for seed in seeds],
            jit_compile=learner.jit_compile,
        )
