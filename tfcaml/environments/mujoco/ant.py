"""Ant: a ball on four legs with eight motors that is to run at a speed, in a direction, to a place.

The tasks are those of C. Finn, P. Abbeel, S. Levine, "Model-agnostic meta-learning for fast
adaptation of deep networks", ICML 2017, section 5.3.2, in the form of their code ("maml"), or in
that of J. Rothfuss et al., "ProMP: Proximal meta-policy search", ICLR 2019 ("promp"); and GoalAnt
of R. Houthooft et al., "Evolved policy gradients", NeurIPS 2018.

The forms differ in what is observed and paid, in where episodes start and in when they end. MAML's
own runs also have frame_skip=1, timestep=0.02, action_range=1 and horizon=200. Neither has here
what its code has of contact forces: 84 observed numbers, and a cost of at most 0.05 a step.
Returns of different forms and options can't be compared.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import numpy as np
import tensorflow as tf

from tfcaml import settings
from tfcaml.environments.base import Population
from tfcaml.environments.mujoco import parts
from tfcaml.environments.mujoco.simulation import Robot, Simulation, SimulationConfig
from tfcaml.errors import check, check_one_of, check_positive, checked_call
from tfcaml.types import Task

if TYPE_CHECKING:
    import mujoco

# Whose tasks they are, see the module.
FORMS = ("promp", "maml")
_LOWEST, _HIGHEST = 0.2, 1.0  # of the torso, m; beyond them an ant has fallen, or flies
_MAML_POSITION_NOISE = 0.1  # of the noise of velocities
_MAML_BONUS, _MAML_CONTROL_WEIGHT = 0.05, 0.005
_ALIVE = 1.0


@settings.checked
@dataclasses.dataclass(frozen=True)
class AntConfig(SimulationConfig):
    """Options of ants.

    Attributes:
      gear: Torque of a motor at its whole control. Unit: newton metres. Source: gymnasium 1.3: 150;
        MAESN's code: 30.
    """

    gear: float = 150.0

    def __post_init__(self) -> None:
        super().__post_init__()
        check_positive(gear=self.gear)


@settings.checked
@dataclasses.dataclass(frozen=True)
class AntVelocityConfig(AntConfig):
    """Options of running at a speed.

    Attributes:
      highest_speed: The greatest speed that is a goal; the least is 0. Unit: metres per second.
        Source: MAML's code, 3.
    """

    highest_speed: float = 3.0

    def __post_init__(self) -> None:
        super().__post_init__()
        check_positive(highest_speed=self.highest_speed)


@settings.checked
@dataclasses.dataclass(frozen=True)
class AntDirectionConfig(AntConfig):
    """Options of running in a direction.

    Attributes:
      form: "promp", any direction in the plane; or "maml", forwards or backwards. Source: ProMP's
        and MAML's code.
    """

    form: str = "maml"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_one_of("form", self.form, FORMS)


@settings.checked
@dataclasses.dataclass(frozen=True)
class AntGoalConfig(AntConfig):
    """Options of running to a place.

    Attributes:
      form: "promp", a place in a disc, and no end; or "maml", in a square. Source: ProMP's and
        MAML's code.
      goal_range: Radius of the disc, or half the side of the square. Unit: metres. Source: ProMP's
        and MAML's code: 3.
    """

    form: str = "promp"
    goal_range: float = 3.0

    def __post_init__(self) -> None:
        super().__post_init__()
        check_one_of("form", self.form, FORMS)
        check_positive(goal_range=self.goal_range)


@settings.checked
@dataclasses.dataclass(frozen=True)
class GoalAntConfig(AntConfig):
    """Options of GoalAnt.

    Attributes:
      horizon: Steps of an episode, at most. Unit: steps. Source: tfcaml.
      nearest: Least distance of a goal. Unit: metres. Source: tfcaml; the paper names none.
      farthest: Greatest distance of a goal. Unit: metres. Source: tfcaml.
    """

    horizon: int = 1000
    nearest: float = 2.0
    farthest: float = 5.0

    def __post_init__(self) -> None:
        super().__post_init__()
        check_positive(nearest=self.nearest)
        rule = f"above nearest={self.nearest}"
        check(self.nearest < self.farthest, "farthest", self.farthest, rule)


class _Ant(Simulation):
    """The robot of all families, in two forms."""

    promp_control_weight = 0.0

    @property
    def form(self) -> str:
        return self.config.form

    @property
    def control_weight(self) -> float:  # type: ignore[override]
        return _MAML_CONTROL_WEIGHT if self.form == "maml" else self.promp_control_weight

    def spec(self) -> mujoco.MjSpec:
        from tfcaml.environments.mujoco.bodies.ants import ant

        found = ant(gear=self.config.gear)
        if self.form == "maml":
            parts.sense_center_of_mass(found, "torso")
            parts.sense_axes(found, "torso")
        return found

    def pose(self) -> np.ndarray:
        """MAML's ant starts on its legs; ProMP's, like gymnasium's, above them."""
        return self.model.key("stand").qpos if self.form == "maml" else self.model.qpos0

    def observe(self, task: Task, body: Robot) -> tf.Tensor:
        """Positions but the place in the plane, and velocities: 27 numbers; MAML's form has all
        positions, and axes and centre of mass of the torso: 41."""
        if self.form == "promp":
            return tf.concat([body.qpos[..., 2:], body.qvel], axis=-1)
        sensors = [body.sensors[..., 6:], body.sensors[..., :3]]
        return tf.concat([body.qpos, body.qvel, *sensors], axis=-1)

    def start(self, task: Task, key: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        if self.form == "promp":
            return super().start(task, key)
        position, velocity = self.normal_start(key)
        return _MAML_POSITION_NOISE * position, velocity

    def ended(self, task: Task, body: Robot) -> tf.Tensor:
        """Whether the ant has fallen, in MAML's form, or has been thrown up."""
        height = body.qpos[..., 2]
        return (height > _HIGHEST) | (height < (_LOWEST if self.form == "maml" else 0.0))

    def maml_reward(self, wanted: tf.Tensor, control: tf.Tensor) -> tf.Tensor:
        """What MAML's code pays, [N, E], of what a task wants [N, E]."""
        return wanted - self.control_cost(control) + _MAML_BONUS


class AntVelocity(_Ant):
    """Run along x at a speed. A task is {"speed": [N]}, in metres per second.

    Reward: 1.05 - the absolute difference from that speed - 0.005 times the sum of squared
    controls. All in MAML's form.
    """

    Config = AntVelocityConfig
    form = "maml"

    def tasks(self, unit: tf.Tensor) -> Task:
        return {"speed": self.config.highest_speed * unit[:, 0]}

    def reward(
        self, task: Task, before: Robot, after: Robot, velocity: tf.Tensor, control: tf.Tensor
    ) -> tf.Tensor:
        miss = tf.abs(after.sensors[..., 3] - task["speed"][:, None])
        return self.maml_reward(_ALIVE - miss, control)


class AntDirection(_Ant):
    """Run in a direction. A task is {"direction": [N, 2]}, a unit vector.

    Reward in MAML's form: speed in that direction + 0.05 - 0.005 times the sum of squared controls;
    in ProMP's: speed + 1 - 0.5 times that sum.
    """

    Config = AntDirectionConfig
    promp_control_weight = 0.5

    @checked_call
    def __init__(
        self, config: AntDirectionConfig | None = None, *, num_threads: int | None = None
    ) -> None:
        super().__init__(config, num_threads=num_threads)
        self.holds_out = self.form == "promp"  # MAML's two directions are learned and tested

    def tasks(self, unit: tf.Tensor) -> Task:
        if self.form == "maml":
            unit = tf.where(unit < 0.5, 0.0, 0.5)
        return {"direction": parts.on_circle(unit[:, 0])}

    @checked_call
    def population(self, seed: int, num_test: int = 2) -> Population:
        """In MAML's form, both directions to learn from, and by turns to adapt to."""
        found = super().population(seed, num_test)
        if self.form == "promp":
            return found
        return parts.both_directions(self, num_test, found.draw)

    def reward(
        self, task: Task, before: Robot, after: Robot, velocity: tf.Tensor, control: tf.Tensor
    ) -> tf.Tensor:
        maml = self.form == "maml"
        speed = after.sensors[..., 3:5] if maml else velocity[..., :2]
        along = tf.reduce_sum(speed * task["direction"][:, None], axis=-1)
        if maml:
            return self.maml_reward(along, control)
        return along + _ALIVE - self.control_cost(control)


class _ToAPlace(_Ant):
    """A task is {"goal": [N, 2]}, a place in the plane, in metres."""

    def goal(self, task: Task) -> tf.Tensor:
        return tf.pad(task["goal"], [[0, 0], [0, 1]])

    def planar_goal(self, task: Task) -> tf.Tensor:
        return task["goal"]

    def observe(self, task: Task, body: Robot) -> tf.Tensor:
        """As of any ant, with the place in the plane: 29 numbers; in MAML's form 41."""
        if self.form == "promp":
            return tf.concat([body.qpos, body.qvel], axis=-1)
        return super().observe(task, body)


class AntGoal(_ToAPlace):
    """Run to a place.

    Reward in MAML's form: 4.05 - the distance along x and along y - 0.005 times the sum of squared
    controls; in ProMP's: - that distance - 0.1 times that sum.
    """

    Config = AntGoalConfig
    promp_control_weight = 0.1
    task_size = 2

    def tasks(self, unit: tf.Tensor) -> Task:
        size = self.config.goal_range
        if self.form == "maml":
            return {"goal": size * (2 * unit - 1)}
        return {"goal": size * tf.sqrt(unit[:, :1]) * parts.on_circle(unit[:, 1])}

    def ended(self, task: Task, body: Robot) -> tf.Tensor:
        """Never in ProMP's form."""
        if self.form == "promp":
            return tf.zeros(body.qpos.shape[:2], tf.bool)
        return super().ended(task, body)

    def reward(
        self, task: Task, before: Robot, after: Robot, velocity: tf.Tensor, control: tf.Tensor
    ) -> tf.Tensor:
        place = after.sensors[..., :2] if self.form == "maml" else after.qpos[..., :2]
        distance = tf.reduce_sum(tf.abs(place - task["goal"][:, None]), axis=-1)
        if self.form == "maml":
            return self.maml_reward(4 - distance, control)
        return -distance - self.control_cost(control)


class GoalAnt(_ToAPlace):
    """Run to a place ahead; tested on places ahead ("ahead") and on places behind ("behind").

    Reward: the speed at which the distance to the goal falls. The paper's environment was not
    published: distances of goals, reward and length of episodes are ours.
    """

    Config = GoalAntConfig
    form = "promp"

    def tasks(self, unit: tf.Tensor) -> Task:
        distance = self.config.nearest + (self.config.farthest - self.config.nearest) * unit
        return {"goal": tf.concat([distance, tf.zeros_like(distance)], axis=-1)}

    @checked_call
    def population(self, seed: int, num_test: int = 40) -> Population:
        """Test tasks are ahead and behind by turns."""
        found = super().population(seed, num_test)
        side = np.resize([1.0, -1.0], num_test).astype(np.float32)
        test = {"goal": found.test["goal"] * side[:, None]}
        names = np.where(side > 0, "ahead", "behind")
        return found._replace(test=test, test_set=names)

    def reward(
        self, task: Task, before: Robot, after: Robot, velocity: tf.Tensor, control: tf.Tensor
    ) -> tf.Tensor:
        away = lambda body: tf.norm(body.qpos[..., :2] - task["goal"][:, None], axis=-1)
        return (away(before) - away(after)) / self.seconds_per_step
