"""A gripper that pushes blocks on a table."""

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
