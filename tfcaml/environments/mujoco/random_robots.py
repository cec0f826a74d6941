"""Robots whose bodies are the tasks: hoppers, walkers and arms with own masses, sizes and so on.

What differs is drawn for each task, and nothing observed names it. The tasks are those of
R. Houthooft et al., "Evolved policy gradients" (EPG), NeurIPS 2018, section 4. Their code has the
hopper alone; the walker is randomised alike, and ranges of the arm are tfcaml's. Options give the
randomly parametrised robots of the code of J. Rothfuss et al., "ProMP: Proximal meta-policy
search", ICLR 2019, too.

A scale is drawn from [1 / s, s], where s is the option; 1 leaves everything as it is. Source of the
bodies: gymnasium 1.3.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import tensorflow as tf

from tfcaml import keys, settings
from tfcaml.environments.mujoco import parts
from tfcaml.environments.mujoco.simulation import Robot, Simulation, SimulationConfig
from tfcaml.errors import check, check_acts, check_one_of, check_positive
from tfcaml.types import Task

if TYPE_CHECKING:
    import mujoco

# How scales are drawn between their bounds.
SCALES = ("uniform", "log_uniform")
# What becomes of the inertia of a body whose mass is scaled, see `RandomHopperConfig`.
INERTIAS = ("fixed", "as_mass", "own")
_WILD = 100.0  # an angle or a speed at which an episode ends
_FASTEST = 10.0  # of observed velocities
_TARGETS = 0.2  # radius of the disc of an arm's targets, in metres
_TARGET_SALT = 32  # of an episode's key
_VELOCITY_NOISE = 0.05  # of an arm, of the noise of its angles
_DENSITY = 1000.0  # of links, in kilograms per cubic metre


@settings.checked
@dataclasses.dataclass(frozen=True)
class RandomHopperConfig(SimulationConfig):
    """Options of the hopper. The page on robots lists those that make ProMP's.

    Attributes:
      horizon: Steps of an episode, at most. Unit: steps. Source: EPG's code: 1000; ProMP's: 200.
      action_range: The policy's output that makes the whole control of an actuator. A policy of
        standard deviation 1 explores a share 1 / `action_range` of it. Source: ProMP's code: 10;
        EPG's: 1.
      frame_skip: Steps of the simulator in one step of the environment. Unit: MuJoCo's steps.
        Source: EPG's code: 2; ProMP's and gymnasium 1.3: 4.
      timestep: Length of one step of the simulator. Unit: seconds. Source: gymnasium 1.3: 0.002.
      reset_noise: How far positions and velocities at the start are spread, see `Simulation.start`.
        Source: gymnasium 1.3: 0.005.
      mass_scale: Largest scale of the mass of each body. Source: EPG's code: 2; ProMP's: 3.375.
      inertia: What becomes of the inertia of each body: "fixed" leaves it as it is, "as_mass" has
        the scale of the mass, as if the density changed, and "own" has scales of its own, as large
        as those of masses. Source: EPG's code: fixed; ProMP's: own.
      friction_scale: Largest scale of each coefficient of friction of each shape and the floor.
        Source: EPG's code: 2; ProMP's: 3.375.
      damping_scale: Largest scale of the damping of each joint. Source: ProMP's code: 2.197.
      radius_scale: Largest scale of the radius of each shape. Masses stay as they are. Source:
        EPG's code: 2; ProMP's: 1.
      min_gravity: Least gravity. Unit: metres per second squared. Source: EPG's code: 2; ProMP's:
        9.81.
      max_gravity: Greatest gravity. Unit: metres per second squared. Source: EPG's code: 20;
        ProMP's: 9.81.
      scales: How scales are drawn: "uniform" or "log_uniform". Source: EPG's code: uniform;
        ProMP's: log_uniform.
      alive_bonus: Reward of every step. Source: EPG's code: 0; ProMP's: 1.
      control_cost: What the sum of squared controls costs. Source: EPG's code: 0; ProMP's: 0.001.
      min_height: Height of the torso at which an episode ends. Unit: metres. Source: EPG's code:
        0.7.
      max_pitch: Tilt of the torso at which an episode ends. Unit: radians. Source: EPG's code: 0.5;
        ProMP's: 0.2.
    """

    horizon: int = 1000
    frame_skip: int = 2
    timestep: float = 0.002
    reset_noise: float = 0.005
    mass_scale: float = 2.0
    inertia: str = "fixed"
    friction_scale: float = 2.0
    damping_scale: float = 1.0
    radius_scale: float = 2.0
    min_gravity: float = 2.0
    max_gravity: float = 20.0
    scales: str = "uniform"
    alive_bonus: float = 0.0
    control_cost: float = 0.0
    min_height: float = 0.7
    max_pitch: float = 0.5

    def __post_init__(self) -> None:
        super().__post_init__()
        check_one_of("inertia", self.inertia, INERTIAS)
        check_one_of("scales", self.scales, SCALES)
        limits = [f"{name}_scale" for name in ("mass", "friction", "damping", "radius")]
        _check_scales(self, limits)
        check(self.min_gravity >= 0, "min_gravity", self.min_gravity, ">= 0")
        rule = f"at least min_gravity={self.min_gravity}"
        check(self.max_gravity >= self.min_gravity, "max_gravity", self.max_gravity, rule)
        for name in ("control_cost", "min_height"):
            check(getattr(self, name) >= 0, name, getattr(self, name), ">= 0")
        check_positive(max_pitch=self.max_pitch)
        check_acts(self, ("inertia",), self.mass_scale > 1, "with mass_scale above 1")
        scaled = max(getattr(self, limit) for limit in limits) > 1
        check_acts(self, ("scales",), scaled, "with a scale above 1")
        differ = scaled or self.max_gravity > self.min_gravity
        check(differ, "max_gravity", self.max_gravity, f"above {self.min_gravity}, or a scale > 1")


@settings.checked
@dataclasses.dataclass(frozen=True)
class RandomWalkerConfig(RandomHopperConfig):
    """Options of the walker. Those of ProMP's are its hopper's, with max_pitch=1.

    Attributes:
      frame_skip: Steps of the simulator in one step of the environment. Unit: MuJoCo's steps.
        Source: gymnasium 1.3: 4.
      min_height: Height of the torso at which an episode ends. Unit: metres. Source: gymnasium 1.3:
        0.8.
      max_pitch: Tilt of the torso at which an episode ends. Unit: radians. Source: gymnasium 1.3:
        1.
    """

    frame_skip: int = 4
    min_height: float = 0.8
    max_pitch: float = 1.0


@settings.checked
@dataclasses.dataclass(frozen=True)
class RandomReacherConfig(SimulationConfig):
    """Options of the arm.

    Attributes:
      horizon: Steps of an episode, at most. Unit: steps. Source: gymnasium 1.3: 50.
      frame_skip: Steps of the simulator in one step of the environment. Unit: MuJoCo's steps.
        Source: gymnasium 1.3: 2.
      reset_noise: How far angles at the start are spread, as U(-1, 1) times it; velocities are
        N(0, 1) times a twentieth of it. Unit: radians. Source: gymnasium 1.3: 0.1.
      min_length: Least scale of the length of each link. Source: tfcaml; EPG's paper names none.
      max_length: Greatest scale of the length of each link. Source: tfcaml.
      damping_scale: Largest scale of the damping of each joint. Source: tfcaml.
      strength_scale: Largest scale of the strength of each motor. Source: tfcaml.
      scales: How scales of damping and strength are drawn: "uniform" or "log_uniform". Source:
        EPG's code of the hopper: uniform; ProMP's: log_uniform.
      control_cost: What the sum of squared controls costs. Source: gymnasium 1.3: 1 before version
        5 of the environment.
    """

    horizon: int = 50
    frame_skip: int = 2
    min_length: float = 0.5
    max_length: float = 1.5
    damping_scale: float = 1.0
    strength_scale: float = 1.0
    scales: str = "uniform"
    control_cost: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        check_one_of("scales", self.scales, SCALES)
        check_positive(min_length=self.min_length)
        rule = f"above min_length={self.min_length}"
        check(self.max_length > self.min_length, "max_length", self.max_length, rule)
        limits = ["damping_scale", "strength_scale"]
        _check_scales(self, limits)
        scaled = max(getattr(self, limit) for limit in limits) > 1
        check_acts(self, ("scales",), scaled, "with damping_scale or strength_scale above 1")
        check(self.control_cost >= 0, "control_cost", self.control_cost, ">= 0")


class _Span(NamedTuple):
    """The numbers of one kind that a task has. Without `least` they are scales, from 1 / high."""

    shape: tuple[int, ...]
    high: float
    least: float | None = None

    @property
    def is_scale(self) -> bool:
        return self.least is None

    @property
    def low(self) -> float:
        return 1 / self.high if self.least is None else self.least


class _RandomRobot(Simulation):
    """A task holds what differs: dict name -> scales [N, ...], or [N] numbers with a unit."""

    def differs(self) -> dict[str, _Span]:
        """What differs from task to task: dict name -> `_Span`."""
        raise NotImplementedError

    @property
    def control_weight(self) -> float:  # type: ignore[override]
        return self.config.control_cost

    @property
    def task_size(self) -> int:  # type: ignore[override]
        return sum(math.prod(span.shape) for span in self.differs().values())

    def tasks(self, unit: tf.Tensor) -> Task:
        spans = self.differs()
        sizes = [math.prod(span.shape) for span in spans.values()]
        task = {}
        for (name, span), part in zip(spans.items(), tf.split(unit, sizes, axis=1)):
            part = tf.reshape(part, [-1, *span.shape])
            if span.is_scale and self.config.scales == "log_uniform":
                task[name] = span.low * (span.high / span.low) ** part
            else:
                task[name] = span.low + (span.high - span.low) * part
        return task


class _RandomLegs(_RandomRobot):
    """A robot in a vertical plane that is to move forwards.

    Observation: positions but the first, and velocities, cut at +-10. Reward: speed forwards, and
    what options add to it. An episode ends where the torso is too low, too high or tilted.
    """

    highest = math.inf  # height of the torso at which an episode ends

    def robot(self) -> mujoco.MjSpec:
        """The robot with gymnasium's gravity."""
        raise NotImplementedError

    def spec(self) -> mujoco.MjSpec:
        found = self.robot()
        found.option.gravity = [0, 0, -self.config.min_gravity]  # that of all tasks, or not used
        return found

    def differs(self) -> dict[str, _Span]:
        """Masses (and inertias) of bodies, friction of floor and shapes, damping of joints, radii
        of shapes, gravity."""
        model, config = self.model, self.config
        bodies, solid = model.nbody - 1, len(self._solid)
        entries: dict[str, tuple[tuple[int, ...], float]] = {
            "mass": ((bodies,), config.mass_scale),
            "inertia": ((bodies, 3), config.mass_scale if config.inertia == "own" else 1.0),
            "friction": ((solid, 3), config.friction_scale),
            "damping": ((model.nu,), config.damping_scale),
            "radius": ((solid - 1,), config.radius_scale),
        }
        found = {name: _Span(*each) for name, each in entries.items() if each[1] > 1}
        if config.max_gravity > config.min_gravity:
            found["gravity"] = _Span((), config.max_gravity, config.min_gravity)
        return found

    def physics(self, task: Task) -> dict[str, tf.Tensor]:
        model, found = self.model, {}
        scaled = lambda values, scale, rows: values * _spread(scale, rows, len(values))
        bodies = np.arange(1, model.nbody)
        if "mass" in task:
            found["body_mass"] = scaled(model.body_mass, task["mass"], bodies)
        if self.config.inertia != "fixed":
            own = self.config.inertia == "own"
            scale = task["inertia"] if own else tf.repeat(task["mass"][..., None], 3, axis=-1)
            found["body_inertia"] = scaled(model.body_inertia, scale, bodies)
        if "friction" in task:
            found["geom_friction"] = scaled(model.geom_friction, task["friction"], self._solid)
        if "damping" in task:
            joints = np.arange(model.nv - model.nu, model.nv)
            found["dof_damping"] = scaled(model.dof_damping, task["damping"], joints)
        if "radius" in task:
            radius = scaled(model.geom_size[:, 0], task["radius"], self._solid[1:])
            found |= _with_radius(model, radius)
        if "gravity" in task:
            down = np.array([0.0, 0.0, -1.0])
            found["opt.gravity"] = tf.cast(task["gravity"], tf.float64)[:, None] * down
        return found

    def observe(self, task: Task, body: Robot) -> tf.Tensor:
        velocity = tf.clip_by_value(body.qvel, -_FASTEST, _FASTEST)
        return tf.concat([body.qpos[..., 1:], velocity], axis=-1)

    def reward(
        self, task: Task, before: Robot, after: Robot, velocity: tf.Tensor, control: tf.Tensor
    ) -> tf.Tensor:
        return velocity[..., 0] + self.config.alive_bonus - self.control_cost(control)

    def ended(self, task: Task, body: Robot) -> tf.Tensor:
        height, pitch = body.qpos[..., 1], tf.abs(body.qpos[..., 2])
        rest = tf.abs(tf.concat([body.qpos[..., 2:], body.qvel], axis=-1))
        wild = tf.reduce_any(rest >= _WILD, axis=-1)
        low = (height <= self.config.min_height) | (pitch >= self.config.max_pitch)
        return low | (height >= self.highest) | wild

    @property
    def _solid(self) -> np.ndarray:
        """Indices of the shapes that touch, the floor first."""
        return np.flatnonzero(self.model.geom_contype | self.model.geom_conaffinity)


