"""Walkers whose legs point in all directions."""

import math
from collections.abc import Sequence
from typing import Any

import mujoco
import numpy as np

from tfcaml.environments.mujoco.bodies import _parts
from tfcaml.environments.mujoco.bodies._parts import SHAPES, UP
from tfcaml.errors import check_one_of, check_positive, checked_call

_LEGS = (4, 6, 8)
_TORSO, _LEG = 0.25, 0.08  # radii
_PART = math.hypot(0.2, 0.2)  # of a leg: as long as inside, and half as long as its foot
_HIP = (-30, 30)  # degrees, as the next ones
_ANKLE = (30, 70)
_STANDING = 1.0  # radians
_HEIGHT = 0.75
_GEOM: dict[str, Any] = {
    "density": 5.0,
    "contype": 1,
    "conaffinity": 0,
    "condim": 3,
    "friction": [1, 0.5, 0.5],
    "margin": 0.01,
}
_COLORS = (_parts.BLUE, _parts.GREEN, _parts.RED, _parts.SKY)


@checked_call
def legged(
    legs: int = 4, integrator: str = "euler", timestep: float = 0.01, gear: float = 150.0
) -> mujoco.MjSpec:
    """A ball with four, six or eight equal legs around it, each of which has a hip and an ankle.

    Positions [7 + 2 legs] are place and orientation, a quaternion, of the torso, then hip and ankle
    of each leg, counted anticlockwise from above; velocities [6 + 2 legs] are their rates. Controls
    [2 legs] within +-1 drive hips and ankles, in that order, by motors. An ankle's angle is greater
    the more its foot points down. Legs touch the floor only, not each other. In the key frame
    "stand" it stands on its legs.

    Source: tfcaml, made of the parts of Gymnasium's ant; with four legs it is that ant, but for the
    signs and the order of angles and controls.

    Args:
      legs: 4, 6 or 8.
      integrator: "euler", "implicitfast" or "rk4".
      timestep: MuJoCo's step, in seconds.
      gear: torque of a motor at a control of 1, in N m.

    Returns:
      the specification, not compiled.

    Raises:
      ConfigError: another number of legs, another integrator, or a time step or gear that is not a
        positive number.
    """
    check_one_of("legs", legs, _LEGS)
    check_positive(gear=gear)
    spec = _parts.new_spec(f"legged_{legs}", integrator, timestep, extent=3.0)
    lines = range(-15, 16)
    _parts.add_floor(spec, lines, lines, half_width=15.0, **{**_GEOM, "conaffinity": 1})
    torso = spec.worldbody.add_body(name="torso", pos=[0, 0, _HEIGHT])
    torso.add_freejoint(name="root")
    torso.add_geom(
        name="torso", type=SHAPES.mjGEOM_SPHERE, size=[_TORSO, 0, 0], rgba=_parts.ORANGE, **_GEOM
    )
    for leg in range(legs):
        angle = 2 * math.pi * (leg + 0.5) / legs
        outwards = np.array([math.cos(angle), math.sin(angle), 0])
        kind = {**_GEOM, "rgba": _COLORS[leg % len(_COLORS)]}
        _parts.add_limb(torso, f"inner_{leg}", _PART * outwards, _LEG, **kind)
        hip = torso.add_body(name=f"hip_{leg}", pos=_PART * outwards)
        _add_joint(spec, hip, UP, _HIP, gear)
        _parts.add_limb(hip, f"leg_{leg}", _PART * outwards, _LEG, **kind)
        foot = hip.add_body(name=f"ankle_{leg}", pos=_PART * outwards)
        _add_joint(spec, foot, np.cross(UP, outwards), _ANKLE, gear)
        _parts.add_limb(foot, f"foot_{leg}", 2 * _PART * outwards, _LEG, **kind)
    spec.add_key(name="stand", qpos=[0, 0, 0.55, 1, 0, 0, 0, *([0.0, _STANDING] * legs)])
    _parts.add_cameras(spec, torso, track=(0, -3, 1.6), fixed=(0, 0, 10), at=(0, 0, 0.55))
    return spec


def _add_joint(
    spec: mujoco.MjSpec,
    body: mujoco.MjsBody,
    axis: Sequence[float] | np.ndarray,
    span: Sequence[float],
    gear: float,
) -> None:
    """A hinge with its body's name, limited to a span in degrees, and its motor."""
    _parts.add_limited_hinge(body, body.name, axis, span)
    _parts.add_motor(spec, body.name, gear)
