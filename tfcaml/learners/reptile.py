"""Reptile: move the initialisation towards the weights adapted to each task.

A. Nichol, J. Achiam, J. Schulman, "On First-Order Meta-Learning Algorithms", arXiv 1803.02999,
Algorithm 2:  theta <- theta + epsilon * mean_i (phi_i - theta).

Differences from the paper: the adaptation is a policy gradient; the inner optimiser starts afresh
on every task (the authors' code lets Adam's second moment run on).
"""

import dataclasses

import tensorflow as tf

from tfcaml import nest
from tfcaml.errors import check, check_one_of
from tfcaml.learners.base import LearnerConfig, MetaLearner


@dataclasses.dataclass(frozen=True)
class ReptileConfig(LearnerConfig):
    """Settings of Reptile."""

    outer_step_size: float = 0.05  # epsilon; 0.05 did better than 0.25 and 1 on these particles
    annealing: str = "linear"  # epsilon falls to 0 over the run (paper), or "none"

    def __post_init__(self):
        super().__post_init__()
        check(0 < self.outer_step_size <= 1, "outer_step_size", self.outer_step_size, "in (0, 1]")
        check_one_of("annealing", self.annealing, ("linear", "none"))


class Reptile(MetaLearner):
    """meta = {"params": theta}."""

    Config = ReptileConfig

    def collect(self, meta, task, seed):
        fast = self.start(meta, nest.leading(task))
        return self.adapt_online(meta, fast, task, self.config.inner_updates, seed)

    def update(self, batch):
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
            "return_after": tf.reduce_mean(returns[-1]),
            "outer_step_size": epsilon,
        }
