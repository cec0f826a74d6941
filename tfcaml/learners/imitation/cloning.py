"""Behaviour cloning of all tasks: one policy for demonstrations of whatever task.

What MIL is compared with in C. Finn, T. Yu et al., "One-shot visual imitation learning via
meta-learning", CoRL 2017, section 6: before a demonstration it is the policy that is not adapted,
and afterwards one that is fine-tuned on it by the inner step of MIL.
"""

import dataclasses

import tensorflow as tf

from tfcaml import settings
from tfcaml.errors import check, check_acts
from tfcaml.learners.imitation.mil import MIL, MILConfig
from tfcaml.types import MetaBatch, Nest, Task


@settings.checked
@dataclasses.dataclass(frozen=True)
class CloningConfig(MILConfig):
    """Settings of behaviour cloning; those of the inner step matter on new tasks only."""

    def __post_init__(self) -> None:
        shown = self.demonstrations.shown
        rule = "all: what a demonstration without actions is judged by is not learned here"
        check(shown == "all", "demonstrations.shown", shown, rule)
        super().__post_init__()
        where = "where training takes inner steps, unlike here"
        check_acts(self, ("first_order",), False, where)
        rule = "False: no step is taken in training, so that no second head would be learned"
        check(not self.network.two_heads, "network.two_heads", self.network.two_heads, rule)
        scaled = self.later_step_scale != 1
        fields = ("inner_updates",)
        check_acts(self, fields, scaled, "on new tasks, up to where later_step_scale != 1 begins")

    def check_steps(self, num_updates: int) -> None:
        super().check_steps(num_updates)
        fields = ("inner_learning_rate", "clip", "inner_updates")
        check_acts(self, fields, num_updates > 0, "where new tasks are demonstrated")


class Cloning(MIL):
    """meta = {"params": theta, "moments"}."""

    Config = CloningConfig

    def collect(
        self, meta: Nest, task: Task, key: tf.Tensor, index: tf.Tensor | tuple[()] = ()
    ) -> MetaBatch:
        batch = super().collect(meta, task, key, index)
        return batch._replace(support=())
