"""What pushes things on a table: a gripper, and an arm."""

from typing import Any

import mujoco

from tfcaml.environments.mujoco.bodies import _parts
from tfcaml.environments.mujoco.bodies._parts import (
    FORWARD,
    FREE_OF_CONTACT,
    HINGE,
    SHAPES,
    SIDEWAYS,
    SLIDE,
    UP,
)
from tfcaml.errors import checked_call

_TABLE = -0.325  # height
_GRIPPER = -0.263
_FARTHEST = (-10.3213, 10.3)  # where joints end
_ARMATURE = 0.04
_CONTACT = {
    "contype": 1,
    "conaffinity": 1,
    "condim": 1,
    "friction": [0.8, 0.1, 0.1],
    "margin": 0.002,
}
_BLOCK = (0.03, 0.03, 0.05)  # half sizes
_BLOCKS = {
    "obj1": _parts.RED,
    "obj2": _parts.GREEN,
    "obj3": _parts.YELLOW,
    "obj4": _parts.ORANGE,
    "obj5": _parts.SKY,
}
# Joints of the arm: name, place on the link before, axis, range in radians, damping; and from where
# to where their link's capsule goes, and its radius.
_ARM = [
    ("shoulder_pan", (-0.75, 0, 0), UP, (-2.2854, 1.7146), 1.0, (0, 0, -0.4, 0, 0, 0.2), 0.1),
    ("shoulder_lift", (0.1, 0, 0), SIDEWAYS, (-1.3963, 0.5236), 1.0, (0, -0.1, 0, 0, 0.1, 0), 0.1),
    ("upper_arm_roll", (0, 0, 0), FORWARD, (-1.5, 1.7), 0.1, (0, 0, 0, 0.4, 0, 0), 0.06),
    ("elbow_flex", (0.4, 0, 0), SIDEWAYS, (0, 2.3213), 0.1, (0, -0.02, 0, 0, 0.02, 0), 0.06),
    ("forearm_roll", (0, 0, 0), FORWARD, (-1.5, 1.5), 0.1, (0, 0, 0, 0.291, 0, 0), 0.05),
    ("wrist_flex", (0.321, 0, 0), SIDEWAYS, (0, 1.094), 0.1, (0, -0.02, 0, 0, 0.02, 0), 0.01),
    ("wrist_roll", (0, 0, 0), FORWARD, (-1.5, 1.5), 0.1, (0, 0, 0, 0.1, 0, 0), 0.02),
]
_HAND, _HAND_RADIUS = (0.1, 0, 0), 0.04
_OBJECTS = {"target": (_parts.RED, 0.1), "distractor": (_parts.GREEN, -0.1)}  # color, y at first
_OBJECT_RADIUS, _OBJECT_HEIGHT, _OBJECT_MASS = 0.05, 0.1, 0.04


