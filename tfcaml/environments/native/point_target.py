"""A point that is to reach a goal which only the reward tells; goals further out are not learned.

The point of L. Lan, Z. Li, X. Guan, P. Wang, "Meta reinforcement learning with task embedding and
shared policy" (TESP; its code, `envs/point_env.py`) with the goals of that paper's robots: finitely
many to learn from and the three named sets to adapt to, see `environments.goal_sets`. It starts at
(0, 0) and moves along each axis by at most 0.1 per step. The reward is minus the distance to the
goal after the move; arrival ends an episode.

Differences from the source:
  - Moves are twice as long, so that episodes of 50 steps are as long as 100 of its 200.
  - Goals are those of the robots, where its point has goals within 0.7 of the start.
  - A goal is reached within a distance, not within a square.
"""

import dataclasses

import tensorflow as tf
from tf_agents.specs import tensor_spec

from tfcaml import settings
from tfcaml.environments import goal_sets
from tfcaml.environments.base import Population, TaskFamily, config_of
from tfcaml.errors import check, check_positive, checked_call
from tfcaml.types import Task

_MAX_MOVE = 0.1  # per axis and step
_SEPARATION = 0.1  # the least distance of two goals


@settings.checked
@dataclasses.dataclass(frozen=True)
class PointTargetConfig:
    """Options of the family; lengths are in the plane's units.

    Attributes:
      horizon: Steps of an episode, at most. Unit: steps. Source: tfcaml; TESP's code: 200 of half
        the length.
      action_range: The policy's output that makes a whole move of 0.1. Source: TESP's code: 1.
      arrival: Distance to the goal below which an episode ends; 0 is never. Unit: of the plane.
        Source: TESP's code, the wheeled robot: 0.02.
      num_train: Goals to learn from. Source: TESP: 100.
    """

    horizon: int = 50
    action_range: float = 1.0
    arrival: float = 0.02
    num_train: int = 100

    def __post_init__(self) -> None:
        check_positive(
            horizon=self.horizon, action_range=self.action_range, num_train=self.num_train
        )
        check(self.arrival >= 0, "arrival", self.arrival, ">= 0")


class PointTarget(TaskFamily):
    """The family. A task is {"goal": [N, 2]}; the observation is the point's place.

    Policies give numbers in +-`action_range`, which are scaled to moves of +-0.1 and clipped.
    """

    @checked_call
    def __init__(self, config: PointTargetConfig | None = None) -> None:
        self.config = config_of(config, PointTargetConfig)
        self.horizon = self.config.horizon
        self.task_spec = {"goal": tf.TensorSpec([2], tf.float32)}
        self.observation_spec = tf.TensorSpec([2], tf.float32, "observation")
        bound = self.config.action_range
        self.action_spec = tensor_spec.BoundedTensorSpec([2], tf.float32, -bound, bound, "action")

    @checked_call
    def population(self, seed: int, num_test: int = 300) -> Population:
        """Goals to learn from, and those of the three sets in turn: D, D', D'', D, ...

        Args:
          seed: an integer from 0 to 2**62 - 1.
          num_test: Q, at most three times as many as are learned from.

        Raises:
          ConfigError: there is no room for so many goals.
        """
        return goal_sets.population(seed, self.config.num_train, num_test, _SEPARATION)

    def planar_goal(self, task: Task) -> tf.Tensor:
        return task["goal"]

    def reset(self, task: Task, key: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        position = tf.zeros([*key.shape[:2], 2], task["goal"].dtype)
        return position, position

    def step(
        self, task: Task, state: tf.Tensor, action: tf.Tensor, noise: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor]:
        move = action * (_MAX_MOVE / self.config.action_range)
        position = state + tf.clip_by_value(move, -_MAX_MOVE, _MAX_MOVE)
        distance = tf.norm(position - task["goal"][:, None], axis=-1)
        return position, position, -distance, distance < self.config.arrival
