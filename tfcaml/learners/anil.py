"""ANIL: almost no inner loop; only the policy's head is adapted.

A. Raghu, M. Raghu, S. Bengio, O. Vinyals, "Rapid learning or feature reuse? Towards understanding
the effectiveness of MAML", ICLR 2020, section 5: the inner step moves the last layer alone,

    head_i' = head - alpha grad_head L_i(body, head)

and the outer step lowers sum_i L_i(body, head_i') over body and head, through the inner step. No
gradient of the body is taken within.

Differences from the paper:
  - The standard deviation of continuous actions is adapted with the last layer, as MAML adapts it.
"""

import dataclasses

import tensorflow as tf

from tfcaml import nest, settings
from tfcaml.learners.maml import MAML, MAMLConfig
from tfcaml.optimization import partition
from tfcaml.types import FastState, Nest, Params

# Stands for the policy's last layer in `ANILConfig.adapted`.
HEAD = "head"


@settings.checked
@dataclasses.dataclass(frozen=True)
class ANILConfig(MAMLConfig):
    """Settings of ANIL.

    Attributes:
      adapted: What inner steps move: "head", the policy's last layer; or parts of names of weights
        (see `policy.names`), joined by commas. Source: ANIL paper, section 5: the head.
    """

    adapted: str = HEAD


class ANIL(MAML):
    """meta = {"params": theta}; `FastState.params` holds the adapted ones of these weights.

    Raises:
      ConfigError: `adapted` has a part that is in no name of the policy's weights.
    """

    Config = ANILConfig
    config: ANILConfig

    def setup(self) -> None:
        super().setup()
        adapted, names = self.config.adapted, self.policy.names
        self.adapted = self.policy.head
        if adapted != HEAD:
            self.adapted = partition.positions("adapted", adapted, names)

    def start(self, meta: Nest, num_tasks: int, key: tf.Tensor | tuple[()] = ()) -> FastState:
        adapted = partition.take(meta["params"], self.adapted)
        return FastState(nest.repeat(adapted, num_tasks), tf.zeros([num_tasks]))

    def acting(self, meta: Nest, fast: FastState) -> Params:
        return partition.join(meta["params"], self.adapted, fast.params)