@checked_call
def pusher(integrator: str = "euler", timestep: float = 0.01) -> mujoco.MjSpec:
    """The gripper and the five blocks of MAESN, seen from above as on a plane.

    Positions [13] are x, y and heading of the gripper, then x and y of each block in the world;
    velocities [13] are their rates. Controls [3] within +-2 are the gripper's forces forwards and
    sideways, in N, and its torque, in N m. A gripper and its blocks neither lift nor turn over, nor
    do blocks turn at all; nothing rubs, and all comes to rest by damping. Start a row with blocks
    where they should be by its positions. The body "goal" is a mark that is where `mocap_pos` says.

    Source: numbers of `pusher_env.xml` in the code of MAESN, which steps it by Euler's method and
    0.01 s. There, positions of blocks are distances from x = 0.2, 0.4, 0.6, 0.8 and 1, where a row
    starts by itself here too. The table has contact there, which moves nothing.

    Args:
      integrator: "euler", "implicitfast" or "rk4".
      timestep: MuJoCo's step, in seconds.

    Returns:
      the specification, not compiled.

    Raises:
      ConfigError: another integrator, or a time step that is not a positive number.
    """
    spec = _parts.new_spec("pusher", integrator, timestep, extent=1.0, gravity=0.0)
    spec.option.iterations = 20
    tenths = [tenth / 10 for tenth in range(-10, 21)]
    _parts.add_floor(
        spec, tenths, tenths, half_width=2.0, line=0.004, height=_TABLE, **FREE_OF_CONTACT
    )
    gripper = spec.worldbody.add_body(name="wrist base", pos=[0, 0, _GRIPPER])
    _add_joint(gripper, "wrist_slidex", SLIDE, FORWARD, damping=0.5)
    _add_joint(gripper, "wrist_slidey", SLIDE, SIDEWAYS, damping=0.5)
    _add_joint(gripper, "wrist_hinge", HINGE, UP, damping=0.5)
    for name, ends in {
        "palm": (0, -0.1, 0, 0, 0.1, 0),
        "finger_right": (0, -0.1, 0, 0.1, -0.1, 0),
        "finger_left": (0, 0.1, 0, 0.1, 0.1, 0),
    }.items():
        gripper.add_geom(
            name=name,
            type=SHAPES.mjGEOM_CAPSULE,
            fromto=ends,
            size=[0.02, 0, 0],
            density=10,
            rgba=_parts.BLUE,
            **_CONTACT,
        )
    tips = gripper.add_body(name="tips_arm")
    for name, y in {"tip_arml": -0.1, "tip_armr": 0.1}.items():
        tips.add_geom(
            name=name,
            type=SHAPES.mjGEOM_SPHERE,
            pos=[0.1, y, 0],
            size=[0.01, 0, 0],
            density=10,
            rgba=_parts.BLUE,
            **_CONTACT,
        )
    tips.add_site(name="arm", pos=[0.02, 0, 0], size=[0.001, 0, 0], group=4)
    for number, (name, color) in enumerate(_BLOCKS.items(), start=1):
        x = 0.2 * number
        block = spec.worldbody.add_body(name=name, pos=[x, 0, _TABLE])
        _add_joint(block, f"{name}_slidex", SLIDE, FORWARD, damping=1.5, ref=x)
        _add_joint(block, f"{name}_slidey", SLIDE, SIDEWAYS, damping=1.5)
        block.add_geom(
            name=name,
            type=SHAPES.mjGEOM_BOX,
            pos=[0, 0, _BLOCK[2]],
            size=_BLOCK,
            density=0.0005,
            rgba=color,
            **_CONTACT,
        )
    for joint in ("wrist_slidex", "wrist_slidey", "wrist_hinge"):
        _parts.add_motor(spec, joint, gear=1.0, limit=2.0)
    _parts.add_goal(
        spec, [0.85, 0, _TABLE + 0.003], 0.05, shape=SHAPES.mjGEOM_BOX, half_height=0.001
    )
    middle = (0.45, 0, _TABLE)
    _parts.add_cameras(spec, gripper, (-0.9, -0.9, 1.1), (0, 0, 1.7), at=middle, follows=False)
    return spec


