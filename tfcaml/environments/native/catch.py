"""Catch: a ball falls, and a paddle at the bottom has to be where it comes down.

I. Osband et al., "Behaviour suite for reinforcement learning", ICLR 2020; the code of bsuite. The
ball starts at the top of a random column and falls by a row per step; the paddle starts in the
middle of the bottom row. The last step pays 1 if the ball is caught, else -1.
"""

import dataclasses

import tensorflow as tf
from tf_agents.specs import tensor_spec

from tfcaml import keys, settings
from tfcaml.environments.base import Population, TaskFamily, config_of
from tfcaml.environments.native.one_task import population_of_one
from tfcaml.errors import check, check_positive, checked_call
from tfcaml.types import Nest, Task


@settings.checked
@dataclasses.dataclass(frozen=True)
class CatchConfig:
    """Options of the family.

    Attributes:
      rows: Rows of the board; an episode has a step less. Source: bsuite: 10.
      columns: Columns of the board. Source: bsuite: 5.
      reward_scale: What rewards are multiplied by. Source: bsuite: 1; its catch_scale: others.
    """

    rows: int = 10
    columns: int = 5
    reward_scale: float = 1.0

    def __post_init__(self) -> None:
        for name in ("rows", "columns"):
            check(getattr(self, name) >= 2, name, getattr(self, name), ">= 2")
        check_positive(reward_scale=self.reward_scale)


class Catch(TaskFamily):
    """The one task is {"reward_scale": [N]}, the config's.

    Observation: the board [rows, columns], 1 where the ball and the paddle are. Actions: 0 moves
    the paddle to the left, 1 leaves it, 2 moves it to the right.
    """

    holds_out = False

    @checked_call
    def __init__(self, config: CatchConfig | None = None) -> None:
        self.config = config_of(config, CatchConfig)
        rows, columns = self.config.rows, self.config.columns
        self.horizon = rows - 1
        self.task_spec = {"reward_scale": tf.TensorSpec([], tf.float32)}
        self.observation_spec = tensor_spec.BoundedTensorSpec(
            [rows, columns], tf.float32, 0, 1, "observation"
        )
        self.action_spec = tensor_spec.BoundedTensorSpec([], tf.int32, 0, 2, "action")

    @checked_call
    def population(self, seed: int, num_test: int = 3) -> Population:
        """One task, to learn from and to test on."""
        task = {"reward_scale": tf.constant([self.config.reward_scale])}
        return population_of_one(task, seed, num_test)

    def reset(self, task: Task, key: tf.Tensor) -> tuple[Nest, tf.Tensor]:
        columns = self.config.columns
        unit = keys.uniform(key, [])
        ball = tf.minimum(tf.cast(unit * columns, tf.int32), columns - 1)
        middle = tf.fill(ball.shape, columns // 2)
        state = {"row": tf.zeros(ball.shape, tf.int32), "ball": ball, "paddle": middle}
        return state, self._board(state)

    def step(
        self, task: Task, state: Nest, action: tf.Tensor, noise: tf.Tensor
    ) -> tuple[Nest, tf.Tensor, tf.Tensor, tf.Tensor]:
        moved = state["paddle"] + tf.cast(action, tf.int32) - 1
        paddle = tf.clip_by_value(moved, 0, self.config.columns - 1)
        state = {"row": state["row"] + 1, "ball": state["ball"], "paddle": paddle}
        ended = state["row"] == self.config.rows - 1
        caught = tf.where(state["ball"] == paddle, 1.0, -1.0)
        reward = tf.where(ended, caught * task["reward_scale"][:, None], 0.0)
        return state, self._board(state), reward, ended

    def _board(self, state: Nest) -> tf.Tensor:
        rows, columns = self.config.rows, self.config.columns
        at = lambda row, column: (
            tf.one_hot(row, rows)[..., None] * tf.one_hot(column, columns)[..., None, :]
        )
        bottom = tf.fill(state["row"].shape, rows - 1)
        return tf.maximum(at(state["row"], state["ball"]), at(bottom, state["paddle"]))
