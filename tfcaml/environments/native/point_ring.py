"""Point ring: a point is to go to a place at a distance that only the reward tells.

The family in which structured exploration is cheapest to study: the wheeled robot of A. Gupta, R.
Mendonca, Y. Liu, P. Abbeel, S. Levine, "Meta-reinforcement learning of structured exploration
strategies" (MAESN), NeurIPS 2018, section 5, as a point that moves as in 2D navigation (C. Finn et
al., ICML 2017). There are finitely many places to learn from. They have a dense reward and those to
adapt to a sparse one, by default, which is the same near the goal and 0 elsewhere.
"""

import dataclasses

import numpy as np
import tensorflow as tf
from tf_agents.specs import tensor_spec

from tfcaml import settings
from tfcaml.environments.base import Population, TaskFamily, config_of
from tfcaml.environments.mujoco import parts, sparse
from tfcaml.errors import check_one_of, check_positive, check_whole, checked_call
from tfcaml.types import Task

# Where goals lie: the share of a whole turn, by name.
ARCS = {"semicircle": 0.5, "ring": 1.0}
_MAX_MOVE = 0.1  # per axis and step


@settings.checked
@dataclasses.dataclass(frozen=True)
class PointRingConfig:
    """Options of the family; lengths are in the plane's units.

    Attributes:
      arc: Where goals lie: "semicircle" (the upper one) or "ring". Source: MAESN: semicircle.
      radius: Distance of goals from the start. Unit: of the plane. Source: MAESN's robots: 2.
      train_reward: What places to learn from pay: "dense" or "sparse". Source: MAESN: dense.
      test_reward: What places to adapt to pay. Source: MAESN: sparse.
      sparse_radius: Distance to the goal up to which the sparse reward tells it. Unit: of the
        plane. Source: tfcaml; MAESN's robots: 0.8, which a point finds by chance.
      num_train: Places to learn from. Source: MAESN: 100.
      action_range: The policy's output that makes a whole move of 0.1. Source: MAML's code: 1.
      horizon: Steps of an episode. Unit: steps. Source: tfcaml.
    """

    arc: str = "semicircle"
    radius: float = 2.0
    train_reward: str = "dense"
    test_reward: str = "sparse"
    sparse_radius: float = 0.6
    num_train: int = 100
    action_range: float = 1.0
    horizon: int = 40

    def __post_init__(self) -> None:
        check_one_of("arc", self.arc, tuple(ARCS))
        check_positive(
            radius=self.radius,
            sparse_radius=self.sparse_radius,
            num_train=self.num_train,
            action_range=self.action_range,
            horizon=self.horizon,
        )
        sparse.check_rewards(self)


class PointRing(TaskFamily):
    """A task is {"goal": [N, 2], "sparse": [N]}: a place, and 1 where the reward is sparse, else 0.

    A point starts at (0, 0) and moves by up to 0.1 along each axis per step. Observation: where it
    is. Reward: the ring's radius less the distance to the goal. The sparse one is 0 where the goal
    is not near. Episodes never end early.
    """

    @checked_call
    def __init__(self, config: PointRingConfig | None = None) -> None:
        self.config = config_of(config, PointRingConfig)
        self.horizon = self.config.horizon
        number = tf.TensorSpec([], tf.float32)
        self.task_spec = {"goal": tf.TensorSpec([2], tf.float32), "sparse": number}
        self.observation_spec = tf.TensorSpec([2], tf.float32, "observation")
        bound = self.config.action_range
        self.action_spec = tensor_spec.BoundedTensorSpec([2], tf.float32, -bound, bound, "action")

    @checked_call
    def population(self, seed: int, num_test: int = 40) -> Population:
        """As many places to learn from as an option says, and `num_test` others."""
        check_whole("num_test", num_test, 1)
        units = sparse.apart(seed, self.config.num_train, num_test, 1)
        train, test = sparse.as_rewarded(self.config, *map(self._tasks, units))
        group = lambda task: np.zeros(len(task["sparse"]), np.int64)
        return Population(train, test, group(train), group(test))

    def planar_goal(self, task: Task) -> tf.Tensor:
        return task["goal"]

    def reset(self, task: Task, key: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        position = tf.zeros([*key.shape[:2], 2], task["goal"].dtype)
        return position, position

    def step(
        self, task: Task, state: tf.Tensor, action: tf.Tensor, noise: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor]:
        config = self.config
        move = action * (_MAX_MOVE / config.action_range)
        position = state + tf.clip_by_value(move, -_MAX_MOVE, _MAX_MOVE)
        distance = tf.norm(position - task["goal"][:, None], axis=-1)
        near = distance <= config.sparse_radius
        elsewhere = tf.fill(task["sparse"].shape, config.radius)  # so that exactly 0 is paid there
        reward = config.radius - sparse.told(task["sparse"], distance, near, elsewhere)
        return position, position, reward, tf.zeros(distance.shape, tf.bool)

    def _tasks(self, unit: tf.Tensor) -> Task:
        """Tasks of U(0, 1) numbers [N, 1]."""
        goal = self.config.radius * parts.on_circle(unit[:, 0] * ARCS[self.config.arc])
        return {"goal": goal, "sparse": tf.zeros_like(unit[:, 0])}
