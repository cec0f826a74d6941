"""Ants: a ball with four legs, each of which has a hip and an ankle."""

import math
from collections.abc import Sequence
from typing import Any

import mujoco
import numpy as np

from tfcaml.environments.mujoco.bodies import _parts
from tfcaml.environments.mujoco.bodies._parts import SHAPES, UP
from tfcaml.errors import check_is, check_positive, checked_call

# A row: leg; signs of x and y of where it points; the ankle's axis, and the sign of its angles.
_LEGS = [
    ("front_left_leg", (1, 1), (-1, 1, 0), 1),
    ("front_right_leg", (-1, 1), (1, 1, 0), -1),
    ("back_leg", (-1, -1), (-1, 1, 0), -1),
    ("right_back_leg", (1, -1), (1, 1, 0), 1),
]
_COLORS = (_parts.BLUE, _parts.GREEN, _parts.RED, _parts.SKY)
_ACTUATED = (4, 1, 2, 3)  # the legs in the order of the controls
_HIP, _ANKLE = (-30, 30), (30, 70)  # degrees
_STANDING = 1.0  # angle of the ankles
FRICTION = [1, 0.5, 0.5]  # of an ant, and of what it touches
MARGIN = 0.01  # of Gymnasium's ant: distance from which a contact is looked at, in metres
_DENSITY = 5.0  # of Gymnasium's ant


@checked_call
def ant(
    integrator: str = "euler",
    timestep: float = 0.01,
    gear: float = 150.0,
    goal: bool = False,
    mass: float | None = None,
) -> mujoco.MjSpec:
    """The ant of Gymnasium, whose mass is 0.911 kg unless another one is given.

    Positions [15] are place and orientation, a quaternion, of the torso, then hip and ankle of each
    leg; velocities [14] are their rates. Controls [8] within +-1 drive hip and ankle of the right
    back leg, of the front left, the front right and the back leg, by motors. In the key frame
    "stand" it stands on its legs.

    Source: numbers of `ant.xml` in Gymnasium 1.3, which steps it by the method of Runge and Kutta
    and 0.01 s. MAESN has gear 30 and is like it otherwise. The ant of rllab, which MAML was
    published with, differs in its time step of 0.02 s, in controls within +-150 at gear 1, which
    are the same torques, and in stiffer and shallower contacts: `solimp` (0.8, 0.8, 0.01) in place
    of MuJoCo's (0.9, 0.95, 0.001).

    Args:
      integrator: "euler", "implicitfast" or "rk4".
      timestep: MuJoCo's step, in seconds.
      gear: torque of a motor at a control of 1, in N m.
      goal: whether there is a body "goal", a mark that is where `mocap_pos` says.
      mass: of the whole ant, in kg, by the density of all of its parts; None: Gymnasium's.

    Returns:
      the specification, not compiled.

    Raises:
      ConfigError: another integrator, or a time step, gear or mass that is not a positive number,
        or a goal that is neither True nor False.
    """
    check_positive(gear=gear)
    if mass is not None:
        check_positive(mass=mass)
    check_is("goal", goal, bool, "True or False")
    spec = _parts.new_spec("ant", integrator, timestep, extent=3.0)
    radii, lengths = (0.25, 0.08), (0.2, 0.2, 0.4)
    density = _DENSITY if mass is None else mass / _volume(radii, lengths)
    _build(spec, 0.75, 0.55, radii, lengths, density, MARGIN)
    for leg in _ACTUATED:
        _parts.add_motor(spec, f"hip_{leg}", gear)
        _parts.add_motor(spec, f"ankle_{leg}", gear)
    if goal:
        _parts.add_goal(spec, pos=[2, 0, 0.15], radius=0.15)
    return spec


