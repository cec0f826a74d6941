"""The discounting chain: one choice, paid for after 1, 3, 10, 30 or 100 steps.

I. Osband et al., "Behaviour suite for reinforcement learning", ICLR 2020; the code of bsuite. The
first of five actions decides when 1 is paid; one of them pays 1.1. To prefer that one takes a
discount that is close enough to 1: for the payment after 30 steps over that after 1 it has to be
1.1 gamma^29 > 1, so gamma > 0.9967.
"""

import dataclasses

import tensorflow as tf
from tf_agents.specs import tensor_spec

from tfcaml import settings
from tfcaml.environments.base import Population, TaskFamily, config_of
from tfcaml.environments.native.one_task import population_of_one
from tfcaml.errors import check, check_one_of, checked_call
from tfcaml.types import Nest, Task

PAID_AFTER = (1, 3, 10, 30, 100)  # steps, by the first action


@settings.checked
@dataclasses.dataclass(frozen=True)
class DiscountingChainConfig:
    """Options of the family.

    Attributes:
      bonus: Which first action pays 1.1, bsuite's mapping seed: from 0 to 4. Source: bsuite: each
        of them; the code of B. Bonnet et al., NeurIPS 2022 workshop (outer value functions): 3.
      observation: What is seen: "bsuite", the first action (-1 before it) and the share of steps
        that are over; or "one_hot", a number for each such pair, of which a value that is linear in
        them can be any. Source: bsuite: bsuite.
      horizon: Steps of an episode. Unit: steps. Source: bsuite: 100.
    """

    bonus: int = 3
    observation: str = "bsuite"
    horizon: int = 100

    def __post_init__(self) -> None:
        last = len(PAID_AFTER) - 1
        check(0 <= self.bonus <= last, "bonus", self.bonus, f"from 0 to {last}")
        check_one_of("observation", self.observation, ("bsuite", "one_hot"))
        paid = PAID_AFTER[self.bonus]
        rule = f">= {paid}, when bonus={self.bonus} is paid"
        check(self.horizon >= paid, "horizon", self.horizon, rule)


class DiscountingChain(TaskFamily):
    """The one task is {"bonus": [N]}, the config's.

    An episode ends at its horizon, as bsuite's, by termination: nothing is paid after it.
    """

    holds_out = False

    @checked_call
    def __init__(self, config: DiscountingChainConfig | None = None) -> None:
        self.config = config_of(config, DiscountingChainConfig)
        self.horizon = self.config.horizon
        self.task_spec = {"bonus": tf.TensorSpec([], tf.int32)}
        choices, shown = len(PAID_AFTER), self.config.observation
        size, low, high = (choices + 1) * (self.config.horizon + 1), 0.0, 1.0
        if shown == "bsuite":
            size, low, high = 2, -1.0, float(choices - 1)
        self.observation_spec = tensor_spec.BoundedTensorSpec(
            [size], tf.float32, low, high, "observation"
        )
        self.action_spec = tensor_spec.BoundedTensorSpec([], tf.int32, 0, choices - 1, "action")

    @checked_call
    def population(self, seed: int, num_test: int = 3) -> Population:
        """One task, to learn from and to test on."""
        return population_of_one({"bonus": tf.constant([self.config.bonus])}, seed, num_test)

    def reset(self, task: Task, key: tf.Tensor) -> tuple[Nest, tf.Tensor]:
        time = tf.zeros(key.shape[:2], tf.int32)
        state = {"time": time, "choice": time - 1}
        return state, self._observed(state)

    def step(
        self, task: Task, state: Nest, action: tf.Tensor, noise: tf.Tensor
    ) -> tuple[Nest, tf.Tensor, tf.Tensor, tf.Tensor]:
        choice = tf.where(state["time"] == 0, tf.cast(action, tf.int32), state["choice"])
        time = state["time"] + 1
        pays = tf.where(choice == task["bonus"][:, None], 1.1, 1.0)
        reward = tf.where(time == tf.gather(PAID_AFTER, choice), pays, 0.0)
        state = {"time": time, "choice": choice}
        return state, self._observed(state), reward, time == self.config.horizon

    def _observed(self, state: Nest) -> tf.Tensor:
        if self.config.observation == "bsuite":
            share = tf.cast(state["time"], tf.float32) / self.config.horizon
            return tf.stack([tf.cast(state["choice"], tf.float32), share], axis=-1)
        pair = (state["choice"] + 1) * (self.config.horizon + 1) + state["time"]
        return tf.one_hot(pair, self.observation_spec.shape[0])
