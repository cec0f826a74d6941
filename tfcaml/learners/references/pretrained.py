"""Pretraining and the oracle: what the gradient-based family has to beat, and its ceiling.

`Pretrained` trains one policy on many tasks at once with the outer step of MAML and no inner step,
so that it is the best single policy; at test time it is fine-tuned like MAML. `Oracle` is the same
on a family whose observations show the goal (`observe_goal`): it needs no adaptation. Baselines of
C. Finn et al., "Model-agnostic meta-learning", ICML 2017, section 5.3.

Differences from the paper: none known. An iteration samples its tasks once, where MAML samples
them before and after adaptation; `episodes_per_update` doubled gives equal environment steps.
"""

import dataclasses

import tensorflow as tf

from tfcaml import nest, settings
from tfcaml.errors import check
from tfcaml.learners.gradient_based import NoInnerStepsConfig
from tfcaml.learners.maml import MAML
from tfcaml.types import MetaBatch, Nest, Task


@settings.checked
@dataclasses.dataclass(frozen=True)
class PretrainedConfig(NoInnerStepsConfig):
    """Settings of pretraining; those of the inner loop matter at test time only."""


class Pretrained(MAML):
    """meta = {"params": theta}."""

    Config: type = PretrainedConfig
    evolves = False

    @property
    def episodes_per_iteration(self) -> int:
        return self.config.meta_batch_size * self.config.episodes_per_update

    def collect(
        self, meta: Nest, task: Task, key: tf.Tensor, index: tf.Tensor | tuple[()] = ()
    ) -> MetaBatch:
        fast = self.start(meta, nest.leading(task))
        episodes = self.config.episodes_per_update
        trajectory = self.sample(self.acting(meta, fast), task, episodes, key)
        return MetaBatch((), self.query_experience(meta, fast, trajectory))


class Oracle(Pretrained):
    """`Pretrained` on a family whose observations tell the task.

    Raises:
      ConfigError: a family whose observations do not.
    """

    def setup(self) -> None:
        super().setup()
        tells, name = self.environment.observes_task, type(self.environment).__name__
        check(tells, "environment", name, "one whose observations tell the task (observes_task)")