@checked_call
def tesp_ant(integrator: str = "rk4", timestep: float = 0.01) -> mujoco.MjSpec:
    """The ant of TESP, which is smaller than Gymnasium's, heavier, and driven by servos.

    Positions, velocities and the order of controls are those of `ant`. Controls [8] are wanted
    velocities within +-50 rad/s, of servos with gain 1. Its mass is 24. In the key frame "stand" it
    stands on its legs, as TESP starts it. The body "goal" is a mark that is where `mocap_pos` says.

    Source: numbers of `ant.xml` in the code of TESP, which steps it by the method of Runge and
    Kutta and 0.01 s.

    Args:
      integrator: "euler", "implicitfast" or "rk4".
      timestep: MuJoCo's step, in seconds.

    Returns:
      the specification, not compiled.

    Raises:
      ConfigError: another integrator, or a time step that is not a positive number.
    """
    radii, lengths = (0.1, 0.04), (0.08, 0.1, 0.16)
    density = 24.0 / _volume(radii, lengths)
    spec = _parts.new_spec("tesp_ant", integrator, timestep, extent=1.5)
    _build(spec, 0.4, 0.25, radii, lengths, density, margin=0.005)
    for leg_number in _ACTUATED:
        _parts.add_velocity_servo(spec, f"hip_{leg_number}", 50.0)
        _parts.add_velocity_servo(spec, f"ankle_{leg_number}", 50.0)
    _parts.add_goal(spec, pos=[1, 0, 0.08], radius=0.08)
    return spec


def _volume(radii: tuple[float, float], lengths: Sequence[float]) -> float:
    """The volume of an ant's parts; see `_build`."""
    diagonals = (math.hypot(length, length) for length in lengths)
    leg = sum(_parts.capsule_volume(radii[1], diagonal / 2) for diagonal in diagonals)
    return _parts.sphere_volume(radii[0]) + len(_LEGS) * leg


def _build(
    spec: mujoco.MjSpec,
    height: float,
    standing: float,
    radii: tuple[float, float],
    lengths: Sequence[float],
    density: float,
    margin: float,
) -> None:
    """An ant without actuators.

    Args:
      spec: what is added to.
      height, standing: of the torso, in the model's own pose and in the key frame.
      radii: of the torso and of a leg.
      lengths: along x, and as much along y, of a leg's parts.
      density: of everything.
      margin: distance from which a contact is looked at.
    """
    contact: dict[str, Any] = {"condim": 3, "friction": FRICTION, "margin": margin}
    _parts.add_floor(
        spec, range(-15, 16), range(-15, 16), half_width=15.0, contype=1, conaffinity=1, **contact
    )
    kind = {"density": density, "contype": 1, "conaffinity": 0, **contact}
    torso = spec.worldbody.add_body(name="torso", pos=[0, 0, height])
    torso.add_freejoint(name="root")
    torso.add_geom(
        name="torso_geom",
        type=SHAPES.mjGEOM_SPHERE,
        size=[radii[0], 0, 0],
        rgba=_parts.ORANGE,
        **kind,
    )
    upper, middle, lower = lengths
    for number, (name, signs, axis, sign) in enumerate(_LEGS, start=1):
        outwards = np.array([*signs, 0.0])
        kind["rgba"] = _COLORS[number - 1]
        leg = torso.add_body(name=name)
        _parts.add_limb(leg, f"aux_{number}_geom", upper * outwards, radii[1], **kind)
        hip = leg.add_body(name=f"aux_{number}", pos=upper * outwards)
        _parts.add_limited_hinge(hip, f"hip_{number}", UP, _HIP)
        _parts.add_limb(hip, f"leg_{number}_geom", middle * outwards, radii[1], **kind)
        foot = hip.add_body(name=f"foot_{number}", pos=middle * outwards)
        span = sorted(sign * angle for angle in _ANKLE)
        _parts.add_limited_hinge(foot, f"ankle_{number}", axis, span)
        _parts.add_limb(foot, f"foot_{number}_geom", lower * outwards, radii[1], **kind)
    bent = [angle for *_, sign in _LEGS for angle in (0.0, sign * _STANDING)]
    spec.add_key(name="stand", qpos=[0, 0, standing, 1, 0, 0, 0, *bent])
    size = 4 * radii[0]
    _parts.add_cameras(
        spec, torso, (0, -3 * size, 1.6 * size), (0, 0, 10 * size), at=(0, 0, standing)
    )
