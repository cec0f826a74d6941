"""Training one method with one seed in a run directory, from its last checkpoint to the end.

A run is made of such jobs, (method, seed). Each has checkpoints and events of its own, and its
numbers follow from the config and the seed alone, so that it does not matter where and in which
order they are done: one after the other by `Experiment`, or in several processes by `RayWorkers`.
"""

from __future__ import annotations

import dataclasses
import pathlib
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import tensorflow as tf

from tfcaml import agents, training
from tfcaml.errors import ConfigError, RunError, check
from tfcaml.experiments import checkpoints, run_directory
from tfcaml.experiments.config import NO_AGENT, ExperimentConfig
from tfcaml.experiments.training_log import TrainingLog
from tfcaml.policies import mlp_policy
from tfcaml.reporting.divergence_monitor import check_memory

if TYPE_CHECKING:
    from tfcaml.environments.base import Population
    from tfcaml.learners.base import MetaLearner
    from tfcaml.policies.base import Policy


@dataclasses.dataclass(frozen=True)
class TrainingOptions:
    """What a run may be told besides its config; none of it changes a number.

    Attributes:
      save_interval: Iterations between checkpoints, >= 1.
      keep: Checkpoints that are kept of each method and seed, >= 1.
      allow_fresh_start: Where all checkpoints are damaged, train from the beginning.
      max_bad_updates: Of each method and seed that may be skipped because they are not finite.
    """

    save_interval: int
    keep: int = 2
    allow_fresh_start: bool = False
    max_bad_updates: int = 10

    def __post_init__(self) -> None:
        check(self.save_interval >= 1, "save_interval", self.save_interval, ">= 1")
        check(self.keep >= 1, "keep", self.keep, ">= 1")
        check(self.max_bad_updates >= 0, "max_bad_updates", self.max_bad_updates, ">= 0")


