"""Ants that learn with sub-policies: two targets, and two directions.

AntBandits and AntMovement of K. Frans, J. Ho, X. Chen, P. Abbeel, J. Schulman, "Meta learning
shared hierarchies" (MLSH), ICLR 2018, in the form of their code. Its ants in mazes and on an
obstacle course are in `ant_courses`.

Differences from the source: the integrator is Euler's method by default, and that of Runge and
Kutta there. The ant of AntMovement is that of Gymnasium with another mass; in the source it also
has a head without mass, and a longer torso.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import numpy as np
import tensorflow as tf

from tfcaml import keys, settings
from tfcaml.environments.base import Population
from tfcaml.environments.mujoco import parts
from tfcaml.environments.mujoco.ant import AntConfig
from tfcaml.environments.mujoco.simulation import Robot, Simulation
from tfcaml.errors import check_positive, checked_call
from tfcaml.types import Task

if TYPE_CHECKING:
    import mujoco

# Where the targets of AntBandits are, in metres; their height is that of the source's mark.
_TARGETS = np.array([[5, 0, 1.01], [0, 5, 1.01]], np.float32)
_VELOCITY_NOISE = 0.05  # of the noise of positions
_VELOCITY_SALT = 32  # of an episode's key
_DIRECTIONS = np.eye(2, dtype=np.float32)  # of AntMovement
_ASIDE = 0.5  # what a metre beside the axis costs


@settings.checked
@dataclasses.dataclass(frozen=True)
class AntBanditsConfig(AntConfig):
    """Options of AntBandits.

    Attributes:
      horizon: Steps of an episode, at most. Unit: steps. Source: MLSH: 1000.
      action_range: The policy's output that makes the whole control of an actuator. A policy of
        standard deviation 1 explores a share 1 / `action_range` of it. Source: MLSH's code: 1;
        ProMP's: 10.
      reset_noise: How far positions at the start are spread, evenly; velocities are spread a
        twentieth of it. Source: MLSH's code: 0.1.
      distance_cost: What a step costs at a distance of a metre from the target. Source: MLSH's
        code: 1 / 3000.
    """

    horizon: int = 1000
    action_range: float = 1.0
    distance_cost: float = 1 / 3000

    def __post_init__(self) -> None:
        super().__post_init__()
        check_positive(distance_cost=self.distance_cost)


@settings.checked
@dataclasses.dataclass(frozen=True)
class HeavyAntConfig(AntConfig):
    """Options of ants with another mass.

    Attributes:
      action_range: The policy's output that makes the whole control of an actuator. A policy of
        standard deviation 1 explores a share 1 / `action_range` of it. Source: MLSH's code: 1;
        ProMP's: 10.
      timestep: Length of one step of the simulator, 1e-6 to 1. Unit: seconds. Source: MLSH's code:
        0.005.
      mass: Mass of the ant. Unit: kilograms. Source: MLSH's code: 40; gymnasium 1.3: 0.911.
    """

    action_range: float = 1.0
    timestep: float = 0.005
    mass: float = 40.0

    def __post_init__(self) -> None:
        super().__post_init__()
        check_positive(mass=self.mass)


@settings.checked
@dataclasses.dataclass(frozen=True)
class AntMovementConfig(HeavyAntConfig):
    """Options of AntMovement.

    Attributes:
      horizon: Steps of an episode, at most. Unit: steps. Source: MLSH's code: 600.
    """

    horizon: int = 600


class AntBandits(Simulation):
    """Go to one of two targets, at (5, 0) or at (0, 5); each is also tested on.

    A task is {"goal": [N, 3]}, in metres. Observation: positions and velocities, and a 0 that is
    constant (30): the target is not told. Reward: - the root of the distance between torso and
    target, times `distance_cost`. Episodes never end early.

    Difference from the source: there the distance is that of the ant's centre of mass.
    """

    Config = AntBanditsConfig
    config: AntBanditsConfig
    holds_out = False

    def spec(self) -> mujoco.MjSpec:
        from tfcaml.environments.mujoco.bodies.ants import ant

        return ant(gear=self.config.gear)

    def tasks(self, unit: tf.Tensor) -> Task:
        return {"goal": tf.gather(_TARGETS, parts.kind_of(unit, len(_TARGETS)))}

    @checked_call
    def population(self, seed: int, num_test: int = 2) -> Population:
        """Both targets to learn from, and by turns to adapt to; the seed changes nothing."""
        return parts.few(self, seed, len(_TARGETS), num_test)

    def start(self, task: Task, key: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        position, _ = super().start(task, key)
        unit = keys.uniform(keys.salted(key, _VELOCITY_SALT), [self.model.nv])
        return position, _VELOCITY_NOISE * self.config.reset_noise * (2 * unit - 1)

    def observe(self, task: Task, body: Robot) -> tf.Tensor:
        constant = tf.zeros_like(body.qpos[..., :1])
        return tf.concat([body.qpos, body.qvel, constant], axis=-1)

    def reward(
        self, task: Task, before: Robot, after: Robot, velocity: tf.Tensor, control: tf.Tensor
    ) -> tf.Tensor:
        distance = tf.norm(after.qpos[..., :3] - task["goal"][:, None], axis=-1)
        return -self.config.distance_cost * tf.sqrt(distance)

    def goal(self, task: Task) -> tf.Tensor:
        return task["goal"]

    def planar_goal(self, task: Task) -> tf.Tensor:
        return task["goal"][:, :2]


class AntMovement(Simulation):
    """Run along x or along y, and stay on that axis; each is also tested on.

    A task is {"direction": [N, 2]}, a unit vector. Observation: positions and velocities (29).
    Reward: speed in the direction - 0.1 times the sum of squared controls - 0.5 times the distance
    from the axis. Episodes never end early.

    Difference from the source: some versions of its code draw one of four directions, and leave the
    place in the plane out of the observation.
    """

    Config = AntMovementConfig
    config: AntMovementConfig
    holds_out = False
    control_weight = 0.1

    def spec(self) -> mujoco.MjSpec:
        from tfcaml.environments.mujoco.bodies.ants import ant

        return ant(gear=self.config.gear, mass=self.config.mass)

    def tasks(self, unit: tf.Tensor) -> Task:
        return {"direction": tf.gather(_DIRECTIONS, parts.kind_of(unit, len(_DIRECTIONS)))}

    @checked_call
    def population(self, seed: int, num_test: int = 2) -> Population:
        """Both directions to learn from, and by turns to adapt to; the seed changes nothing."""
        return parts.few(self, seed, len(_DIRECTIONS), num_test)

    def observe(self, task: Task, body: Robot) -> tf.Tensor:
        return tf.concat([body.qpos, body.qvel], axis=-1)

    def reward(
        self, task: Task, before: Robot, after: Robot, velocity: tf.Tensor, control: tf.Tensor
    ) -> tf.Tensor:
        along = tf.reduce_sum(velocity[..., :2] * task["direction"][:, None], axis=-1)
        across = task["direction"][:, None, ::-1]  # the other axis
        aside = tf.abs(tf.reduce_sum(after.qpos[..., :2] * across, axis=-1))
        return along - self.control_cost(control) - _ASIDE * aside
