"""The hopper and the walker: a trunk on one or two legs, which move in a vertical plane."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import mujoco

from tfcaml.environments.mujoco.bodies import _parts
from tfcaml.environments.mujoco.bodies._parts import SHAPES, SIDEWAYS
from tfcaml.errors import checked_call

_HEIGHT = 1.25
_BACKWARDS = [-each for each in SIDEWAYS]  # a leg's joints turn about it
_TRUNK = (0.05, 0.2)  # radius and half length, as of the next ones
_THIGH = (0.05, 0.225)
_LEG = (0.04, 0.25)


class _Kind(NamedTuple):
    """What hopper and walker do not share."""

    foot: tuple[float, float]  # radius and half length
    reach: float  # of the foot's body, in front of the leg
    armature: float
    damping: float
    gear: float
    contact: Mapping[str, Any]  # of all geoms
    slip: Sequence[float]  # friction of all but the foot
    grip: Sequence[float]  # of the foot


_HOPPER = _Kind(
    foot=(0.06, 0.195),
    reach=0.13,
    armature=1.0,
    damping=1.0,
    gear=200.0,
    contact={
        "contype": 1,
        "conaffinity": 1,
        "condim": 1,
        "margin": 0.001,
        "solref": [0.02, 1],
        "solimp": [0.8, 0.8, 0.01, 0.5, 2],
    },
    slip=[0.9, 0.005, 0.0001],
    grip=[2.0, 0.005, 0.0001],
)
_WALKER = _Kind(
    foot=(0.06, 0.1),
    reach=0.2,
    armature=0.01,
    damping=0.1,
    gear=100.0,
    contact={"contype": 1, "conaffinity": 0, "condim": 3},
    slip=[0.9, 0.1, 0.1],
    grip=[1.9, 0.1, 0.1],
)


@checked_call
def hopper(integrator: str = "euler", timestep: float = 0.002) -> mujoco.MjSpec:
    """The hopper of Gymnasium.

    Positions [6] are x, height and pitch of the torso, then the angles of thigh, leg and foot;
    velocities [6] are their rates. Controls [3] within +-1 drive these three joints by motors with
    gear 200.

    Source: numbers of `hopper.xml` in Gymnasium 1.3, which steps it by the method of Runge and
    Kutta and 0.002 s.

    Args:
      integrator: "euler", "implicitfast" or "rk4".
      timestep: MuJoCo's step, in seconds.

    Returns:
      the specification, not compiled.

    Raises:
      ConfigError: another integrator, or a time step that is not a positive number.
    """
    floor = {**_HOPPER.contact, "condim": 3}
    return _build("hopper", integrator, timestep, _HOPPER, {"": _parts.BLUE}, floor)


@checked_call
def walker(integrator: str = "euler", timestep: float = 0.002) -> mujoco.MjSpec:
    """The two-legged walker of Gymnasium.

    Positions [9] are x, height and pitch of the torso, then the angles of thigh, leg and foot on
    the right and on the left; velocities [9] are their rates. Controls [6] within +-1 drive the
    legs' joints, in that order, by motors with gear 100.

    Source: numbers of `walker2d_v5.xml` in Gymnasium 1.3, which steps it by the method of Runge and
    Kutta and 0.002 s. Walkers before version 5 have another friction at the right foot, 0.9.

    Args:
      integrator: "euler", "implicitfast" or "rk4".
      timestep: MuJoCo's step, in seconds.

    Returns:
      the specification, not compiled.

    Raises:
      ConfigError: another integrator, or a time step that is not a positive number.
    """
    floor = {**_WALKER.contact, "conaffinity": 1, "friction": [0.7, 0.1, 0.1]}
    legs = {"": _parts.BLUE, "_left": _parts.GREEN}
    return _build("walker", integrator, timestep, _WALKER, legs, floor)


def _build(
    name: str,
    integrator: str,
    timestep: float,
    kind: _Kind,
    legs: Mapping[str, Sequence[float]],
    floor: Mapping[str, Any],
) -> mujoco.MjSpec:
    """A trunk and its legs: dict what ends their names -> their colour."""
    spec = _parts.new_spec(name, integrator, timestep, extent=3.0)
    _parts.add_floor(spec, across=range(-30, 31), **floor)
    torso = spec.worldbody.add_body(name="torso", pos=[0, 0, _HEIGHT])
    _parts.add_plane_joints(torso, pos=(0, 0, -_HEIGHT), height=_HEIGHT)
    _add_capsule(torso, "torso_geom", (0, 0, 0), _TRUNK, kind, _parts.ORANGE)
    for end, color in legs.items():
        thigh = torso.add_body(name=f"thigh{end}", pos=[0, 0, -_TRUNK[1]])
        _add_joint(spec, thigh, (0, 0, 0), (-150, 0), kind)
        _add_capsule(thigh, f"thigh{end}_geom", (0, 0, -_THIGH[1]), _THIGH, kind, color)
        leg = thigh.add_body(name=f"leg{end}", pos=[0, 0, -2 * _THIGH[1] - _LEG[1]])
        _add_joint(spec, leg, (0, 0, _LEG[1]), (-150, 0), kind)
        _add_capsule(leg, f"leg{end}_geom", (0, 0, 0), _LEG, kind, color)
        foot = leg.add_body(name=f"foot{end}", pos=[kind.reach, 0, -0.35])
        _add_joint(spec, foot, (-kind.reach, 0, 0.1), (-45, 45), kind)
        middle = (-kind.reach / 2, 0, 0.1)
        _add_capsule(foot, f"foot{end}_geom", middle, kind.foot, kind, _parts.RED, lies=True)
    _parts.add_cameras(spec, torso, track=(0, -2.7, 1.8), fixed=(0, -5, 3.4), at=(0, 0, 0.7))
    return spec


def _add_joint(
    spec: mujoco.MjSpec,
    body: mujoco.MjsBody,
    pos: Sequence[float],
    span: Sequence[float],
    kind: _Kind,
) -> None:
    """A hinge with a motor, limited to a span in degrees."""
    name = f"{body.name}_joint"
    _parts.add_limited_hinge(body, name, _BACKWARDS, span, kind.armature, kind.damping, pos)
    _parts.add_motor(spec, name, kind.gear)


def _add_capsule(
    body: mujoco.MjsBody,
    name: str,
    pos: Sequence[float],
    size: Sequence[float],
    kind: _Kind,
    color: Sequence[float],
    lies: bool = False,
) -> None:
    """A capsule that stands, with the friction of a leg, or lies, with that of a foot."""
    body.add_geom(
        name=name,
        type=SHAPES.mjGEOM_CAPSULE,
        pos=pos,
        quat=_parts.turned(_BACKWARDS, math.pi / 2 if lies else 0.0),
        size=[*size, 0],
        friction=kind.grip if lies else kind.slip,
        rgba=color,
        **kind.contact,
    )
