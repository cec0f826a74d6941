"""Bernoulli bandits: a task is how often each arm pays."""

import dataclasses

import numpy as np
import tensorflow as tf
from tf_agents.specs import tensor_spec

from tfcaml import keys
from tfcaml.environments import Population, TaskFamily


@dataclasses.dataclass(frozen=True)
class BanditConfig:
    """Options of the family."""

    num_arms: int = 5
    horizon: int = 5  # pulls in an episode


class Bandit(TaskFamily):
    """Arm k pays 1 with probability p_k, each drawn from U(0, 1). There is nothing to observe."""

    noise_size = 1

    def __init__(self, config=None):
        self.config = config or BanditConfig()
        self.horizon, arms = self.config.horizon, self.config.num_arms
        self.task_spec = {"p": tf.TensorSpec([arms], tf.float32)}
        self.observation_spec = tf.TensorSpec([1], tf.float32)
        self.action_spec = tensor_spec.BoundedTensorSpec([], tf.int32, 0, arms - 1)

    def population(self, seed, num_test=100):
        arms = self.config.num_arms
        draw = lambda num, key: {"p": tf.random.stateless_uniform([num, arms], key)}
        known, new = (draw(num_test, keys.fold(keys.from_int(seed), i)) for i in range(2))
        group = np.zeros(num_test, np.int64)
        return Population(known, new, group, group, draw)

    def reset(self, task, key):
        nothing = tf.zeros([*key.shape[:2], 1])
        return nothing, nothing

    def step(self, task, state, action, noise):
        p = tf.gather(task["p"], action, batch_dims=1)
        reward = tf.cast(noise[..., 0] < p, tf.float32)
        return state, state, reward, tf.zeros(action.shape, tf.bool)
