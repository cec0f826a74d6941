"""Joint pretraining and random initialisation: what meta-learning has to beat.

`Joint` trains one policy on one sampled entity after another and hopes that it suits a new one;
`JointMixed` on a batch of episodes each of which is another entity's.
`RandomInitialization` does not train at all. Baselines of the CAML study, section 5.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import tensorflow as tf

from tfcaml import nest, settings
from tfcaml.errors import check, check_acts
from tfcaml.learners.base import LearnerConfig, MetaLearner
from tfcaml.types import Experience, FastState, Nest, Task

if TYPE_CHECKING:
    from tfcaml.environments.base import Population


@settings.checked
@dataclasses.dataclass(frozen=True)
class JointConfig(LearnerConfig):
    """Settings of joint pretraining; one entity per iteration.

    Attributes:
      meta_batch_size: Entities in each iteration; only 1 is allowed. Source: CAML paper, section 5.
    """

    def __post_init__(self) -> None:
        super().__post_init__()
        check(self.meta_batch_size == 1, "meta_batch_size", self.meta_batch_size, "1")


class Joint(MetaLearner):
    """One policy and its optimiser state, handed from entity to entity."""

    Config = JointConfig
    quick_under_xla = True

    def init(self, seed: int) -> Nest:
        params = nest.repeat(self.policy.init(seed), 1)
        return FastState(params, self.inner_optimizer.init(params, 1))

    def start(self, meta: Nest, num_tasks: int, key: tf.Tensor | tuple[()] = ()) -> FastState:
        params = nest.repeat(nest.map(lambda x: x[0], meta.params), num_tasks)
        return FastState(params, self.inner_optimizer.init(params, num_tasks))

    def collect(
        self, meta: Nest, task: Task, key: tf.Tensor, index: tf.Tensor | tuple[()] = ()
    ) -> tuple[FastState, tf.Tensor]:
        return self.adapt_online(meta, meta, task, self.config.inner_updates, key)

    def update(self, batch: tuple[FastState, tf.Tensor]) -> dict[str, tf.Tensor]:
        fast, returns = batch
        self.meta.write(fast)
        return {
            "return_before": tf.reduce_mean(returns[0]),
            "return_last_update": tf.reduce_mean(returns[-1]),
        }


class JointMixed(Joint):
    """Joint pretraining on batches that mix entities: each episode of an update is another's."""

    def training_tasks(
        self, population: Population, key: tf.Tensor
    ) -> tuple[Task, tf.Tensor | tuple[()]]:
        return population.sample(self.config.episodes_per_update, key)

    def support(
        self, meta: Nest, fast: FastState, task: Task, key: tf.Tensor, num_episodes: int
    ) -> Experience:
        params = nest.repeat(nest.map(lambda x: x[0], fast.params), nest.leading(task))
        episodes = self.sample(params, task, 1, key)
        # Entities become the episodes of one policy: [B, 1, ...] -> [1, B, ...].
        episodes = nest.map(lambda x: tf.squeeze(x, 1)[None], episodes)
        return self.experience(meta, fast, episodes)

    def test_support(self, meta: Nest, fast: FastState, task: Task, key: tf.Tensor) -> Experience:
        return super().support(meta, fast, task, key, self.test_episodes)


@settings.checked
@dataclasses.dataclass(frozen=True)
class RandomInitializationConfig(LearnerConfig):
    """Settings of the untrained policy: only those of its adaptation count.

    Attributes:
      num_iterations: Outer iterations; there is nothing to train. Source: CAML paper, section 5.
    """

    num_iterations: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        fields = ("num_iterations", "meta_batch_size", "inner_updates")
        check_acts(self, fields, False, "in training, and this policy stays as it is")
        where = "with test_episodes_per_update=0, which stands for it"
        check_acts(self, ("episodes_per_update",), self.test_episodes_per_update == 0, where)

    def check_steps(self, num_updates: int) -> None:
        super().check_steps(num_updates)
        fields = [field.name for field in dataclasses.fields(self)]
        check_acts(self, fields, num_updates > 0, "where new tasks are adapted to")


class RandomInitialization(MetaLearner):
    """The initial weights of the seed, untrained."""

    Config = RandomInitializationConfig
    quick_under_xla = True
