"""Reptile: move the initialisation towards the weights adapted to each task.

A. Nichol, J. Achiam, J. Schulman, "On First-Order Meta-Learning Algorithms", arXiv 1803.02999,
Algorithm 2:  theta <- theta + epsilon * mean_i (phi_i - theta).

Differences from the paper: the adaptation is a policy gradient; the inner optimiser starts afresh
on every task (the authors' code lets Adam's second moment run on; its first moment is off there and
here, `adam_beta_1=0`).
"""

import dataclasses

import tensorflow as tf

from tfcaml import nest, settings
from tfcaml.errors import check, check_one_of, check_positive
from tfcaml.learners.base import LearnerConfig, MetaLearner
from tfcaml.optimization import optimizers
from tfcaml.types import FastState, Metric, Nest, Task


@settings.checked
@dataclasses.dataclass(frozen=True)
class ReptileConfig(LearnerConfig):
    """Settings of Reptile.

    Attributes:
      outer_step_size: Epsilon, how far the initial weights go towards the adapted ones, as a share
        of the way. Source: the study caml_tuning; 0.05 did better than 0.25 and 1.
      annealing: "linear" lets epsilon fall to 0 over the run; "none" leaves it. Source: Reptile
        paper, section 6: linear.
      adam_beta_1: Momentum of the inner optimiser "adam". Source: Reptile's code: 0.
      later_step_scale: What the step size of the inner optimiser "sgd" is multiplied by from the
        second update on. Source: tfcaml.
    """

    outer_step_size: float = 0.05
    annealing: str = "linear"
    adam_beta_1: float = 0.0
    later_step_scale: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        check(0 < self.outer_step_size <= 1, "outer_step_size", self.outer_step_size, "in (0, 1]")
        check_one_of("annealing", self.annealing, ("linear", "none"))
        check(0 <= self.adam_beta_1 < 1, "adam_beta_1", self.adam_beta_1, "in [0, 1)")
        check_positive(later_step_scale=self.later_step_scale)
        if self.inner_optimizer == "sgd":
            rule = "0 with inner_optimizer=sgd, which has no momentum"
            check(self.adam_beta_1 == 0, "adam_beta_1", self.adam_beta_1, rule)
        else:
            rule = "1 unless inner_optimizer=sgd, as Adam sets its own step lengths"
            check(self.later_step_scale == 1, "later_step_scale", self.later_step_scale, rule)

    def inner(self) -> optimizers.Optimizer:
        if self.inner_optimizer == "sgd":
            return optimizers.sgd(self.inner_learning_rate, self.later_step_scale)
        return optimizers.adam(self.inner_learning_rate, self.adam_beta_1)


class Reptile(MetaLearner):
    """meta = {"params": theta}."""

    Config = ReptileConfig
    config: ReptileConfig
    quick_under_xla = True

    def collect(
        self, meta: Nest, task: Task, key: tf.Tensor, index: tf.Tensor | tuple[()] = ()
    ) -> tuple[FastState, tf.Tensor]:
        fast = self.start(meta, nest.leading(task))
        return self.adapt_online(meta, fast, task, self.config.inner_updates, key)

    def update(self, batch: tuple[FastState, tf.Tensor]) -> dict[str, tf.Tensor]:
        fast, returns = batch
        theta = self.meta.read()["params"]
        epsilon = tf.constant(self.config.outer_step_size)
        if self.config.annealing == "linear":
            done = tf.cast(self.iteration, tf.float32) / self.config.num_iterations
            epsilon *= 1 - done
        move = lambda t, phi: t + epsilon * (tf.reduce_mean(phi, axis=0) - t)
        self.meta.write({"params": nest.map(move, theta, fast.params)})
        return {
            "return_before": tf.reduce_mean(returns[0]),
            "return_last_update": tf.reduce_mean(returns[-1]),
            "outer_step_size": epsilon,
        }

    @property
    def metrics(self) -> dict[str, Metric]:
        moved = "The share of the way to the mean of the adapted weights that the weights move."
        return {**super().metrics, "outer_step_size": Metric(moved)}