class Trainer:
    """The learners of a config and their checkpoints in a run directory.

    Learners are compiled once and shared by all seeds: a learner that is returned is reset by what
    returns it next.

    Args:
      config: `ExperimentConfig`.
      directory: `RunDirectory`, or None until there is one: it may be set later.
      options: `TrainingOptions`.

    Attributes:
      environment: the `TaskFamily`.
      learners: dict method -> `MetaLearner`, those that have been made.
      seconds: variable, of training the learner that was returned last.
    """

    def __init__(
        self,
        config: ExperimentConfig,
        directory: run_directory.RunDirectory | None,
        options: TrainingOptions,
    ) -> None:
        self.config = config
        self.directory: Any = directory
        self.options = options
        self.environment = config.family(config.environment)
        self.learners: dict[str, MetaLearner] = {}
        self.seconds = tf.Variable(0.0, dtype=tf.float64)
        self._policies: dict[str, Policy] = {}  # method -> its own policy
        self._losses: dict[float, agents.AgentLoss] = {}

    def population(self, seed: int, num_tasks: int | None = None) -> Population:
        """Entities of one seed."""
        return self.environment.population(seed, num_tasks or self.config.num_tasks)

    def policy_and_loss(self, method: str) -> tuple[Policy, Any]:
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

    def made(self, method: str) -> MetaLearner:
        """The method's learner, whatever it has learned."""
        if method not in self.learners:
            learner_class, learner_config = self.config.learners[method]
            policy, loss = self.policy_and_loss(method)
            if self.config.divergence is not None:
                check_memory(policy)
            self.learners[method] = learner_class(
                self.environment,
                policy,
                learner_config,
                seed=self.config.seeds[0],
                jit_compile=self.config.jit_compile,
                loss=loss,
            )
        return self.learners[method]

    def new(self, method: str, seed: int) -> MetaLearner:
        """The method's learner, as before its training with a seed."""
        learner = self.made(method)
        learner.reset(seed)
        self.seconds.assign(0)
        return learner

    def restored(self, method: str, seed: int, iteration: int | None = None) -> MetaLearner:
        """The method's learner, as this seed's training ended, or as it was after an iteration.

        Raises:
          ConfigError: it has not been trained to the end, or that checkpoint has not been kept.
        """
        learner = self.new(method, seed)
        length, saved = learner.config.num_iterations, 0
        if length and iteration != 0:
            saved = self._checkpoints(method, seed, learner).restore(step=iteration)
        if iteration is not None:
            kept = f"one whose checkpoint {self.directory.train(method, seed)} holds"
            check(saved == iteration, "iteration", iteration, kept)
            return learner
        if saved < length:
            raise ConfigError(
                f"{self.directory.root}: {method} with seed {seed} is trained for {saved} of "
                f"{length} iterations; run tfcaml train with this root_dir to the end first"
            )
        return learner

    def saved_iteration(self, method: str, seed: int) -> int:
        """What the newest checkpoint says of itself; whether it is whole is not known yet."""
        newest = checkpoints.newest_step(self._checkpoint_directory(method, seed))
        return min(newest, self.config.learners[method][1].num_iterations)

    def train(
        self,
        method: str,
        seed: int,
        reached: Callable[[int, str], object],
        should_stop: Callable[[], bool],
    ) -> bool:
        """Trains one method with one seed from its last checkpoint.

        Args:
          method, seed: of the config.
          reached: called with the number of iterations that have been done, first with those of the
            checkpoint and then after each one, and with the latest figure.
          should_stop: called after each iteration; training stops at a checkpoint when it says so.

        Returns:
          whether it got to the end.

        Raises:
          RunError: more updates than that were not finite, or an environment failed.
          WriteError: the disk is full or can't be written.
        """
        learner = self.new(method, seed)
        length, options = learner.config.num_iterations, self.options
        saved = self._checkpoints(method, seed, learner)
        done = saved.restore(options.allow_fresh_start)
        reached(done, "")
        if done >= length:
            return True
        population = self.population(seed)
        with TrainingLog(self.config, self.directory, method, seed, learner) as log:
            while (iteration := int(learner.iteration)) < length:
                metrics = self._train_iteration(learner, population, seed)
                log.write(metrics)
                training.check_bad_updates(learner, options.max_bad_updates)
                log.draw(population)
                reached(iteration + 1, training.latest_figure(metrics))
                stop, last = should_stop(), iteration + 1 == length
                if stop or last or (iteration + 1) % options.save_interval == 0:
                    log.flush()
                    saved.save(iteration + 1)
                if stop:
                    return False
        return True

    def failure(self, method: str, seed: int, error: Exception) -> RunError:
        """The error with what can be gone on from."""
        directory = self._checkpoint_directory(method, seed)
        step = checkpoints.newest_step(directory)
        good = f"the last good checkpoint is {directory / f'iteration-{step}'}"
        return RunError(f"{method} with seed {seed}: {error}; {good if step else 'no checkpoint'}")

    def _train_iteration(
        self, learner: MetaLearner, population: Population, seed: int
    ) -> dict[str, float]:
        """One iteration, with how fast it was among its metrics."""
        start = time.monotonic()
        metrics = training.train_iteration(learner, population, seed)
        seconds = time.monotonic() - start
        self.seconds.assign_add(seconds)
        return {
            **metrics,
            "iterations_per_second": 1 / seconds,
            "steps_per_second": learner.steps_per_iteration / seconds,
        }

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
        variables = checkpoints.named({**learner.checkpointed(), "seconds": self.seconds})
        return checkpoints.Checkpoints(
            self._checkpoint_directory(method, seed), variables, about, self.options.keep
        )

    def _checkpoint_directory(self, method: str, seed: int) -> pathlib.Path:
        folder = self.directory.train(method, seed)
        old = folder / "checkpoint"  # of runs begun before; TensorFlow has a file of this name
        return old if old.is_dir() else folder / "checkpoints"
