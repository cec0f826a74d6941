"""Rings: an ant or a robot on wheels is to go to a place on a half circle around the start.

Families of A. Gupta, R. Mendonca, Y. Liu, P. Abbeel, S. Levine, "Meta-reinforcement learning of
structured exploration strategies" (MAESN), NeurIPS 2018, section 5, in the form of their code.
There are finitely many places to learn from. Near its goal an episode is paid by the distance to
it. Elsewhere a dense reward is paid by the distance too, and a sparse one as much at every place.
Places to learn from have the dense reward and those to adapt to the sparse one, by default.

Differences from the source: contact forces are neither observed, 84 numbers of an ant, nor paid
for, at most 0.05 a step.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import numpy as np
import tensorflow as tf

from tfcaml import settings
from tfcaml.environments.base import Population
from tfcaml.environments.mujoco import parts, sparse
from tfcaml.environments.mujoco.ant import AntGoal
from tfcaml.environments.mujoco.simulation import Robot, Simulation, SimulationConfig
from tfcaml.errors import check_positive, check_whole, checked_call
from tfcaml.types import Task

if TYPE_CHECKING:
    import mujoco

_POSITION_NOISE = 0.1  # of the noise of velocities


@settings.checked
@dataclasses.dataclass(frozen=True)
class RingConfig(SimulationConfig):
    """Options of the families.

    Attributes:
      horizon: Steps of an episode, at most. Unit: steps. Source: MAESN: 200.
      action_range: The policy's output that makes the whole control of an actuator. A policy of
        standard deviation 1 explores a share 1 / `action_range` of it. Source: MAESN's code: 1;
        ProMP's: 10.
      frame_skip: Steps of the simulator in one step of the environment. Unit: MuJoCo's steps.
        Source: MAESN's code: 1.
      reset_noise: Standard deviation of velocities at the start; that of positions is a tenth of
        it. Source: MAESN's code: 0.1.
      radius: Distance of goals. Unit: metres. Source: MAESN's code: 2.
      train_reward: What places to learn from pay: "dense" or "sparse". Source: MAESN: dense.
      test_reward: What places to adapt to pay. Source: MAESN: sparse.
      sparse_radius: Distance to the goal up to which the sparse reward tells it. Unit: metres.
        Source: MAESN's code: 0.8.
      num_train: Places to learn from. Source: MAESN: 100.
    """

    horizon: int = 200
    action_range: float = 1.0
    frame_skip: int = 1
    radius: float = 2.0
    train_reward: str = "dense"
    test_reward: str = "sparse"
    sparse_radius: float = 0.8
    num_train: int = 100

    def __post_init__(self) -> None:
        super().__post_init__()
        check_positive(
            radius=self.radius, sparse_radius=self.sparse_radius, num_train=self.num_train
        )
        sparse.check_rewards(self)


@settings.checked
@dataclasses.dataclass(frozen=True)
class AntRingConfig(RingConfig):
    """Options of the ant.

    Attributes:
      gear: Torque of a motor at its whole control. Unit: newton metres. Source: MAESN's code: 30;
        gymnasium 1.3: 150.
    """

    gear: float = 30.0

    def __post_init__(self) -> None:
        super().__post_init__()
        check_positive(gear=self.gear)


class _Ring(Simulation):
    """A task is {"goal": [N, 2], "sparse": [N]}: a place in metres, and 1 where the reward is
    sparse, else 0."""

    task_size = 1

    def tasks(self, unit: tf.Tensor) -> Task:
        goal = self.config.radius * parts.on_circle(unit[:, 0] / 2)
        return {"goal": goal, "sparse": tf.zeros_like(unit[:, 0])}

    @checked_call
    def population(self, seed: int, num_test: int = 30) -> Population:
        """As many places to learn from as an option says, and `num_test` others."""
        check_whole("num_test", num_test, 1)
        units = sparse.apart(seed, self.config.num_train, num_test, self.task_size)
        train, test = sparse.as_rewarded(self.config, *map(self.tasks, units))
        group = lambda task: np.zeros(len(task["sparse"]), np.int64)
        return Population(train, test, group(train), group(test))

    def start(self, task: Task, key: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        position, velocity = self.normal_start(key)
        return _POSITION_NOISE * position, velocity

    def goal(self, task: Task) -> tf.Tensor:
        return tf.pad(task["goal"], [[0, 0], [0, 1]])

    def planar_goal(self, task: Task) -> tf.Tensor:
        return task["goal"]


class AntRing(_Ring, AntGoal):
    """An ant with weak motors. It ends when it has fallen, or has been thrown up.

    Reward: 4.05 - the distance along x and along y - 0.005 times the sum of squared controls. The
    sparse one has, in place of the distance, that from (0, 0) where the goal is not near.
    """

    Config = AntRingConfig  # type: ignore[assignment]
    form = "maml"

    def reward(
        self, task: Task, before: Robot, after: Robot, velocity: tf.Tensor, control: tf.Tensor
    ) -> tf.Tensor:
        offset = after.sensors[..., :2] - task["goal"][:, None]
        length = lambda x: tf.reduce_sum(tf.abs(x), axis=-1)
        distance = sparse.told(
            task["sparse"],
            length(offset),
            tf.norm(offset, axis=-1) <= self.config.sparse_radius,
            length(task["goal"]),
        )
        return self.maml_reward(4 - distance, control)


class WheeledRing(_Ring):
    """A robot with two motors that turn its wheels. Episodes never end early.

    Observation: positions and velocities (12). Reward: - the distance - 0.05 times the sum of
    squared controls. The sparse one has, in place of the distance, that from (0, 0) where the goal
    is not near.
    """

    Config = RingConfig
    control_weight = 0.05

    def spec(self) -> mujoco.MjSpec:
        from tfcaml.environments.mujoco.bodies.wheeled_robots import wheeled

        return wheeled(drive="motor")

    def observe(self, task: Task, body: Robot) -> tf.Tensor:
        return tf.concat([body.qpos, body.qvel], axis=-1)

    def reward(
        self, task: Task, before: Robot, after: Robot, velocity: tf.Tensor, control: tf.Tensor
    ) -> tf.Tensor:
        distance = tf.norm(after.qpos[..., :2] - task["goal"][:, None], axis=-1)
        near = distance <= self.config.sparse_radius
        told = sparse.told(task["sparse"], distance, near, tf.norm(task["goal"], axis=-1))
        return -told - self.control_cost(control)
