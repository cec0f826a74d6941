"""The half-cheetah: a runner with two legs, which moves in a vertical plane."""

from collections.abc import Sequence
from typing import Any

import mujoco

from tfcaml.environments.mujoco.bodies import _parts
from tfcaml.environments.mujoco.bodies._parts import HINGE, SHAPES, SIDEWAYS
from tfcaml.errors import checked_call

_MASS = 14.0
_RADIUS = 0.046  # of every capsule
_TORSO, _HEAD = 0.5, 0.15  # half lengths
_HEIGHT = 0.7
_CONTACT: dict[str, Any] = {
    "contype": 1,
    "condim": 3,
    "friction": [0.4, 0.1, 0.1],
    "solref": [0.02, 1],
    "solimp": [0, 0.8, 0.01, 0.5, 2],
}
_LIMIT: dict[str, Any] = {"solref_limit": [0.02, 1], "solimp_limit": [0, 0.8, 0.03, 0.5, 2]}
# Legs, from the hip down. A row: joint, where it is in its parent; lowest and highest angle,
# stiffness, damping, gear of the motor; middle, angle and half length of the capsule.
_HIND = [
    ("bthigh", (-0.5, 0, 0), (-0.52, 1.05), 240, 6.0, 120, (0.1, 0, -0.13), -3.8, 0.145),
    ("bshin", (0.16, 0, -0.25), (-0.785, 0.785), 180, 4.5, 90, (-0.14, 0, -0.07), -2.03, 0.15),
    ("bfoot", (-0.28, 0, -0.14), (-0.4, 0.785), 120, 3.0, 60, (0.03, 0, -0.097), -0.27, 0.094),
]
_FRONT = [
    ("fthigh", (0.5, 0, 0), (-1.0, 0.7), 180, 4.5, 120, (-0.07, 0, -0.12), 0.52, 0.133),
    ("fshin", (-0.14, 0, -0.24), (-1.2, 0.87), 120, 3.0, 60, (0.065, 0, -0.09), -0.6, 0.106),
    ("ffoot", (0.13, 0, -0.18), (-0.5, 0.5), 60, 1.5, 30, (0.045, 0, -0.07), -0.6, 0.07),
]
_LENGTHS = [_TORSO, _HEAD, *(row[-1] for row in _HIND + _FRONT)]
_DENSITY = _MASS / sum(_parts.capsule_volume(_RADIUS, length) for length in _LENGTHS)  # 660.885

_GEOM: dict[str, Any] = {
    "type": SHAPES.mjGEOM_CAPSULE,
    "density": _DENSITY,
    "conaffinity": 0,
    **_CONTACT,
}


@checked_call
def half_cheetah(integrator: str = "euler", timestep: float = 0.01) -> mujoco.MjSpec:
    """The half-cheetah of Gymnasium, whose mass is 14.

    Positions [9] are x, height less 0.7 and pitch of the torso, then the angles of hind thigh, shin
    and foot and of front thigh, shin and foot; velocities [9] are their rates. Controls [6] within
    +-1 drive the legs' joints, in that order, by motors with gears 120, 90, 60, 120, 60 and 30.

    Source: numbers of `half_cheetah.xml` in Gymnasium 1.3, which are those of rllab. Gymnasium
    steps it by Euler's method and 0.01 s.

    Args:
      integrator: "euler", "implicitfast" or "rk4".
      timestep: MuJoCo's step, in seconds.

    Returns:
      the specification, not compiled.

    Raises:
      ConfigError: another integrator, or a time step that is not a positive number.
    """
    spec = _parts.new_spec("half_cheetah", integrator, timestep, extent=3.0)
    _parts.add_floor(spec, across=range(-30, 31), conaffinity=1, **_CONTACT)
    torso = spec.worldbody.add_body(name="torso", pos=[0, 0, _HEIGHT])
    _parts.add_plane_joints(torso)
    shape = {"fromto": [-_TORSO, 0, 0, _TORSO, 0, 0], "size": [_RADIUS, 0, 0]}
    torso.add_geom(name="torso", rgba=_parts.ORANGE, **shape, **_GEOM)
    _add_capsule(torso, "head", (0.6, 0, 0.1), 0.87, _HEAD, _parts.ORANGE)
    for leg, color in ((_HIND, _parts.BLUE), (_FRONT, _parts.GREEN)):
        body = torso
        for name, pos, span, stiffness, damping, gear, middle, angle, length in leg:
            body = body.add_body(name=name, pos=pos)
            body.add_joint(
                name=name,
                type=HINGE,
                axis=SIDEWAYS,
                limited=True,
                range=span,
                stiffness=[stiffness, 0, 0],
                damping=[damping, 0, 0],
                armature=0.1,
                **_LIMIT,
            )
            _add_capsule(body, name, middle, angle, length, color)
            _parts.add_motor(spec, name, gear)
    _parts.add_cameras(spec, torso, track=(0, -2.4, 1.3), fixed=(0, -5, 3.2), at=(0, 0, 0.4))
    return spec


def _add_capsule(
    body: mujoco.MjsBody,
    name: str,
    pos: Sequence[float],
    angle: float,
    length: float,
    color: Sequence[float],
) -> None:
    """A capsule of half length `length`, turned by an angle from the vertical towards forward."""
    quat = _parts.turned(SIDEWAYS, angle)
    body.add_geom(name=name, pos=pos, quat=quat, size=[_RADIUS, length, 0], rgba=color, **_GEOM)
