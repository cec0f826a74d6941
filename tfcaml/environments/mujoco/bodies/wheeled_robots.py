"""Carts on two driven wheels."""

from typing import Any

import mujoco

from tfcaml.environments.mujoco.bodies import _parts
from tfcaml.environments.mujoco.bodies._parts import FORWARD, HINGE, SHAPES, SIDEWAYS, SLIDE, UP
from tfcaml.errors import check_one_of, checked_call

_HULL = (0.15, 0.1, 0.046)  # half sizes
_WHEEL = (0.1, 0.046)  # radius and half width
_HEIGHT = -0.4  # of the cart's origin, below the floor
_SLIDES = {"xmove": FORWARD, "ymove": SIDEWAYS, "zmove": UP}
_CONTACT: dict[str, Any] = {
    "contype": 1,
    "condim": 3,
    "friction": [0.4, 0.4, 0.4],
    "solref": [0.02, 1],
    "solimp": [0, 0.8, 0.01, 0.5, 2],
}
_VOLUME = _parts.box_volume(*_HULL) + 2 * _parts.cylinder_volume(*_WHEEL)
# MAESN's file sets the mass of all it holds, and a goal is among it: a ball of radius 0.1.
_SHARE = _VOLUME / (_VOLUME + _parts.sphere_volume(0.1))
# Of a drive: mass of the cart, greatest control.
_DRIVES = {"servo": (24.0, 50.0), "motor": (14.0 * _SHARE, 2.0)}


@checked_call
def wheeled(
    drive: str = "servo", integrator: str = "euler", timestep: float = 0.01
) -> mujoco.MjSpec:
    """The carts of TESP and of MAESN, which keep level.

    Positions [6] are x, y and height of the cart, its heading, and the angles of the right and the
    left wheel; velocities [6] are their rates, x and y in the world's directions. Controls [2] are
    of the right and the left wheel. With the drive "servo", TESP's, they are wanted velocities
    within +-50 rad/s, of servos with gain 1, and the cart weighs 24. With "motor", MAESN's, they
    are torques within +-2 N m, and it weighs 10.2: MAESN sets a mass of 14 for the cart and a ball
    that marks the goal together. The body "goal" is a mark that is where `mocap_pos` says.

    Source: numbers of `wheeled.xml` in the codes of TESP and of MAESN, which step them by Euler's
    method and 0.01 s.

    Args:
      drive: "servo" or "motor".
      integrator: "euler", "implicitfast" or "rk4".
      timestep: MuJoCo's step, in seconds.

    Returns:
      the specification, not compiled.

    Raises:
      ConfigError: another drive or integrator, or a time step that is not a positive number.
    """
    check_one_of("drive", drive, _DRIVES)
    mass, limit = _DRIVES[drive]
    spec = _parts.new_spec("wheeled", integrator, timestep, extent=2.0)
    _parts.add_floor(
        spec, range(-10, 11), range(-10, 11), half_width=10.0, conaffinity=1, **_CONTACT
    )
    shape = {"density": mass / _VOLUME, "conaffinity": 0, **_CONTACT}
    cart = spec.worldbody.add_body(name="car", pos=[0, 0, _HEIGHT])
    for name, axis in _SLIDES.items():
        limits = {"limited": True, "range": [-1, 0.03]} if name == "zmove" else {}
        cart.add_joint(name=name, type=SLIDE, axis=axis, margin=0.01, **limits)
    cart.add_joint(name="zrotate", type=HINGE, axis=UP, margin=0.01)
    cart.add_geom(
        name="body",
        type=SHAPES.mjGEOM_BOX,
        pos=[0, 0, 0.6],
        size=_HULL,
        rgba=_parts.ORANGE,
        **shape,
    )
    for number, y in enumerate((-0.2, 0.2), start=1):
        wheel = cart.add_body(name=f"wheelbody{number}", pos=[0, y, 0])
        name = f"rotate_wheels{number}"
        wheel.add_joint(name=name, type=HINGE, axis=SIDEWAYS, pos=[0, 0, 0.5], margin=0.01)
        wheel.add_geom(
            name=f"wheel{number}",
            type=SHAPES.mjGEOM_CYLINDER,
            pos=[0, 0, 0.5],
            quat=_parts.turned(FORWARD, 1.57),  # as in both sources, not quite a right angle
            size=[*_WHEEL, 0],
            rgba=_parts.BLUE,
            **shape,
        )
        if drive == "servo":
            _parts.add_velocity_servo(spec, name, limit)
        else:
            _parts.add_motor(spec, name, gear=1.0, limit=limit)
    _parts.add_goal(spec, pos=[1, 0, 0.1], radius=0.1)
    _parts.add_cameras(spec, cart, (-1.6, -2, 1.8), (0, 0, 5), at=(0, 0, 0.1), follows=False)
    return spec
