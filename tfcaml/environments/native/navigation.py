"""2D navigation: reach a goal that only the reward tells.

A point starts at (0, 0) and moves by up to 0.1 along each axis per step. Environment of C. Finn,
P. Abbeel, S. Levine, "Model-agnostic meta-learning for fast adaptation of deep networks", ICML
2017, section 5.3.1. The paper says that the reward is the negative squared distance to the goal;
its code and its published returns have the negative distance, the default here.

The sparse variants follow K. Rakelly et al. (PEARL, ICML 2019; horizon 20) and L. Zintgraf et al.
(VariBAD, ICLR 2020; horizon 100): goals on a semicircle, reward 1 - distance within 0.2 of the
goal and 0 elsewhere, episodes that never end early (`termination_box=0`).
"""

import dataclasses
import math

import numpy as np
import tensorflow as tf
from tf_agents.specs import tensor_spec

from tfcaml import keys, settings
from tfcaml.environments.base import Population, TaskFamily, config_of
from tfcaml.errors import check, check_acts, check_one_of, check_positive, check_whole, checked_call
from tfcaml.types import Task

# Rewards by name, see `NavigationConfig`.
REWARDS = ("distance", "squared_distance", "sparse")
# Where goals lie, see `NavigationConfig`.
GOALS = ("square", "semicircle", "corners")
_MAX_MOVE = 0.1  # per axis and step
_GRID = 2**20  # points per axis on which training and query goals alternate


@settings.checked
@dataclasses.dataclass(frozen=True)
class NavigationConfig:
    """Options of the family; lengths are in the plane's units.

    Attributes:
      reward: "distance", minus the distance to the goal; "squared_distance", minus its square; or
        "sparse", 1 minus the distance near the goal and 0 elsewhere. Source: MAML's code: distance
        (its text: squared); PEARL: sparse.
      goals: Where goals lie: "square", "semicircle" (the upper one) or "corners". Source: MAML
        paper, section 5.3.1: square; PEARL: semicircle.
      goal_range: Half the side of the square, the radius, or the corners' coordinate. Unit: of the
        plane. Source: MAML paper, section 5.3.1: 0.5.
      sparse_radius: Distance to the goal within which the sparse reward is paid. Unit: of the
        plane. Source: PEARL's code: 0.2.
      action_range: The policy's output that makes a whole move of 0.1. Source: MAML's code: 1;
        ProMP's: 10; raw moves: 0.1.
      termination_box: Distance to the goal on both axes at which an episode ends; 0 is never. Unit:
        of the plane. Source: MAML's code: 0.01.
      observe_goal: Whether the goal is in the observation, as the oracle needs it. Source: MAML
        paper, section 5.3.
      horizon: Steps of an episode, at most. Unit: steps. Source: MAML paper, section 5.3.1: 100;
        PEARL: 20.
    """

    reward: str = "distance"
    goals: str = "square"
    goal_range: float = 0.5
    sparse_radius: float = 0.2
    action_range: float = 1.0
    termination_box: float = 0.01
    observe_goal: bool = False
    horizon: int = 100

    def __post_init__(self) -> None:
        check_one_of("reward", self.reward, REWARDS)
        check_one_of("goals", self.goals, GOALS)
        check_positive(
            goal_range=self.goal_range,
            sparse_radius=self.sparse_radius,
            action_range=self.action_range,
            horizon=self.horizon,
        )
        check(self.termination_box >= 0, "termination_box", self.termination_box, ">= 0")
        both = self.goals == "corners" and self.reward != "sparse"
        check(not both, "goals", self.goals, "square or semicircle unless the reward is sparse")
        check_acts(self, ("sparse_radius",), self.reward == "sparse", "with reward=sparse")


class Navigation(TaskFamily):
    """The family. A task is {"goal": [N, 2]}.

    Policies give numbers in +-`action_range`, which are scaled to moves of +-0.1 and clipped: how
    wide a policy of standard deviation 1 explores, and so every return, hangs on that option.
    """

    @checked_call
    def __init__(self, config: NavigationConfig | None = None) -> None:
        self.config = config_of(config, NavigationConfig)
        self.horizon = self.config.horizon
        self.observes_task = self.config.observe_goal
        self.holds_out = self.config.goals != "corners"
        self.task_spec = {"goal": tf.TensorSpec([2], tf.float32)}
        size = 4 if self.config.observe_goal else 2
        self.observation_spec = tf.TensorSpec([size], tf.float32, "observation")
        bound = self.config.action_range
        self.action_spec = tensor_spec.BoundedTensorSpec([2], tf.float32, -bound, bound, "action")

    @checked_call
    def population(self, seed: int, num_test: int = 40) -> Population:
        """Fresh goals at every draw to learn from, and `num_test` fixed ones to adapt to.

        The default is MAML's 40.

        Goals to learn from lie on the even points of a fine grid and query goals on the odd ones,
        so that none is in both sets; of the four corners, which are all there are, each is.
        """
        check_whole("num_test", num_test, 1)
        rng = np.random.default_rng([keys.as_int(seed), 0x60A1])
        query = self._goals(tf.constant(rng.integers(0, _GRID, [num_test, 2]) * 2 + 1))
        examples = self._goals(tf.constant(rng.integers(0, _GRID, [num_test, 2]) * 2))
        group = np.zeros(num_test, np.int64)
        return Population(examples, query, group, group, self._draw)

    def planar_goal(self, task: Task) -> tf.Tensor:
        return task["goal"]

    def reset(self, task: Task, key: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        position = tf.zeros([*key.shape[:2], 2], task["goal"].dtype)
        return position, self._observation(task, position)

    def step(
        self, task: Task, state: tf.Tensor, action: tf.Tensor, noise: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor]:
        config = self.config
        move = action * (_MAX_MOVE / config.action_range)
        position = state + tf.clip_by_value(move, -_MAX_MOVE, _MAX_MOVE)
        offset = position - task["goal"][:, None]
        terminated = tf.reduce_all(tf.abs(offset) < config.termination_box, axis=-1)
        squared_distance = tf.reduce_sum(offset**2, axis=-1)
        if config.reward == "squared_distance":
            reward = -squared_distance
        else:
            distance = tf.sqrt(squared_distance)
            reward = -distance
            if config.reward == "sparse":
                reward = tf.where(distance <= config.sparse_radius, 1 - distance, 0)
        return position, self._observation(task, position), reward, terminated

    def _observation(self, task: Task, position: tf.Tensor) -> tf.Tensor:
        if not self.config.observe_goal:
            return position
        goal = tf.broadcast_to(task["goal"][:, None], position.shape)
        return tf.concat([position, goal], axis=-1)

    def _draw(self, num_tasks: int, key: tf.Tensor) -> Task:
        """New goals to learn from. key: [2]."""
        return self._goals(
            2 * tf.random.stateless_uniform([num_tasks, 2], key, 0, _GRID, dtype=tf.int32)
        )

    def _goals(self, point: tf.Tensor) -> Task:
        """Grid points [n, 2], integers in [0, 2 * _GRID) -> task."""
        unit = tf.cast(tf.cast(point, tf.float64) / (2 * _GRID), tf.float32)  # exact
        size = self.config.goal_range
        if self.config.goals == "square":
            return {"goal": size * (2 * unit - 1)}
        if self.config.goals == "corners":
            return {"goal": size * tf.sign(2 * unit - 1 + 1e-9)}
        angle = math.pi * unit[:, 0]
        return {"goal": size * tf.stack([tf.cos(angle), tf.sin(angle)], axis=-1)}
