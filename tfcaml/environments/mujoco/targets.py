"""Targets: a robot is to reach, drive or walk to a place that only the reward tells.

Families of L. Lan, Z. Li, X. Guan, P. Wang, "Meta reinforcement learning with task embedding and
shared policy" (TESP), IJCAI 2019, section 5. There are finitely many targets to learn from, and
three named sets to adapt to, see `environments.goal_sets`. Episodes start at the same place and at
rest.

Differences from the source: the integrator is an option, "euler" by default, where the source has
"rk4" for reachers and ant.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import numpy as np
import tensorflow as tf

from tfcaml import settings
from tfcaml.environments import goal_sets
from tfcaml.environments.base import Population
from tfcaml.environments.mujoco import parts
from tfcaml.environments.mujoco.simulation import Robot, Simulation, SimulationConfig
from tfcaml.errors import check_positive, checked_call
from tfcaml.types import Task

if TYPE_CHECKING:
    import mujoco

_CONTROL_COST = 0.5e-3


@settings.checked
@dataclasses.dataclass(frozen=True)
class TargetConfig(SimulationConfig):
    """Options of the families.

    Attributes:
      horizon: Steps of an episode, at most. Unit: steps. Source: TESP's code: 200.
      action_range: The policy's output that makes the whole control of an actuator. A policy of
        standard deviation 1 explores a share 1 / `action_range` of it. Source: TESP's code: 1;
        ProMP's: 10.
      reset_noise: How far positions and velocities at the start are spread, see `Simulation.start`.
        Source: TESP's code: 0.
      num_train: Targets to learn from. Source: TESP: 100.
    """

    horizon: int = 200
    action_range: float = 1.0
    reset_noise: float = 0.0
    num_train: int = 100

    def __post_init__(self) -> None:
        super().__post_init__()
        check_positive(num_train=self.num_train)


class _Targets(Simulation):
    """A task is {"goal": [N, 2]}, in metres.

    The reward is minus the distance to the target, less 0.0005 times the squares of the controls,
    as shares of the largest ones. Arrival ends an episode.
    """

    Config = TargetConfig
    config: TargetConfig
    task_size = 2
    arrival: float  # how near the target an episode ends, in metres
    separation = 0.1  # the least distance of two targets
    height = 0.0  # of the target in films

    def place(self, body: Robot) -> tf.Tensor:
        """What is to come to the target: [N, E, 2]."""
        return body.qpos[..., :2]

    def tasks(self, unit: tf.Tensor) -> Task:
        return {"goal": goal_sets.SQUARE * (2 * unit - 1)}

    @checked_call
    def population(self, seed: int, num_test: int = 300) -> Population:
        """Targets to learn from, and those of the three sets in turn: D, D', D'', D, ...

        Args:
          seed: an integer from 0 to 2**62 - 1.
          num_test: Q, at most three times as many as are learned from.

        Raises:
          ConfigError: there is no room for so many targets.
        """
        return goal_sets.population(seed, self.config.num_train, num_test, self.separation)

    def goal(self, task: Task) -> tf.Tensor:
        return tf.pad(task["goal"], [[0, 0], [0, 1]], constant_values=self.height)

    def reward(
        self, task: Task, before: Robot, after: Robot, velocity: tf.Tensor, control: tf.Tensor
    ) -> tf.Tensor:
        return -self._distance(task, after) - self.control_cost(control)

    def control_cost(self, control: tf.Tensor) -> tf.Tensor:
        share = control / self.model.actuator_ctrlrange[:, 1].astype(np.float32)
        return _CONTROL_COST * tf.reduce_sum(share**2, axis=-1)

    def ended(self, task: Task, body: Robot) -> tf.Tensor:
        return self._distance(task, body) < self.arrival

    def _distance(self, task: Task, body: Robot) -> tf.Tensor:
        return tf.norm(self.place(body) - task["goal"][:, None], axis=-1)


class _Reacher(_Targets):
    """Observation: cosines and sines of the joints' angles, their velocities, the fingertip."""

    links: int
    height = 0.1

    def spec(self) -> mujoco.MjSpec:
        from tfcaml.environments.mujoco.bodies.reachers import reacher

        return reacher(self.links)

    def place(self, body: Robot) -> tf.Tensor:
        ends = [*(f"body{link}" for link in range(1, self.links)), "fingertip"]
        lengths = np.array([self.model.body(end).pos[0] for end in ends], np.float32)
        return parts.fingertip(body.qpos, lengths)

    def observe(self, task: Task, body: Robot) -> tf.Tensor:
        angle = body.qpos
        seen = [tf.cos(angle), tf.sin(angle), body.qvel, self.place(body)]
        return tf.concat(seen, axis=-1)


class Reacher2(_Reacher):
    """An arm of two links, whose fingertip is to be at the target."""

    links, arrival = 2, 0.06


class Reacher4(_Reacher):
    """An arm of four links, whose fingertip is to be at the target."""

    links, arrival, separation = 4, 0.11, 0.11


class Wheeled(_Targets):
    """A robot with two driven wheels.

    Observation: its place [3], sine and cosine of its heading, their velocities [4] (9).
    """

    arrival, height = 0.02, 0.1

    def spec(self) -> mujoco.MjSpec:
        from tfcaml.environments.mujoco.bodies.wheeled_robots import wheeled

        return wheeled()

    def observe(self, task: Task, body: Robot) -> tf.Tensor:
        heading = body.qpos[..., 3:4]
        place, velocity = body.qpos[..., :3], body.qvel[..., :4]
        return tf.concat([place, tf.sin(heading), tf.cos(heading), velocity], axis=-1)

    def planar_goal(self, task: Task) -> tf.Tensor:
        return task["goal"]


class AntTarget(_Targets):
    """A small ant, whose torso is to be at the target. It starts on its feet.

    Observation: positions and velocities (29). An episode ends when it has fallen, too.
    """

    arrival, height = 0.03, 0.25

    def spec(self) -> mujoco.MjSpec:
        from tfcaml.environments.mujoco.bodies.ants import tesp_ant

        return tesp_ant()

    def pose(self) -> np.ndarray:
        return self.model.key("stand").qpos

    def observe(self, task: Task, body: Robot) -> tf.Tensor:
        return tf.concat([body.qpos, body.qvel], axis=-1)

    def ended(self, task: Task, body: Robot) -> tf.Tensor:
        height = body.qpos[..., 2]
        return super().ended(task, body) | (height < 0.15) | (height > 0.45)

    def planar_goal(self, task: Task) -> tf.Tensor:
        return task["goal"]
