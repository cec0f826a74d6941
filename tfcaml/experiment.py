"""An experiment: one learner and its baselines, several seeds, one run directory.

The same command on the same directory goes on where it stopped: every (method, seed) has its own
checkpoints, all random numbers follow from the seed and the iteration, and the evaluation at the
end depends on nothing but the trained parameters.
"""

import dataclasses
import logging
import time

import numpy as np
import tensorflow as tf

from tfcaml import (
    agents,
    checkpoints,
    evaluation,
    report,
    run_directory,
    training,
)
from tfcaml.environments import ENVIRONMENTS
from tfcaml.errors import ConfigError, RunError, check, check_one_of, writing
from tfcaml.evaluation_figures import (
    pictures_of_days,
    pictures_of_evaluation,
    pictures_of_paths,
    write_evaluation,
)
from tfcaml.experiment_config import NO_AGENT, ExperimentConfig
from tfcaml.policies import mlp_policy
from tfcaml.progress import Progress
from tfcaml.training_log import TrainingLog

__all__ = ["NO_AGENT", "Experiment", "ExperimentConfig"]

_log = logging.getLogger(__name__)


class Experiment:
    """Trains and evaluates all methods of a config in a run directory.

    Args:
      config: `ExperimentConfig`.
      directory: `RunDirectory`.
      should_stop: called after each iteration; training stops at a checkpoint when it says so.
      keep: checkpoints that are kept of each method and seed, >= 1.
      allow_fresh_start: where all checkpoints are damaged, train from the beginning.
      max_bad_updates: of each method and seed that may be skipped because they are not finite.

    Raises:
      RunError: more than that were, or an environment failed.
      WriteError: by what writes, when the disk is full or can't be written.
    """

    def __init__(
        self,
        config,
        directory,
        should_stop=lambda: False,
        *,
        keep=2,
        allow_fresh_start=False,
        max_bad_updates=10,
    ):
        check(keep >= 1, "keep", keep, ">= 1")
        check(max_bad_updates >= 0, "max_bad_updates", max_bad_updates, ">= 0")
        self.config = config
        self.directory = directory
        self.should_stop = should_stop
        self.keep = keep
        self.allow_fresh_start = allow_fresh_start
        self.max_bad_updates = max_bad_updates
        family, _ = ENVIRONMENTS[config.environment_name]
        self.environment = family(config.environment)
        self.policy = mlp_policy(
            self.environment.observation_spec, self.environment.action_spec, **config.policy
        )
        self.loss = None
        if config.agent != NO_AGENT:
            make = agents.AGENTS[config.agent]
            layers = config.policy["fc_layer_params"]
            self.loss = make(self.environment, self.policy.network, layers)
            self.policy = self.loss.policy
        self._learners = {}
        self._seconds = tf.Variable(0.0, dtype=tf.float64)  # of training the current learner

    def population(self, seed, num_tasks=None):
        """Entities of one seed."""
        return self.environment.population(seed, num_tasks or self.config.num_tasks)

    @writing()
    def train(self, stream=None):
        """Trains every method with every seed to the end. Returns whether it got there."""
        jobs = [(method, seed) for method in self.config.learners for seed in self.config.seeds]
        # Episodes are what takes the time.
        weights = [self._learner(*job).episodes_per_iteration for job in jobs]
        lengths = [self.config.learners[method][1].num_iterations for method, _ in jobs]
        saved = [self._saved_iteration(*job) for job in jobs]
        with Progress(np.dot(weights, lengths), np.dot(weights, saved), stream) as progress:
            for method, seed in jobs:
                try:
                    finished = self._train_job(method, seed, progress)
                except RunError as error:
                    raise self._failure(method, seed, error) from error
                if not finished:
                    return False
        return True

    @writing()
    def evaluate(self, num_tasks=None, num_updates=None, episodes=None):
        """Evaluates the trained learners on held-out entities; writes eval/ and figures/.

        Returns:
          (summary, see `report.summarize`; paths of the figures).

        Raises:
          ConfigError: a learner that has not been trained to the end.
        """
        config = self.config
        num_updates = config.num_updates if num_updates is None else num_updates
        results, examples = {}, {}
        for method, (_, learner_config) in config.learners.items():
            results[method] = []
            for seed in config.seeds:
                learner = self._restored(method, seed)
                population = self.population(seed, num_tasks)
                found = evaluation.evaluate(
                    learner,
                    population.query,
                    num_updates=num_updates,
                    num_episodes=episodes or config.episodes,
                    seed=seed,
                )
                results[method].append(
                    {
                        "seed": seed,
                        "groups": population.query_group,
                        "returns": found.returns,
                        "trial_episodes": getattr(learner_config, "trial_episodes", 0),
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
        summary = {
            "environment": config.environment_name,
            "seeds": list(config.seeds),
            "num_tasks": num_tasks or config.num_tasks,
            "num_updates": num_updates,
            "episodes": episodes or config.episodes,
            **report.summarize(results, main=next(iter(config.learners))),
        }
        run_directory.write_json(self.directory.evaluation / "evaluation.json", summary)
        run_directory.write_text(
            self.directory.evaluation / "evaluation.csv", report.to_csv(summary)
        )
        return summary, self._evaluation_figures(results, examples, summary)

    def trained(self, method, seed):
        """The learner that this method and seed were trained to; one object for all seeds.

        Raises:
          ConfigError: a method or seed that is not of this run, or not trained to the end.
        """
        check_one_of("method", method, tuple(self.config.learners))
        check_one_of("seed", seed, self.config.seeds)
        return self._restored(method, seed)

    def environment_steps(self, method):
        """Environment steps that training this method takes, per seed, at most."""
        learner = self._learner(method, self.config.seeds[0])
        episodes = learner.config.num_iterations * learner.episodes_per_iteration
        return episodes * self.environment.horizon

    def training_seconds(self, method):
        """Wall time that training this method took, mean over seeds."""
        seconds = []
        for seed in self.config.seeds:
            self._restored(method, seed)
            seconds.append(float(self._seconds))
        return float(np.mean(seconds))

    def _learner(self, method, seed):
        """The method's learner, as new for `seed`; compiled once for all seeds."""
        if method not in self._learners:
            learner_class, learner_config = self.config.learners[method]
            self._learners[method] = learner_class(
                self.environment,
                self.policy,
                learner_config,
                seed=seed,
                jit_compile=self.config.jit_compile,
                loss=self.loss,
            )
        learner = self._learners[method]
        learner.reset(seed)
        self._seconds.assign(0)
        return learner

    def _checkpoints(self, method, seed, learner):
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

    def _checkpoint_directory(self, method, seed):
        return self.directory.train(method, seed) / "checkpoint"

    def _saved_iteration(self, method, seed):
        """What the newest checkpoint says of itself; whether it is whole is not known yet."""
        newest = checkpoints.newest_step(self._checkpoint_directory(method, seed))
        return min(newest, self.config.learners[method][1].num_iterations)

    def _failure(self, method, seed, error):
        """The error with what can be gone on from."""
        directory = self._checkpoint_directory(method, seed)
        step = checkpoints.newest_step(directory)
        good = f"the last good checkpoint is {directory / f'iteration-{step}'}"
        return RunError(f"{method} with seed {seed}: {error}; {good if step else 'no checkpoint'}")

    def _restored(self, method, seed):
        learner = self._learner(method, seed)
        length, saved = learner.config.num_iterations, 0
        if length:
            saved = self._checkpoints(method, seed, learner).restore()
        if saved < length:
            raise ConfigError(
                f"{self.directory.root}: {method} with seed {seed} is trained for {saved} of "
                f"{length} iterations; run launchers.train on this root_dir to the end first"
            )
        return learner

    def _train_job(self, method, seed, progress):
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
                latest = metrics.get("return_after", metrics.get("return_last_update", np.nan))
                log.write(metrics)
                training.check_bad_updates(learner, self.max_bad_updates)
                log.draw(population)
                progress.advance(
                    f"{method} seed {seed} iteration {iteration + 1}/{length}",
                    f"return {latest:.0f}",
                    learner.episodes_per_iteration,
                )
                stop, last = self.should_stop(), iteration + 1 == length
                if stop or last or (iteration + 1) % self.config.save_interval == 0:
                    log.flush()
                    saved.save(iteration + 1)
                if stop:
                    return False
        return True

    def _train_iteration(self, learner, population, seed):
        """One iteration, with how fast it was among its metrics."""
        start = time.monotonic()
        metrics = training.train_iteration(learner, population, seed)
        seconds = time.monotonic() - start
        self._seconds.assign_add(seconds)
        steps = learner.episodes_per_iteration * self.environment.horizon
        return {
            **metrics,
            "iterations_per_second": 1 / seconds,
            "steps_per_second": steps / seconds,
        }

    def _evaluation_figures(self, results, examples, summary):
        config, directory = self.config, self.directory
        pictures = pictures_of_evaluation(config, directory.train, results)
        query = self.population(config.seeds[0]).query
        pictures |= pictures_of_paths(self.environment.planar_goal(query), examples)
        pictures |= pictures_of_days(self.environment, examples)
        return write_evaluation(self.directory, pictures, summary)
