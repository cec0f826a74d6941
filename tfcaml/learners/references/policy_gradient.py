"""Vanilla policy gradient: N independent policies, one per entity, trained as one batch.

R. J. Williams, "Simple statistical gradient-following algorithms for connectionist reinforcement
learning", Machine Learning 8 (1992), with reward-to-go and a baseline. Nothing is shared between
the policies. It is the "matched" reference of the CAML study (train on the very entity that is
tested) and makes the populations of policies that `tfcaml.divergence` compares. Steps may be paid
for what they teach of the dynamics (`exploration.vime`).
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import tensorflow as tf

from tfcaml import keys, nest, settings
from tfcaml.errors import check
from tfcaml.exploration import vime
from tfcaml.exploration.vime import VIMEConfig
from tfcaml.learners.base import LearnerConfig
from tfcaml.learners.references.curious import Curious
from tfcaml.types import FastState, Nest, Task, Trajectory, episode_return

if TYPE_CHECKING:
    from tfcaml.environments.base import Population


@settings.checked
@dataclasses.dataclass(frozen=True)
class PolicyGradientConfig(LearnerConfig):
    """Settings of the independent policies.

    Attributes:
      num_iterations: Updates of each policy where `inner_updates` is 1. Source: CAML paper, Figure
        2: 40.
      meta_batch_size: Policies, one for each of the first training tasks. Source: CAML paper,
        Figure 2: 6 groups of 4.
      inner_updates: Updates of each policy in an iteration. Source: tfcaml.
      shared_initialization: Whether all policies start from the same weights. Source: the study
        caml_figure2.
      vime: The bonus for what steps teach of the dynamics; off by default. Source: R. Houthooft et
        al., NeurIPS 2016 (VIME).
    """

    num_iterations: int = 40
    meta_batch_size: int = 24
    inner_updates: int = 1
    shared_initialization: bool = False
    vime: VIMEConfig = VIMEConfig()

    def __post_init__(self) -> None:
        super().__post_init__()
        fits = self.vime.eta == 0 or self.inner_updates == 1
        rule = "1 with vime.eta > 0, as its model learns once in an iteration"
        check(fits, "inner_updates", self.inner_updates, rule)

    def stored(self, sizes: settings.Sizes, num_tasks: int) -> list[settings.Stored]:
        return [*super().stored(sizes, num_tasks), *vime.stored(self, sizes)]


class PolicyGradient(Curious):
    """Row i of `meta` is the policy of task i, with its optimiser state."""

    Config = PolicyGradientConfig
    config: PolicyGradientConfig
    adapts_to_any_task = False
    quick_under_xla = True

    def init(self, seed: int) -> Nest:
        num = self.config.meta_batch_size
        if self.config.shared_initialization:
            params = nest.repeat(self.policy.init(seed), num)
        else:
            seeds = [(seed * 1_000_003 + i) % keys.NUM_SEEDS for i in range(num)]
            params = nest.stack([self.policy.init(each) for each in seeds])
        return FastState(params, self.inner_optimizer.init(params, num))

    def training_tasks(
        self, population: Population, key: tf.Tensor
    ) -> tuple[Task, tf.Tensor | tuple[()]]:
        """The first training tasks, the same in every iteration: row i is policy i's."""
        return first_tasks(population, self.config.meta_batch_size)

    def start(self, meta: Nest, num_tasks: int, key: tf.Tensor | tuple[()] = ()) -> FastState:
        return FastState(meta.params, self.inner_optimizer.init(meta.params, num_tasks))

    def collect(
        self, meta: Nest, task: Task, key: tf.Tensor, index: tf.Tensor | tuple[()] = ()
    ) -> tuple[FastState, tf.Tensor, tuple[Trajectory, tf.Tensor] | tuple[()]]:
        """(`FastState` after the updates, returns [K, N], (`Trajectory`, gain) with a bonus)."""
        if self.vime is None:
            return *self.adapt_online(meta, meta, task, self.config.inner_updates, key), ()
        params, episodes = self.acting(meta, meta), self.config.episodes_per_update
        trajectory = self.sample(params, task, episodes, keys.fold(key, 0))
        explored, gain = self.explored(trajectory, key)
        fast = self.adapt(meta, meta, self.experience(meta, meta, explored))
        returns = tf.reduce_mean(episode_return(trajectory), axis=1)
        return fast, returns[None], (trajectory, gain)

    def seen(self, batch: Any) -> tuple[Trajectory, tf.Tensor]:
        return batch[-1]

    def update(self, batch: Any) -> dict[str, tf.Tensor]:
        fast, returns, _ = batch
        self.meta.write(fast)
        return {
            "return_before": tf.reduce_mean(returns[0]),
            "return_last_update": tf.reduce_mean(returns[-1]),
        }


def first_tasks(population: Population, num_tasks: int) -> tuple[Task, tf.Tensor | tuple[()]]:
    """The first N training tasks and their numbers, for learners with a policy for each of them.

    Args:
      population: a `Population`.
      num_tasks: N.

    Returns:
      (task, nest with leading [N]; index [N]).

    Raises:
      ConfigError: there are fewer.
    """
    known = nest.leading(population.train)
    rule = f"at most {known}, the training entities"
    check(num_tasks <= known, "meta_batch_size", num_tasks, rule)
    return nest.map(lambda x: x[:num_tasks], population.train), tf.range(num_tasks)
