"""Turned point: a point whose moves are turned and scaled, in its own way, is to come to a goal.

The quickest family in which one policy does not do for all entities although all have one goal:
what an action does has to be found out. It stands for the randomised robots of R. Houthooft et al.,
"Evolved policy gradients", NeurIPS 2018, on which learned losses are costly to study. As there,
the reward is a speed: what a step comes nearer to the goal.
"""

import dataclasses
import math

import numpy as np
import tensorflow as tf
from tf_agents.specs import tensor_spec

from tfcaml import keys, settings
from tfcaml.environments.base import Population, TaskFamily, config_of
from tfcaml.environments.mujoco import parts
from tfcaml.errors import check, check_positive, check_whole, checked_call
from tfcaml.types import Task

_MAX_MOVE = 0.2  # per axis and step, of gain 1
_TASK_SIZE = 2  # numbers of a task


@settings.checked
@dataclasses.dataclass(frozen=True)
class TurnedPointConfig:
    """Options of the family; lengths are in the plane's units. All sources: tfcaml.

    Attributes:
      min_gain: Least gain. Source: tfcaml.
      max_gain: Greatest gain. Source: tfcaml.
      max_turn: Greatest turn of moves, to either side; pi for all directions. Unit: radians.
        Source: tfcaml.
      distance: How far from the goal episodes start. Unit: of the plane. Source: tfcaml.
      horizon: Steps of an episode. Unit: steps. Source: tfcaml.
    """

    min_gain: float = 0.5
    max_gain: float = 1.5
    max_turn: float = math.pi / 2
    distance: float = 2.0
    horizon: int = 16

    def __post_init__(self) -> None:
        check_positive(min_gain=self.min_gain, distance=self.distance, horizon=self.horizon)
        rule = f"at least min_gain={self.min_gain}"
        check(self.max_gain >= self.min_gain, "max_gain", self.max_gain, rule)
        check(0 <= self.max_turn <= math.pi, "max_turn", self.max_turn, "in [0, pi]")
        differ = self.max_turn > 0 or self.max_gain > self.min_gain
        check(differ, "max_turn", self.max_turn, "> 0, or max_gain above min_gain: tasks differ")


class TurnedPoint(TaskFamily):
    """A task is {"gain": [N], "turn": [N, 2]}, the second a unit vector: (1, 0) turns nothing.

    A point starts at a place around the goal, (0, 0). An action, cut at +-1, moves it by 0.2 times
    it, turned and scaled as the task says. Observation: where it is. Reward: what it comes nearer
    to the goal, as a share of 0.2. Episodes never end early.
    """

    @checked_call
    def __init__(self, config: TurnedPointConfig | None = None) -> None:
        self.config = config_of(config, TurnedPointConfig)
        self.horizon = self.config.horizon
        self.task_spec = {
            "gain": tf.TensorSpec([], tf.float32),
            "turn": tf.TensorSpec([2], tf.float32),
        }
        self.observation_spec = tf.TensorSpec([2], tf.float32, "observation")
        self.action_spec = tensor_spec.BoundedTensorSpec([2], tf.float32, -1, 1, "action")

    @checked_call
    def population(self, seed: int, num_test: int = 40) -> Population:
        """Fresh tasks at every draw to learn from, and `num_test` fixed ones to adapt to.

        Numbers of training tasks lie on the even points of a fine grid, those of test tasks on the
        odd ones.
        """
        check_whole("num_test", num_test, 1)
        rng = np.random.default_rng([keys.as_int(seed), 0x7042])
        draw = lambda: rng.integers(0, parts.GRID, [num_test, _TASK_SIZE])
        test = self._tasks(parts.on_grid(draw(), of_tests=True))
        examples = self._tasks(parts.on_grid(draw(), of_tests=False))
        group = np.zeros(num_test, np.int64)
        return Population(examples, test, group, group, self._draw)

    def reset(self, task: Task, key: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        share = keys.uniform(key, [])
        around = parts.on_circle(tf.reshape(share, [-1]))
        position = self.config.distance * tf.reshape(around, [*key.shape[:2], 2])
        return position, position

    def step(
        self, task: Task, state: tf.Tensor, action: tf.Tensor, noise: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor]:
        move = tf.clip_by_value(action, -1, 1)
        cos, sin = task["turn"][:, None, 0], task["turn"][:, None, 1]
        x, y = move[..., 0], move[..., 1]
        turned = tf.stack([cos * x - sin * y, sin * x + cos * y], axis=-1)
        position = state + _MAX_MOVE * task["gain"][:, None, None] * turned
        nearer = tf.norm(state, axis=-1) - tf.norm(position, axis=-1)
        return position, position, nearer / _MAX_MOVE, tf.zeros(nearer.shape, tf.bool)

    def _draw(self, num_tasks: int, key: tf.Tensor) -> Task:
        """New tasks to learn from. key: [2]."""
        shape = [num_tasks, _TASK_SIZE]
        index = tf.random.stateless_uniform(shape, key, 0, parts.GRID, dtype=tf.int32)
        return self._tasks(parts.on_grid(index, of_tests=False))

    def _tasks(self, unit: tf.Tensor) -> Task:
        """Tasks of U(0, 1) numbers [N, 2]."""
        config = self.config
        gain = config.min_gain + (config.max_gain - config.min_gain) * unit[:, 0]
        turn = parts.on_circle((2 * unit[:, 1] - 1) * (config.max_turn / (2 * math.pi)))
        return {"gain": gain, "turn": turn}
