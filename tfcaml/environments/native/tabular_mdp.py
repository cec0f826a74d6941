"""Tabular MDPs: a task is the transitions and the mean rewards of a random Markov decision process.

The MDPs of Y. Duan et al., "RL^2: fast reinforcement learning via slow reinforcement learning",
arXiv 1611.02779, section 3.2, after I. Osband, D. Russo, B. Van Roy, "(More) efficient
reinforcement learning via posterior sampling", NeurIPS 2013: transitions of each state and action
are of a flat Dirichlet distribution, mean rewards N(1, 1) and rewards of variance 1.
`tabular_mdp_solvers` has what is compared.
"""

import dataclasses

import numpy as np
import tensorflow as tf
from tf_agents.specs import tensor_spec

from tfcaml import keys, nest, settings
from tfcaml.environments.base import Population, TaskFamily, config_of
from tfcaml.errors import check, check_positive, check_whole, checked_call
from tfcaml.types import Task

_EXAMPLES = 20  # that stand for the tasks to learn from, which are made anew
_SMALLEST = 1e-7  # of a U(0, 1) number that a normal one is made of: 0 would be infinity


@settings.checked
@dataclasses.dataclass(frozen=True)
class TabularMDPConfig:
    """Options of the family.

    Attributes:
      num_states: States. Source: RL2 paper: 10.
      num_actions: Actions. Source: RL2 paper: 5.
      reward_mean: Mean of the mean rewards. Source: RL2 paper: 1.
      reward_spread: Standard deviation of the mean rewards. Source: RL2 paper: 1.
      reward_noise: Standard deviation of a reward around its mean. Source: RL2 paper: 1.
      horizon: Steps of an episode, each of which begins in the first state. Unit: steps. Source:
        RL2 paper: 10.
    """

    num_states: int = 10
    num_actions: int = 5
    reward_mean: float = 1.0
    reward_spread: float = 1.0
    reward_noise: float = 1.0
    horizon: int = 10

    def __post_init__(self) -> None:
        for name in ("num_states", "num_actions"):
            check(getattr(self, name) >= 2, name, getattr(self, name), ">= 2")
        for name in ("reward_spread", "reward_noise"):
            check(getattr(self, name) >= 0, name, getattr(self, name), ">= 0")
        check_positive(horizon=self.horizon)


class TabularMDP(TaskFamily):
    """A task is {"transition": [N, S, A, S], "reward": [N, S, A]}, probabilities and mean rewards.

    Observation: the state, one-hot. Episodes never end early.
    """

    noise_size = 2  # the next state and the reward

    @checked_call
    def __init__(self, config: TabularMDPConfig | None = None) -> None:
        self.config = config_of(config, TabularMDPConfig)
        self.horizon = self.config.horizon
        states, actions = self.config.num_states, self.config.num_actions
        self.task_spec = {
            "transition": tf.TensorSpec([states, actions, states], tf.float32),
            "reward": tf.TensorSpec([states, actions], tf.float32),
        }
        self.observation_spec = tensor_spec.BoundedTensorSpec(
            [states], tf.float32, 0, 1, "observation"
        )
        self.action_spec = tensor_spec.BoundedTensorSpec([], tf.int32, 0, actions - 1, "action")

    @checked_call
    def population(self, seed: int, num_test: int = 100) -> Population:
        """MDPs without end to learn from, and `num_test` others.

        MDP i of either set is the same however many there are.
        """
        seed = keys.as_int(seed)
        check_whole("num_test", num_test, 1)
        numbers = sum(self._sizes)

        def tasks(number: int, salt: int) -> Task:
            unit = np.random.default_rng([seed, 0x3D9, salt]).random([number, numbers])
            tasks = self._tasks(tf.constant(unit, tf.float64))  # so that rounding is alike
            return nest.map(lambda x: tf.cast(x, tf.float32), tasks)

        return Population(
            tasks(_EXAMPLES, 1),
            tasks(num_test, 2),
            np.zeros(_EXAMPLES, np.int64),
            np.zeros(num_test, np.int64),
            self.draw,
        )

    def draw(self, num_tasks: int, key: tf.Tensor) -> Task:
        """New MDPs: key [2] -> a task of leading [N]."""
        return self._tasks(tf.random.stateless_uniform([num_tasks, sum(self._sizes)], key))

    def reset(self, task: Task, key: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        state = tf.zeros(key.shape[:2], tf.int32)
        return state, self._observed(state, task)

    def step(
        self, task: Task, state: tf.Tensor, action: tf.Tensor, noise: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor]:
        config, noise = self.config, tf.cast(noise, task["reward"].dtype)
        index = state * config.num_actions + action
        of_step = lambda x: tf.gather(
            tf.reshape(x, [x.shape[0], self._sizes[1], *x.shape[3:]]), index, batch_dims=1
        )
        up_to = tf.cumsum(of_step(task["transition"]), axis=-1)
        after = tf.reduce_sum(tf.cast(noise[..., :1] >= up_to[..., :-1], tf.int32), axis=-1)
        deviation = tf.math.ndtri(tf.clip_by_value(noise[..., 1], _SMALLEST, 1 - _SMALLEST))
        reward = of_step(task["reward"]) + config.reward_noise * deviation
        return after, self._observed(after, task), reward, tf.zeros(action.shape, tf.bool)

    @property
    def _sizes(self) -> tuple[int, int]:
        """Numbers of a task's transitions and of its rewards."""
        states, actions = self.config.num_states, self.config.num_actions
        return states * actions * states, states * actions

    def _tasks(self, unit: tf.Tensor) -> Task:
        """Tasks of U(0, 1) numbers [N, S A S + S A]."""
        config = self.config
        states, actions = config.num_states, config.num_actions
        unit = tf.clip_by_value(unit, _SMALLEST, 1 - _SMALLEST)
        ways, rewards = tf.split(unit, self._sizes, axis=1)
        # Exponential numbers by their sum are of a flat Dirichlet distribution.
        weight = tf.reshape(-tf.math.log(ways), [-1, states, actions, states])
        reward = config.reward_mean + config.reward_spread * tf.math.ndtri(rewards)
        return {
            "transition": weight / tf.reduce_sum(weight, axis=-1, keepdims=True),
            "reward": tf.reshape(reward, [-1, states, actions]),
        }

    def _observed(self, state: tf.Tensor, task: Task) -> tf.Tensor:
        return tf.one_hot(state, self.config.num_states, dtype=task["reward"].dtype)
