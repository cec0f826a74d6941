"""Markov reward processes in which a discount, or a lambda, for each state is worth learning.

The two of Z. Xu, H. van Hasselt, D. Silver, "Meta-gradient reinforcement learning", NeurIPS 2018,
section 2.1 and Figure 1. States 1, 2, ... follow each other whatever is done.

  - "discount", ten steps: leaving an odd state pays 0.1, the signal, and leaving an even one
    N(0, 1), noise. A return should end where it comes to an even state.
  - "lambda", nine steps: leaving an odd state pays N(0, 1), and leaving the even state after it
    the same with the other sign. The value of an even state can't know what was paid just before,
    so that a return should not bootstrap there; in an odd state it should.

Differences from the paper: which of odd and even states is which, and numbers of steps, are not in
its text; these are as others have them who built the processes again.
"""

import dataclasses

import tensorflow as tf
from tf_agents.specs import tensor_spec

from tfcaml import settings
from tfcaml.environments.base import Population, TaskFamily, config_of
from tfcaml.environments.native.one_task import population_of_one
from tfcaml.errors import check, check_one_of, checked_call
from tfcaml.types import Nest, Task

_STEPS = {"discount": 10, "lambda": 9}
_SMALLEST = 1e-7  # of a U(0, 1) number that a normal one is made of: 0 would be infinity


@settings.checked
@dataclasses.dataclass(frozen=True)
class RewardProcessConfig:
    """Options of the family.

    Attributes:
      kind: What is worth learning: "discount" or "lambda". Source: the paper's Figure 1.
      signal: What leaving an odd state pays, with kind=discount. Source: code of others: 0.1.
      noise: Standard deviation of the rewards that are noise. Source: code of others: 1.
    """

    kind: str = "discount"
    signal: float = 0.1
    noise: float = 1.0

    def __post_init__(self) -> None:
        check_one_of("kind", self.kind, tuple(_STEPS))
        check(self.noise >= 0, "noise", self.noise, ">= 0")
        fits = self.kind == "discount" or self.signal == type(self).signal
        check(fits, "signal", self.signal, f"{type(self).signal}, as it is of kind=discount only")


class RewardProcess(TaskFamily):
    """The one task is {"signal": [N], "noise": [N]}, the config's.

    Observation: the state, one-hot, of which the last is where the process ends. Actions: two,
    which change nothing.
    """

    noise_size = 1
    holds_out = False

    @checked_call
    def __init__(self, config: RewardProcessConfig | None = None) -> None:
        self.config = config_of(config, RewardProcessConfig)
        self.horizon = self._states = _STEPS[self.config.kind]
        number = tf.TensorSpec([], tf.float32)
        self.task_spec = {"signal": number, "noise": number}
        self.observation_spec = tensor_spec.BoundedTensorSpec(
            [self._states + 1], tf.float32, 0, 1, "observation"
        )
        self.action_spec = tensor_spec.BoundedTensorSpec([], tf.int32, 0, 1, "action")

    @checked_call
    def population(self, seed: int, num_test: int = 3) -> Population:
        """One task, to learn from and to test on."""
        config = self.config
        task = {"signal": tf.constant([config.signal]), "noise": tf.constant([config.noise])}
        return population_of_one(task, seed, num_test)

    def reset(self, task: Task, key: tf.Tensor) -> tuple[Nest, tf.Tensor]:
        left = tf.zeros(key.shape[:2], tf.int32)  # states that were left
        state = {"left": left, "paid": tf.zeros(left.shape, task["noise"].dtype)}
        return state, self._observed(left, task)

    def step(
        self, task: Task, state: Nest, action: tf.Tensor, noise: tf.Tensor
    ) -> tuple[Nest, tf.Tensor, tf.Tensor, tf.Tensor]:
        unit = tf.cast(
            tf.clip_by_value(noise[..., 0], _SMALLEST, 1 - _SMALLEST), task["noise"].dtype
        )
        random = task["noise"][:, None] * tf.math.ndtri(unit)
        is_odd = state["left"] % 2 == 0  # the first state has number 1
        if self.config.kind == "discount":
            reward = tf.where(is_odd, task["signal"][:, None], random)
        else:
            reward = tf.where(is_odd, random, -state["paid"])
        left = state["left"] + 1
        return (
            {"left": left, "paid": reward},
            self._observed(left, task),
            reward,
            left == self._states,
        )

    def _observed(self, left: tf.Tensor, task: Task) -> tf.Tensor:
        return tf.one_hot(left, self._states + 1, dtype=task["noise"].dtype)
