"""Half-cheetah: a flat runner with six motors that is to run at a speed, or in a direction.

The tasks are those of C. Finn, P. Abbeel, S. Levine, "Model-agnostic meta-learning for fast
adaptation of deep networks", ICML 2017, section 5.3.2, in the form of their code ("maml"), or in
that of J. Rothfuss et al., "ProMP: Proximal meta-policy search", ICLR 2019 ("promp"), which most
later work has. The two forms differ in what is observed, in how speed is measured, in where
episodes start and in the range of speeds. MAML's own runs also have frame_skip=1, action_range=1
and horizon=200. Returns of different forms and options can't be compared.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import tensorflow as tf

from tfcaml import settings
from tfcaml.environments.base import Population
from tfcaml.environments.mujoco import parts
from tfcaml.environments.mujoco.simulation import Robot, Simulation, SimulationConfig
from tfcaml.errors import check, check_one_of, checked_call
from tfcaml.types import Task

if TYPE_CHECKING:
    import mujoco

# Whose tasks they are, see the module.
FORMS = ("promp", "maml")
_MAML_POSITION_NOISE = 0.1  # of the noise of velocities


@settings.checked
@dataclasses.dataclass(frozen=True)
class HalfCheetahDirectionConfig(SimulationConfig):
    """Options of running forwards or backwards.

    Attributes:
      form: Whose observation, measure of speed and start: "promp" or "maml". Source: ProMP's and
        MAML's code.
    """

    form: str = "promp"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_one_of("form", self.form, FORMS)


@settings.checked
@dataclasses.dataclass(frozen=True)
class HalfCheetahVelocityConfig(HalfCheetahDirectionConfig):
    """Options of running at a speed.

    Attributes:
      lowest_speed: The least speed that is a goal. Unit: metres per second. Source: MAML paper: 0;
        its published policies: 0.1.
      highest_speed: The greatest one. Unit: metres per second. Source: ProMP's code: 3; MAML paper:
        2; its published policies: 0.8.
    """

    lowest_speed: float = 0.0
    highest_speed: float = 3.0

    def __post_init__(self) -> None:
        super().__post_init__()
        rule = f"above lowest_speed={self.lowest_speed}"
        check(self.lowest_speed < self.highest_speed, "highest_speed", self.highest_speed, rule)


class _HalfCheetah(Simulation):
    """The robot of both families."""

    control_weight = 0.05

    def spec(self) -> mujoco.MjSpec:
        from tfcaml.environments.mujoco.bodies.cheetahs import half_cheetah

        found = half_cheetah()
        if self.config.form == "maml":
            parts.sense_center_of_mass(found, "torso")
        return found

    def observe(self, task: Task, body: Robot) -> tf.Tensor:
        """Positions but the first, and velocities: 17 numbers; MAML's form has 3 more, the place
        of the centre of mass."""
        seen = [body.qpos[..., 1:], body.qvel, body.sensors[..., :3]]
        return tf.concat(seen if self.config.form == "maml" else seen[:2], axis=-1)

    def start(self, task: Task, key: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        if self.config.form == "promp":
            return super().start(task, key)
        position, velocity = self.normal_start(key)
        return _MAML_POSITION_NOISE * position, velocity

    def speed(self, after: Robot, velocity: tf.Tensor) -> tf.Tensor:
        """Speed to the right, [N, E]: of the first position, or of the centre of mass."""
        return after.sensors[..., 3] if self.config.form == "maml" else velocity[..., 0]


class HalfCheetahDirection(_HalfCheetah):
    """Run forwards or backwards. A task is {"direction": [N]}, 1 or -1, and each is also tested on.

    Reward: speed in the task's direction - 0.05 times the sum of squared controls.
    """

    Config = HalfCheetahDirectionConfig
    holds_out = False

    def tasks(self, unit: tf.Tensor) -> Task:
        return {"direction": tf.where(unit[:, 0] < 0.5, 1.0, -1.0)}

    @checked_call
    def population(self, seed: int, num_test: int = 2) -> Population:
        """Both directions to learn from, and by turns to adapt to."""
        return parts.both_directions(self, num_test, super().population(seed, num_test).draw)

    def reward(
        self, task: Task, before: Robot, after: Robot, velocity: tf.Tensor, control: tf.Tensor
    ) -> tf.Tensor:
        speed = self.speed(after, velocity) * task["direction"][:, None]
        return speed - self.control_cost(control)


class HalfCheetahVelocity(_HalfCheetah):
    """Run forwards at a speed. A task is {"speed": [N]}, in metres per second.

    Reward: - the absolute difference from that speed - 0.05 times the sum of squared controls.
    """

    Config = HalfCheetahVelocityConfig

    def tasks(self, unit: tf.Tensor) -> Task:
        low, high = self.config.lowest_speed, self.config.highest_speed
        return {"speed": low + (high - low) * unit[:, 0]}

    def reward(
        self, task: Task, before: Robot, after: Robot, velocity: tf.Tensor, control: tf.Tensor
    ) -> tf.Tensor:
        miss = tf.abs(self.speed(after, velocity) - task["speed"][:, None])
        return -miss - self.control_cost(control)
