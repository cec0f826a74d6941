"""The hopper as it is: hopping forwards, one task, or hopping forwards and backwards, two.

They are NormalHopper and DirHopper of R. Houthooft et al., "Evolved policy gradients" (EPG),
NeurIPS 2018, section 4. Hoppers with bodies of their own are in `random_robots`.

Difference from EPG's code: there all tasks of DirHopper are backwards, as its draw never gives the
other direction. Source of the body: gymnasium 1.3.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import tensorflow as tf

from tfcaml import settings
from tfcaml.environments.base import Population
from tfcaml.environments.mujoco import parts
from tfcaml.environments.mujoco.simulation import Robot, Simulation, SimulationConfig
from tfcaml.environments.native.one_task import population_of_one
from tfcaml.errors import check, check_positive, checked_call
from tfcaml.types import Task

if TYPE_CHECKING:
    import mujoco

_FASTEST = 10.0  # of observed velocities
_WILD = 100.0  # an angle or a speed at which an episode ends


@settings.checked
@dataclasses.dataclass(frozen=True)
class DirHopperConfig(SimulationConfig):
    """Options of the hopper with a direction.

    Attributes:
      horizon: Steps of an episode, at most. Unit: steps. Source: EPG's code: 1000.
      action_range: The policy's output that makes the whole control of an actuator. A policy of
        standard deviation 1 explores a share 1 / `action_range` of it. Source: ProMP's code: 10;
        EPG's: 1.
      frame_skip: Steps of the simulator in one step of the environment. Unit: MuJoCo's steps.
        Source: EPG's code: 2; gymnasium 1.3: 4.
      timestep: Length of one step of the simulator. Unit: seconds. Source: gymnasium 1.3: 0.002.
      reset_noise: How far positions and velocities at the start are spread, see `Simulation.start`.
        Source: gymnasium 1.3: 0.005.
      min_height: Height of the torso at which an episode ends. Unit: metres. Source: EPG's code:
        0.7.
    """

    horizon: int = 1000
    frame_skip: int = 2
    timestep: float = 0.002
    reset_noise: float = 0.005
    min_height: float = 0.7

    def __post_init__(self) -> None:
        super().__post_init__()
        check(self.min_height >= 0, "min_height", self.min_height, ">= 0")


@settings.checked
@dataclasses.dataclass(frozen=True)
class NormalHopperConfig(DirHopperConfig):
    """Options of the hopper that hops forwards.

    Attributes:
      max_pitch: Tilt of the torso at which an episode ends. Unit: radians. Source: EPG's code: 0.5.
    """

    max_pitch: float = 0.5

    def __post_init__(self) -> None:
        super().__post_init__()
        check_positive(max_pitch=self.max_pitch)


class DirHopper(Simulation):
    """Hop forwards or backwards. A task is {"direction": [N]}, 1 or -1; each is also tested on.

    Observation: positions but the first, and velocities, cut at +-10 (11). Reward: speed in the
    task's direction. An episode ends where the torso is too low, however it is
    tilted, and where an angle or a speed is 100 or more.
    """

    Config = DirHopperConfig
    config: DirHopperConfig
    holds_out = False

    def spec(self) -> mujoco.MjSpec:
        from tfcaml.environments.mujoco.bodies.hoppers import hopper

        return hopper()

    def tasks(self, unit: tf.Tensor) -> Task:
        return {"direction": tf.where(unit[:, 0] < 0.5, 1.0, -1.0)}

    @checked_call
    def population(self, seed: int, num_test: int = 2) -> Population:
        """Both directions to learn from, and by turns to adapt to."""
        return parts.both_directions(self, num_test, super().population(seed, num_test).draw)

    def observe(self, task: Task, body: Robot) -> tf.Tensor:
        velocity = tf.clip_by_value(body.qvel, -_FASTEST, _FASTEST)
        return tf.concat([body.qpos[..., 1:], velocity], axis=-1)

    def reward(
        self, task: Task, before: Robot, after: Robot, velocity: tf.Tensor, control: tf.Tensor
    ) -> tf.Tensor:
        return velocity[..., 0] * task["direction"][:, None]

    def ended(self, task: Task, body: Robot) -> tf.Tensor:
        rest = tf.abs(tf.concat([body.qpos[..., 2:], body.qvel], axis=-1))
        wild = tf.reduce_any(rest >= _WILD, axis=-1)
        return wild | (body.qpos[..., 1] <= self.config.min_height)


class NormalHopper(DirHopper):
    """Hop forwards, the one task there is; an episode ends where the torso is tilted, too."""

    Config = NormalHopperConfig
    config: NormalHopperConfig

    @checked_call
    def population(self, seed: int, num_test: int = 1) -> Population:
        """One task to learn from and to adapt to."""
        return population_of_one(self.tasks(tf.zeros([1, 1])), seed, num_test)

    def ended(self, task: Task, body: Robot) -> tf.Tensor:
        return super().ended(task, body) | (tf.abs(body.qpos[..., 2]) >= self.config.max_pitch)
