"""Sinusoid regression as a family of one-step tasks: predict y = A sin(x - p) from a few examples.

Task of C. Finn, P. Abbeel, S. Levine, "Model-agnostic meta-learning", ICML 2017, section 5.1. An
episode is one example: the observation is x, the action a prediction and the reward minus its
squared error. Regression learners (`learners.MAMLRegression`) read x and y with `examples`.
"""

import dataclasses
import math

import numpy as np
import tensorflow as tf
from tf_agents.specs import tensor_spec

from tfcaml import keys, settings
from tfcaml.environments.base import Population, TaskFamily, config_of
from tfcaml.errors import check, check_whole, checked_call
from tfcaml.types import Task

_SALT = 0x51E  # of the key of a population


@settings.checked
@dataclasses.dataclass(frozen=True)
class SinusoidConfig:
    """Options of the family (paper's code; all values).

    Attributes:
      min_amplitude: Smallest amplitude. Source: MAML paper, section 5.1.
      max_amplitude: Largest amplitude. Source: MAML paper, section 5.1.
      max_phase: Largest phase; the smallest is 0. Unit: radians. Source: MAML paper, section 5.1.
      max_x: Inputs are uniform between minus this and this. Source: MAML paper, section 5.1.
    """

    min_amplitude: float = 0.1
    max_amplitude: float = 5.0
    max_phase: float = math.pi
    max_x: float = 5.0

    def __post_init__(self) -> None:
        order = 0 < self.min_amplitude < self.max_amplitude
        check(order, "min_amplitude", self.min_amplitude, "> 0 and below max_amplitude")
        check(self.max_phase > 0, "max_phase", self.max_phase, "> 0")
        check(self.max_x > 0, "max_x", self.max_x, "> 0")


class Sinusoid(TaskFamily):
    """The family. A task is {"amplitude": [N], "phase": [N]}."""

    horizon = 1

    @checked_call
    def __init__(self, config: SinusoidConfig | None = None) -> None:
        self.config = config_of(config, SinusoidConfig)
        scalar = tf.TensorSpec([], tf.float32)
        self.task_spec = {"amplitude": scalar, "phase": scalar}
        self.observation_spec = tf.TensorSpec([1], tf.float32, "observation")
        bound = self.config.max_amplitude
        self.action_spec = tensor_spec.BoundedTensorSpec([1], tf.float32, -bound, bound, "action")

    @checked_call
    def population(self, seed: int, num_test: int = 600) -> Population:
        """Fresh curves at every draw to learn from, and `num_test` fixed ones to adapt to.

        Both are drawn from continuous distributions, by unrelated keys.
        """
        check_whole("num_test", num_test, 1)
        key = keys.fold(keys.from_int(seed), _SALT)
        query = self._draw(num_test, keys.fold(key, 0))
        examples = self._draw(num_test, keys.fold(key, 1))
        group = np.zeros(num_test, np.int64)
        return Population(examples, query, group, group, self._draw)

    def examples(
        self, task: Task, num_examples: int, key: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Inputs and targets: (x, y), each [N, num_examples, 1]. key: [2]."""
        shape = [task["amplitude"].shape[0], num_examples, 1]
        x = self.config.max_x * tf.random.stateless_uniform(shape, key, -1.0, 1.0)
        return x, self.target(task, x)

    def target(self, task: Task, x: tf.Tensor) -> tf.Tensor:
        """The curves' values at x [N, E, 1]."""
        return task["amplitude"][:, None, None] * tf.sin(x - task["phase"][:, None, None])

    def reset(self, task: Task, key: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        x = self.config.max_x * (2 * keys.uniform(key, [1]) - 1)
        return x, x

    def step(
        self, task: Task, state: tf.Tensor, action: tf.Tensor, noise: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor]:
        reward = -tf.reduce_sum((action - self.target(task, state)) ** 2, axis=-1)
        return state, state, reward, tf.ones_like(reward, tf.bool)

    def _draw(self, num_tasks: int, key: tf.Tensor) -> Task:
        """New curves. key: [2]."""
        config = self.config
        unit = tf.random.stateless_uniform([2, num_tasks], key)
        amplitude = config.min_amplitude + (config.max_amplitude - config.min_amplitude) * unit[0]
        return {"amplitude": amplitude, "phase": config.max_phase * unit[1]}
