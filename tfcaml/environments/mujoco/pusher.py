"""Pusher: a gripper is to push one of five blocks to a place that only the reward tells.

Family of A. Gupta, R. Mendonca, Y. Liu, P. Abbeel, S. Levine, "Meta-reinforcement learning of
structured exploration strategies" (MAESN), NeurIPS 2018, section 5, in the form of their code.
Each block has a lane of its own, and is to be pushed along it. There are finitely many layouts of
blocks to learn from, and a task for each block of a layout.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import numpy as np
import tensorflow as tf

from tfcaml import settings
from tfcaml.environments.base import Population
from tfcaml.environments.mujoco import sparse
from tfcaml.environments.mujoco.simulation import Robot, Simulation, SimulationConfig
from tfcaml.errors import check_positive, check_whole, checked_call
from tfcaml.types import Task

if TYPE_CHECKING:
    import mujoco

_BLOCKS = 5
_X, _GOAL_X = (0.35, 0.65), (0.75, 0.95)  # of blocks and of goals, in metres
_LANE, _FIRST_LANE = 0.2, -0.5  # width of a lane, and where the first one begins
_POSITION_NOISE = 0.1  # of the option
_PAY = 5.0  # for a metre


@settings.checked
@dataclasses.dataclass(frozen=True)
class PusherConfig(SimulationConfig):
    """Options of the family.

    Attributes:
      horizon: Steps of an episode, at most. Unit: steps. Source: MAESN: 100.
      action_range: The policy's output that makes the whole control of an actuator. A policy of
        standard deviation 1 explores a share 1 / `action_range` of it. Source: MAESN's code: 1;
        ProMP's: 10.
      frame_skip: Steps of the simulator in one step of the environment. Unit: MuJoCo's steps.
        Source: MAESN's code: 1.
      reset_noise: Ten times the standard deviation of positions at the start; nothing moves there.
        Unit: metres and radians. Source: MAESN's code: 0.1.
      train_reward: What tasks to learn from pay: "dense" or "sparse". Source: MAESN: dense.
      test_reward: What tasks to adapt to pay. Source: MAESN: sparse.
      sparse_radius: Distance of the block to its goal up to which the sparse reward tells it. Unit:
        metres. Source: MAESN's code: 0.2.
      num_layouts: Layouts to learn from; each has five tasks. Source: MAESN: 20.
    """

    action_range: float = 1.0
    frame_skip: int = 1
    train_reward: str = "dense"
    test_reward: str = "sparse"
    sparse_radius: float = 0.2
    num_layouts: int = 20

    def __post_init__(self) -> None:
        super().__post_init__()
        check_positive(sparse_radius=self.sparse_radius, num_layouts=self.num_layouts)
        sparse.check_rewards(self)


class Pusher(Simulation):
    """A task is {"blocks": [N, 5, 2], "block": [N], "goal": [N, 2], "sparse": [N]}: where the
    blocks are at first, which of them is to be pushed, where to, and 1 where the reward is sparse.

    Observation: positions and velocities of gripper and blocks (26). Reward: - 5 times the distance
    of the block to its goal. The sparse one has, in place of the distance, that of the goal from
    (0, 0) where the block is not near its goal.
    """

    Config = PusherConfig
    config: PusherConfig
    task_size = 3 * _BLOCKS + 3  # of the layout, and of what is to be pushed where

    def spec(self) -> mujoco.MjSpec:
        from tfcaml.environments.mujoco.bodies.pushers import pusher

        return pusher()

    def tasks(self, unit: tf.Tensor) -> Task:
        x, y, order, rest = tf.split(unit, [_BLOCKS, _BLOCKS, _BLOCKS, 3], axis=1)
        lane = tf.cast(tf.argsort(order, axis=1), tf.float32)
        blocks = tf.stack([_within(_X, x), _FIRST_LANE + _LANE * (lane + y)], axis=-1)
        block = tf.cast(_BLOCKS * rest[:, 0], tf.int32)
        own_lane = tf.gather(lane, block, batch_dims=1)
        goal = [_within(_GOAL_X, rest[:, 1]), _FIRST_LANE + _LANE * (own_lane + rest[:, 2])]
        return {
            "blocks": blocks,
            "block": block,
            "goal": tf.stack(goal, axis=-1),
            "sparse": tf.zeros_like(rest[:, 0]),
        }

    @checked_call
    def population(self, seed: int, num_test: int = 30) -> Population:
        """All tasks of as many layouts as an option says, and `num_test` tasks of other layouts.

        Groups are the blocks.
        """
        check_whole("num_test", num_test, 1)
        num_train = _BLOCKS * self.config.num_layouts
        units = [_layouts(unit) for unit in sparse.apart(seed, num_train, num_test, self.task_size)]
        train, test = sparse.as_rewarded(self.config, *map(self.tasks, units))
        return Population(train, test, train["block"].numpy(), test["block"].numpy())

    def start(self, task: Task, key: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        position, velocity = self.normal_start(key)
        blocks = tf.reshape(task["blocks"], [-1, 2 * _BLOCKS])
        blocks = blocks - self.model.qpos0[-2 * _BLOCKS :].astype(np.float32)
        moved = tf.pad(blocks, [[0, 0], [self.model.nq - 2 * _BLOCKS, 0]])
        return _POSITION_NOISE * position + moved[:, None], tf.zeros_like(velocity)

    def observe(self, task: Task, body: Robot) -> tf.Tensor:
        return tf.concat([body.qpos, body.qvel], axis=-1)

    def reward(
        self, task: Task, before: Robot, after: Robot, velocity: tf.Tensor, control: tf.Tensor
    ) -> tf.Tensor:
        shape = after.qpos.shape[:2]
        blocks = tf.reshape(after.qpos[..., -2 * _BLOCKS :], [*shape, _BLOCKS, 2])
        block = tf.repeat(task["block"][:, None], shape[1], axis=1)
        pushed = tf.gather(blocks, block, batch_dims=2)
        distance = tf.norm(pushed - task["goal"][:, None], axis=-1)
        near = distance <= self.config.sparse_radius
        return -_PAY * sparse.told(task["sparse"], distance, near, tf.norm(task["goal"], axis=-1))

    def goal(self, task: Task) -> tf.Tensor:
        table = float(self.model.body("goal").pos[2])
        return tf.pad(task["goal"], [[0, 0], [0, 1]], constant_values=table)


def _layouts(unit: tf.Tensor) -> tf.Tensor:
    """Numbers [N, task_size] of which five rows after another are of one layout, one per block."""
    row = np.arange(unit.shape[0])
    unit = unit.numpy()
    unit[:, : 3 * _BLOCKS] = unit[row - row % _BLOCKS, : 3 * _BLOCKS]
    unit[:, 3 * _BLOCKS] = (row % _BLOCKS + 0.5) / _BLOCKS
    return tf.constant(unit)


def _within(span: tuple[float, float], unit: tf.Tensor) -> tf.Tensor:
    return span[0] + (span[1] - span[0]) * unit