@checked_call
def arm_pusher(integrator: str = "euler", timestep: float = 0.01) -> mujoco.MjSpec:
    """An arm of seven joints over a table with two round objects, the goal in its middle.

    Positions [11] are the joints' angles from the shoulder to the wrist, then x and y of the
    "target" and of the "distractor", which slide on the table; velocities [11] are their rates.
    Controls [7] within +-2 are torques of the joints, in N m. There is no gravity, nothing rubs,
    and all comes to rest by damping. The middle of the hand, a ball, is that of the site "hand".
    It touches objects and table; the rest of the arm touches nothing. The body "goal" is a mark
    that is where `mocap_pos` says.

    Source: numbers of `pusher_v5.xml` in Gymnasium 1.3 (lengths, shapes, density, armature,
    damping and torques of the arm, the object and the height of the table). There, the shoulder
    stands at (-0.45, -0.55) from the goal, from where it can't reach behind all objects, and here
    at (-0.75, 0); the elbow bends the other way, so that it is above the table when the arm is
    folded, with ranges of shoulder lift, elbow and wrist turned round; the hand is a fork, which
    pushes from one side only. There, the object weighs next to nothing, and 40 g here, as MuJoCo
    makes contacts of bodies too soft that weigh so much less than their joints' armature.

    Args:
      integrator: "euler", "implicitfast" or "rk4".
      timestep: MuJoCo's step, in seconds.

    Returns:
      the specification, not compiled.

    Raises:
      ConfigError: another integrator, or a time step that is not a positive number.
    """
    spec = _parts.new_spec("arm_pusher", integrator, timestep, extent=1.0, gravity=0.0)
    spec.option.iterations = 20
    tenths = [tenth / 10 for tenth in range(-10, 11)]
    floor = {"contype": 2, "conaffinity": 0, "condim": 1, "margin": 0.002}  # for the hand alone
    _parts.add_floor(spec, tenths, tenths, half_width=1.0, line=0.004, height=_TABLE, **floor)
    link: dict[str, Any] = {"density": 300, "rgba": _parts.BLUE, **FREE_OF_CONTACT}
    body, shoulder = spec.worldbody, None
    for name, place, axis, span, damping, fromto, radius in _ARM:
        body = body.add_body(name=name, pos=place)
        shoulder = shoulder or body
        body.add_joint(
            name=name,
            type=HINGE,
            axis=axis,
            limited=True,
            range=span,
            armature=_ARMATURE,
            damping=[damping, 0, 0],
        )
        body.add_geom(
            name=name,
            type=SHAPES.mjGEOM_CAPSULE,
            fromto=fromto,
            size=[radius, 0, 0],
            **link,
        )
    hand = {**link, **_CONTACT, "conaffinity": 3, "rgba": _parts.GREY}
    body.add_geom(
        name="hand", type=SHAPES.mjGEOM_SPHERE, pos=_HAND, size=[_HAND_RADIUS, 0, 0], **hand
    )
    body.add_site(name="hand", pos=_HAND, size=[0.001, 0, 0], group=4)
    for name, (color, y) in _OBJECTS.items():
        start = [-0.2, y, _TABLE + _OBJECT_HEIGHT / 2]
        thing = spec.worldbody.add_body(name=name, pos=start)
        _add_joint(thing, f"{name}_slidex", SLIDE, FORWARD, damping=0.5, ref=start[0])
        _add_joint(thing, f"{name}_slidey", SLIDE, SIDEWAYS, damping=0.5, ref=y)
        thing.add_geom(
            name=name,
            type=SHAPES.mjGEOM_CYLINDER,
            size=[_OBJECT_RADIUS, _OBJECT_HEIGHT / 2, 0],
            mass=_OBJECT_MASS,
            rgba=color,
            **_CONTACT,
        )
    for name, *_ in _ARM:
        _parts.add_motor(spec, name, gear=1.0, limit=2.0)
    _parts.add_goal(
        spec, [0, 0, _TABLE + 0.003], 0.08, shape=SHAPES.mjGEOM_CYLINDER, half_height=0.001
    )
    middle = (-0.2, 0, _TABLE)
    _parts.add_cameras(spec, shoulder, (0.7, -0.7, 0.9), (0, 0, 1.3), at=middle, follows=False)
    return spec


def _add_joint(
    body: mujoco.MjsBody,
    name: str,
    kind: mujoco.mjtJoint,
    axis: tuple[float, float, float],
    damping: float,
    ref: float = 0.0,
) -> None:
    """A joint that ends far away, whose position is `ref` where the body is made."""
    body.add_joint(
        name=name,
        type=kind,
        axis=axis,
        limited=True,
        range=[each + ref for each in _FARTHEST],
        armature=_ARMATURE,
        damping=[damping, 0, 0],
        ref=ref,
    )
