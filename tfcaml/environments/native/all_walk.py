"""All-walk: come to a goal that is the task's own, and that only the reward tells.

Environment of the code of K. Frans, J. Ho, X. Chen, P. Abbeel, J. Schulman, "Meta learning shared
hierarchies" (MLSH), ICLR 2018, with its numbers. A point moves as in `moving_bandits`; it is paid
at each step for how near the goal is, so that each stretch of the way can be learned from.
"""

import dataclasses

import numpy as np
import tensorflow as tf

from tfcaml import keys, settings
from tfcaml.environments.base import Population, TaskFamily, config_of
from tfcaml.environments.mujoco import parts
from tfcaml.environments.native import moving_point
from tfcaml.errors import check_positive, check_whole, checked_call
from tfcaml.types import Task


@settings.checked
@dataclasses.dataclass(frozen=True)
class AllWalkConfig:
    """Options of the family; lengths are in the plane's units.

    Attributes:
      move: How far an action moves the point. Unit: of the plane. Source: MLSH's code: 20.
      reward_unit: What the distance to the goal is divided by to be the negative reward. Unit: of
        the plane. Source: MLSH's code: 5000.
      observation_unit: What coordinates are divided by to be observed; 400 makes them numbers
        around 1, as networks without a normaliser need. Unit: of the plane. Source: MLSH's code: 1.
      horizon: Steps of an episode. Unit: steps. Source: MLSH's code: 50.
    """

    move: float = 20.0
    reward_unit: float = 5000.0
    observation_unit: float = 1.0
    horizon: int = 50

    def __post_init__(self) -> None:
        check_positive(
            move=self.move,
            reward_unit=self.reward_unit,
            observation_unit=self.observation_unit,
            horizon=self.horizon,
        )


class AllWalk(TaskFamily):
    """A task is {"goal": [N, 2]}, a place in [0, 400]^2.

    A point starts at (200, 200). Actions: 0 stays, 1 and 2 move to the right and to the left, 3 and
    4 up and down. Observation: the coordinates of the point. Reward: minus the distance to the goal
    along x and that along y, divided by 5000. Episodes never end early.
    """

    @checked_call
    def __init__(self, config: AllWalkConfig | None = None) -> None:
        self.config = config_of(config, AllWalkConfig)
        self.horizon = self.config.horizon
        self.task_spec = {"goal": tf.TensorSpec([2], tf.float32)}
        self.observation_spec = tf.TensorSpec([2], tf.float32, "observation")
        self.action_spec = moving_point.action_spec()

    @checked_call
    def population(self, seed: int, num_test: int = 40) -> Population:
        """Fresh goals at every draw to learn from, and `num_test` fixed ones to adapt to.

        Goals to learn from lie on the even points of a fine grid, those of test tasks on the odd
        ones.
        """
        check_whole("num_test", num_test, 1)
        rng = np.random.default_rng([keys.as_int(seed), 0xA11])
        draw = lambda: rng.integers(0, parts.GRID, [num_test, 2])
        test = self._tasks(parts.on_grid(draw(), of_tests=True))
        examples = self._tasks(parts.on_grid(draw(), of_tests=False))
        group = np.zeros(num_test, np.int64)
        return Population(examples, test, group, group, self._draw)

    def planar_goal(self, task: Task) -> tf.Tensor:
        return task["goal"] - moving_point.START

    def planar_positions(self, observation: np.ndarray) -> np.ndarray:
        return observation * self.config.observation_unit - moving_point.START

    def reset(self, task: Task, key: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        position = moving_point.start(key)
        return position, position / self.config.observation_unit

    def step(
        self, task: Task, state: tf.Tensor, action: tf.Tensor, noise: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor]:
        config = self.config
        position = moving_point.moved(state, action, config.move)
        distance = tf.reduce_sum(tf.abs(position - task["goal"][:, None]), axis=-1)
        observation = position / config.observation_unit
        never = tf.zeros(distance.shape, tf.bool)
        return position, observation, -distance / config.reward_unit, never

    def _draw(self, num_tasks: int, key: tf.Tensor) -> Task:
        """New tasks to learn from. key: [2]."""
        index = tf.random.stateless_uniform([num_tasks, 2], key, 0, parts.GRID, dtype=tf.int32)
        return self._tasks(parts.on_grid(index, of_tests=False))

    def _tasks(self, unit: tf.Tensor) -> Task:
        """Tasks of U(0, 1) numbers [N, 2]."""
        return {"goal": moving_point.SIDE * unit}
