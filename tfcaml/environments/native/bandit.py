"""Bernoulli bandits: a task is how often each arm pays.

The bandits of Y. Duan et al., "RL^2: fast reinforcement learning via slow reinforcement learning",
arXiv 1611.02779, section 3.1. An episode is all pulls of a trial, so that the mean return of an
episode is the paper's total reward; `bandit_solvers` has what it is compared with.
"""

import dataclasses

import numpy as np
import tensorflow as tf
from tf_agents.specs import tensor_spec

from tfcaml import keys, settings
from tfcaml.environments.base import Population, TaskFamily, config_of
from tfcaml.errors import check, check_positive, check_whole, checked_call
from tfcaml.types import Task

_EXAMPLES = 20  # that stand for the tasks to learn from, which are made anew


@settings.checked
@dataclasses.dataclass(frozen=True)
class BanditConfig:
    """Options of the family.

    Attributes:
      num_arms: Arms, k. Source: RL2 paper: 5, 10 or 50.
      horizon: Pulls in an episode, n. Unit: steps. Source: RL2 paper: 10, 100 or 500.
    """

    num_arms: int = 5
    horizon: int = 10

    def __post_init__(self) -> None:
        check(self.num_arms >= 2, "num_arms", self.num_arms, ">= 2")
        check_positive(horizon=self.horizon)


class Bandit(TaskFamily):
    """A task is {"p": [N, k]}, each U(0, 1): arm i pays 1 with probability p_i, else 0.

    There is nothing to observe: observations are 0.
    """

    noise_size = 1

    @checked_call
    def __init__(self, config: BanditConfig | None = None) -> None:
        self.config = config_of(config, BanditConfig)
        self.horizon, arms = self.config.horizon, self.config.num_arms
        self.task_spec = {"p": tf.TensorSpec([arms], tf.float32)}
        self.observation_spec = tf.TensorSpec([1], tf.float32, "observation")
        self.action_spec = tensor_spec.BoundedTensorSpec([], tf.int32, 0, arms - 1, "action")

    @checked_call
    def population(self, seed: int, num_test: int = 100) -> Population:
        """Bandits without end to learn from, and `num_test` others.

        Bandit i of either set is the same however many there are.
        """
        config, seed = self.config, keys.as_int(seed)
        check_whole("num_test", num_test, 1)

        def bandits(number: int, salt: int) -> Task:
            p = np.random.default_rng([seed, 0xBA4D, salt]).random([number, config.num_arms])
            return {"p": tf.constant(p, tf.float32)}

        return Population(
            bandits(_EXAMPLES, 1),
            bandits(num_test, 2),
            np.zeros(_EXAMPLES, np.int64),
            np.zeros(num_test, np.int64),
            self.draw,
        )

    def draw(self, num_tasks: int, key: tf.Tensor) -> Task:
        """New bandits: key [2] -> {"p": [N, k]}."""
        return {"p": tf.random.stateless_uniform([num_tasks, self.config.num_arms], key)}

    def reset(self, task: Task, key: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        nothing = tf.zeros([*key.shape[:2], 1], task["p"].dtype)
        return nothing, nothing

    def step(
        self, task: Task, state: tf.Tensor, action: tf.Tensor, noise: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor]:
        p = tf.gather(task["p"], action, batch_dims=1)
        reward = tf.cast(tf.cast(noise[..., 0], p.dtype) < p, p.dtype)
        return state, state, reward, tf.zeros(action.shape, tf.bool)