class RandomHopper(_RandomLegs):
    """A leg that hops forwards."""

    Config = RandomHopperConfig

    def robot(self) -> mujoco.MjSpec:
        from tfcaml.environments.mujoco.bodies.hoppers import hopper

        return hopper()


class RandomWalker(_RandomLegs):
    """Two legs that walk forwards."""

    Config = RandomWalkerConfig
    highest = 2.0

    def robot(self) -> mujoco.MjSpec:
        from tfcaml.environments.mujoco.bodies.hoppers import walker

        return walker()


class RandomReacher(_RandomRobot):
    """An arm of two links, whose fingertip is to be at a target that is observed.

    Masses and inertias are those of links of the same density. Targets are drawn for each episode,
    in a disc of radius 0.2 m. Observation: cosines and sines of angles, place of the target,
    velocities of the joints, fingertip less target (10). Reward: - their distance - what controls
    cost.
    """

    Config = RandomReacherConfig

    def spec(self) -> mujoco.MjSpec:
        import mujoco

        from tfcaml.environments.mujoco.bodies.reachers import gym_reacher

        found = gym_reacher()
        target = found.body("goal")
        target.mocap = False
        target.pos[:2] = 0.0
        target.first_geom().mass = 0.01  # it lies still: nothing touches it
        for name, axis in {"target_x": [1, 0, 0], "target_y": [0, 1, 0]}.items():
            target.add_joint(name=name, type=mujoco.mjtJoint.mjJNT_SLIDE, axis=axis)
        return found

    def differs(self) -> dict[str, _Span]:
        """Lengths of links, damping of joints, strength of motors."""
        config = self.config
        found = {"length": _Span((2,), config.max_length, config.min_length)}
        scales = {"damping": config.damping_scale, "strength": config.strength_scale}
        return found | {name: _Span((2,), scale) for name, scale in scales.items() if scale > 1}

    def physics(self, task: Task) -> dict[str, tf.Tensor]:
        model, found = self.model, {}
        links = np.array([model.geom(f"link{number}").id for number in range(2)])
        bodies = model.geom_bodyid[links]
        half = model.geom_size[links, 1] * tf.cast(task["length"], tf.float64)
        length, mass, inertia = 2 * half, *_capsule(model.geom_size[links[0], 0], half)
        found["geom_size"] = _put(model.geom_size, half, links, 1)
        found["geom_pos"] = _put(model.geom_pos, half, links, 0)
        found["body_ipos"] = _put(model.body_ipos, half, bodies, 0)
        found["body_mass"] = _put(model.body_mass[:, None], mass, bodies, 0)[..., 0]
        for axis, moment in enumerate(inertia):
            base = found.get("body_inertia", model.body_inertia)
            found["body_inertia"] = _put(base, moment, bodies, axis)
        # What hangs on a link keeps its distance from the link's end.
        ends = np.array([bodies[1], model.body("fingertip").id])
        beyond = model.body_pos[ends, 0] - 2 * model.geom_size[links, 1]
        found["body_pos"] = _put(model.body_pos, length + beyond, ends, 0)
        if "damping" in task:
            found["dof_damping"] = model.dof_damping * _spread(task["damping"], [0, 1], model.nv)
        return found

    def strength(self, task: Task) -> tf.Tensor | float:
        return task.get("strength", 1.0)

    def start(self, task: Task, key: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        position, velocity = super().start(task, key)
        unit = keys.uniform(keys.salted(key, _TARGET_SALT), [2])
        radius, angle = _TARGETS * tf.sqrt(unit[..., 0]), 2 * math.pi * unit[..., 1]
        target = radius[..., None] * tf.stack([tf.cos(angle), tf.sin(angle)], axis=-1)
        speed = _VELOCITY_NOISE * velocity[..., :2]
        return (
            tf.concat([position[..., :2], target], axis=-1),
            tf.concat([speed, tf.zeros_like(speed)], axis=-1),
        )

    def observe(self, task: Task, body: Robot) -> tf.Tensor:
        angle, target = body.qpos[..., :2], body.qpos[..., 2:]
        seen = [tf.cos(angle), tf.sin(angle), target, body.qvel[..., :2]]
        return tf.concat([*seen, self._offset(task, body)], axis=-1)

    def reward(
        self, task: Task, before: Robot, after: Robot, velocity: tf.Tensor, control: tf.Tensor
    ) -> tf.Tensor:
        return -tf.norm(self._offset(task, after), axis=-1) - self.control_cost(control)

    def _offset(self, task: Task, body: Robot) -> tf.Tensor:
        """Fingertip less target, [N, E, 2]."""
        ends = [self.model.body(name).pos[0] for name in ("body1", "fingertip")]
        links = 2 * self.model.geom_size[[self.model.geom(f"link{i}").id for i in range(2)], 1]
        lengths = task["length"] * links.astype(np.float32) + np.float32(ends - links)
        return parts.fingertip(body.qpos[..., :2], lengths[:, None]) - body.qpos[..., 2:]


def _check_scales(config: Any, names: list[str]) -> None:
    """Checks options that are largest scales."""
    for name in names:
        check(getattr(config, name) >= 1, name, getattr(config, name), ">= 1; 1 scales nothing")


def _spread(scale: tf.Tensor, rows: Sequence[int] | np.ndarray, size: int) -> tf.Tensor:
    """Scales [N, len(rows), ...] as float64 [N, size, ...], 1 at other rows."""
    scale = tf.cast(scale, tf.float64)
    place = np.full(size, len(rows))
    place[rows] = np.arange(len(rows))
    return tf.gather(tf.concat([scale, tf.ones_like(scale[:, :1])], axis=1), place, axis=1)


def _put(
    base: np.ndarray | tf.Tensor, values: tf.Tensor, rows: np.ndarray, column: int
) -> tf.Tensor:
    """A table [K, C], or tables [N, K, C], with own values [N, len(rows)] in a column."""
    where = np.zeros([len(rows), *base.shape[-2:]])
    where[np.arange(len(rows)), rows, column] = 1
    return base * (1 - where.sum(axis=0)) + tf.tensordot(values, tf.constant(where), 1)


def _with_radius(model: mujoco.MjModel, radius: tf.Tensor) -> dict[str, tf.Tensor]:
    """Fields that hold the radius of shapes [N, geoms], and what MuJoCo makes of them.

    Those whose radius is not the model's have to be capsules.
    """
    more = radius - model.geom_size[:, 0]
    rest = model.geom_size[:, 1:]
    rest = tf.broadcast_to(rest, [radius.shape[0], *rest.shape])
    around = np.array([0.0, 0.0, 0.0, 1.0, 1.0, 1.0])
    return {
        "geom_size": tf.concat([radius[..., None], rest], axis=-1),
        "geom_rbound": model.geom_rbound + more,
        "geom_aabb": model.geom_aabb + more[..., None] * around,
    }


def _capsule(radius: float, half: tf.Tensor) -> tuple[tf.Tensor, list[tf.Tensor]]:
    """Mass of capsules of half lengths [...], and their moments of inertia, the own axis last."""
    tube = _DENSITY * 2 * math.pi * radius**2 * half
    ball = _DENSITY * 4 / 3 * math.pi * radius**3
    across = tube * (half**2 / 3 + radius**2 / 4)
    across += ball * (2 * radius**2 / 5 + half**2 + 3 * half * radius / 4)
    along = tube * radius**2 / 2 + ball * 2 * radius**2 / 5
    return tube + ball, [across, across, along]
