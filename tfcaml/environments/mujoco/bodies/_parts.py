"""What several bodies are built with: floors, cameras, goals, actuators, and volumes of shapes.

What is only looked at (lines on the floor, cameras, goals) has neither mass nor contact, so that it
changes no number of a simulation.
"""

import math
from collections.abc import Iterable, Sequence
from typing import Any

import mujoco
import numpy as np

from tfcaml.errors import check_one_of, check_positive

INTEGRATORS = {
    "euler": mujoco.mjtIntegrator.mjINT_EULER,
    "implicitfast": mujoco.mjtIntegrator.mjINT_IMPLICITFAST,
    "rk4": mujoco.mjtIntegrator.mjINT_RK4,
}
# Looking for groups of bodies that do not touch pays in scenes of many; for one robot it takes
# 5 % of the time.
_ONLY_FOR_SCENES = int(mujoco.mjtDisableBit.mjDSBL_ISLAND | mujoco.mjtDisableBit.mjDSBL_MIDPHASE)
SHAPES = mujoco.mjtGeom
SLIDE, HINGE = mujoco.mjtJoint.mjJNT_SLIDE, mujoco.mjtJoint.mjJNT_HINGE
FREE_OF_CONTACT: dict[str, Any] = {"contype": 0, "conaffinity": 0}
FORWARD, SIDEWAYS, UP = (1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)

# Colours that colour-blind people tell apart, by M. Okabe and K. Ito.
ORANGE = (0.90, 0.62, 0.0, 1.0)
SKY = (0.34, 0.71, 0.91, 1.0)
GREEN = (0.0, 0.62, 0.45, 1.0)
YELLOW = (0.94, 0.89, 0.26, 1.0)
BLUE = (0.0, 0.45, 0.70, 1.0)
RED = (0.84, 0.37, 0.0, 1.0)
PINK = (0.80, 0.47, 0.65, 1.0)
GREY = (0.35, 0.37, 0.40, 1.0)
_FLOOR = (0.86, 0.88, 0.90, 1.0)
_LINE = (0.55, 0.60, 0.66, 1.0)
_SKY_HEIGHT = 50.0  # of the lamp, which shines downwards from everywhere


def new_spec(
    name: str, integrator: str, timestep: float, extent: float, gravity: float = 9.81
) -> mujoco.MjSpec:
    """A world with a lamp and nothing else. Angles in it are in radians.

    Args:
      name: of the model.
      integrator: one of `INTEGRATORS`.
      timestep: MuJoCo's step, in seconds.
      extent: length of what a camera looks at, in metres; how near and far it sees is made of it.
      gravity: downwards, in m/s^2.

    Raises:
      ConfigError: another integrator, or a time step that is not a positive number.
    """
    check_one_of("integrator", integrator, INTEGRATORS)
    check_positive(timestep=timestep)
    spec = mujoco.MjSpec()
    spec.modelname = name
    spec.compiler.degree = False
    spec.option.integrator = INTEGRATORS[integrator]
    spec.option.timestep = timestep
    spec.option.gravity = [0, 0, -gravity]
    spec.option.disableflags |= _ONLY_FOR_SCENES
    spec.stat.extent = extent
    spec.visual.headlight.ambient = [0.3] * 3
    spec.visual.headlight.diffuse = [0.3] * 3
    spec.visual.headlight.specular = [0.0] * 3
    spec.visual.rgba.haze = _FLOOR
    spec.worldbody.add_light(
        name="lamp",
        type=mujoco.mjtLightType.mjLIGHT_DIRECTIONAL,
        pos=[0, 0, _SKY_HEIGHT],
        dir=[0.2, 0.3, -1],
        diffuse=[0.4] * 3,
        specular=[0.1] * 3,
        castshadow=False,
    )
    return spec


def add_floor(
    spec: mujoco.MjSpec,
    across: Iterable[float],
    along: Iterable[float] = (),
    half_width: float = 2.0,
    height: float = 0.0,
    line: float = 0.03,
    **contact: Any,
) -> None:
    """A level floor, "floor", and thin lines on it, "lines", that show how far something moves.

    Args:
      spec: what is added to.
      across: x of the lines across the direction forward.
      along: y of the lines along it.
      half_width: half the length of the lines, in metres.
      height: of the floor.
      line: width of a line.
      **contact: fields of the floor's geom, such as `contype`.
    """
    spec.worldbody.add_geom(
        name="floor",
        type=SHAPES.mjGEOM_PLANE,
        size=[40, 40, 40],
        pos=[0, 0, height],
        rgba=_FLOOR,
        **contact,
    )
    thin = line / 2
    strips = [
        *((x - thin, -half_width, x + thin, half_width) for x in across),
        *((-half_width, y - thin, half_width, y + thin) for y in along),
    ]
    corners = [
        (x, y, 0.0)
        for left, near, right, far in strips
        for x, y in ((left, near), (right, near), (right, far), (left, far))
    ]
    triangles = [
        tuple(4 * strip + corner for corner in triangle)
        for strip in range(len(strips))
        for triangle in ((0, 1, 2), (0, 2, 3))
    ]
    # One mesh, as MuJoCo computes where each geom is at every step.
    spec.add_mesh(
        name="lines",
        uservert=np.ravel(corners),
        userface=np.ravel(triangles),
        inertia=mujoco.mjtMeshInertia.mjMESH_INERTIA_SHELL,
    )
    spec.worldbody.add_geom(
        name="lines",
        type=SHAPES.mjGEOM_MESH,
        meshname="lines",
        pos=[0, 0, height + line / 15],  # above the floor, so that it is seen
        mass=0,
        rgba=_LINE,
        **FREE_OF_CONTACT,
    )


def add_cameras(
    spec: mujoco.MjSpec,
    body: mujoco.MjsBody,
    track: Sequence[float],
    fixed: Sequence[float],
    at: Sequence[float] = (0.0, 0.0, 0.0),
    follows: bool = True,
) -> None:
    """A camera "track" that moves with a body, and one that stands: "side", or "top" from above.

    Args:
      spec: what is added to.
      body: what the first camera moves with.
      track: [3], where the first camera is as seen from `at`, in metres.
      fixed: [3], where the other one is as seen from `at`.
      at: [3], what both look at while nothing has moved.
      follows: whether the first camera follows the centre of mass of all that hangs on the body;
        else it keeps its distance from the body itself.
    """
    mode = mujoco.mjtCamLight
    body.add_camera(
        name="track",
        mode=mode.mjCAMLIGHT_TRACKCOM if follows else mode.mjCAMLIGHT_TRACK,
        pos=np.add(at, track) - body.pos,
        quat=_facing(track),
    )
    from_above = fixed[0] == fixed[1] == 0
    spec.worldbody.add_camera(
        name="top" if from_above else "side", pos=np.add(at, fixed), quat=_facing(fixed)
    )


def add_goal(
    spec: mujoco.MjSpec,
    pos: Sequence[float],
    radius: float,
    shape: mujoco.mjtGeom = SHAPES.mjGEOM_SPHERE,
    half_height: float = 0.0,
) -> None:
    """A body "goal" that is where `mocap_pos` says, and which nothing else notices."""
    goal = spec.worldbody.add_body(name="goal", mocap=True, pos=pos)
    size = {
        SHAPES.mjGEOM_SPHERE: [radius, 0, 0],
        SHAPES.mjGEOM_CYLINDER: [radius, half_height, 0],
        SHAPES.mjGEOM_BOX: [radius, radius, half_height],
    }[shape]
    goal.add_geom(
        name="goal", type=shape, size=size, mass=0, rgba=(*PINK[:3], 0.8), **FREE_OF_CONTACT
    )


def add_plane_joints(
    body: mujoco.MjsBody, pos: Sequence[float] = (0.0, 0.0, 0.0), height: float = 0.0
) -> None:
    """The joints of what moves in a vertical plane: "rootx", "rootz" and "rooty", which turns it.

    Args:
      body: what they are added to.
      pos: [3], of the first two, in the body's frame.
      height: position of "rootz" where the body is made.
    """
    body.add_joint(name="rootx", type=SLIDE, axis=FORWARD, pos=pos)
    body.add_joint(name="rootz", type=SLIDE, axis=UP, pos=pos, ref=height)
    body.add_joint(name="rooty", type=HINGE, axis=SIDEWAYS)


def add_limited_hinge(
    body: mujoco.MjsBody,
    name: str,
    axis: Sequence[float] | np.ndarray,
    span: Sequence[float],
    armature: float = 1.0,
    damping: float = 1.0,
    pos: Sequence[float] = (0.0, 0.0, 0.0),
) -> None:
    """A hinge whose angle is limited to a span [2] in degrees."""
    body.add_joint(
        name=name,
        type=HINGE,
        axis=axis,
        pos=pos,
        limited=True,
        range=[math.radians(angle) for angle in span],
        armature=armature,
        damping=[damping, 0, 0],
    )


def add_limb(
    body: mujoco.MjsBody, name: str, end: Sequence[float] | np.ndarray, radius: float, **fields: Any
) -> None:
    """A capsule from a body's origin to `end` [3]; other fields of the geom by their names."""
    size = [radius, 0, 0]
    body.add_geom(
        name=name, type=SHAPES.mjGEOM_CAPSULE, fromto=[0, 0, 0, *end], size=size, **fields
    )


def add_motor(spec: mujoco.MjSpec, joint: str, gear: float, limit: float = 1.0) -> None:
    """A motor with its joint's name, whose force is `gear` times a control within +-`limit`."""
    motor = _add_actuator(spec, joint, limit)
    motor.set_to_motor()
    motor.gear[0] = gear


def add_velocity_servo(spec: mujoco.MjSpec, joint: str, limit: float, gain: float = 1.0) -> None:
    """A servo with its joint's name: gain * (control - velocity), a control within +-`limit`."""
    _add_actuator(spec, joint, limit).set_to_velocity(kv=gain)


def turned(axis: Sequence[float], angle: float) -> list[float]:
    """The quaternion [4] of a turn by an angle, in radians, about an axis [3] of length 1."""
    return [math.cos(angle / 2), *(math.sin(angle / 2) * each for each in axis)]


def sphere_volume(radius: float) -> float:
    """The volume of a sphere."""
    return 4 / 3 * math.pi * radius**3


def capsule_volume(radius: float, half_length: float) -> float:
    """The volume of a cylinder and the two half spheres at its ends."""
    return cylinder_volume(radius, half_length) + sphere_volume(radius)


def cylinder_volume(radius: float, half_length: float) -> float:
    """The volume of a cylinder."""
    return 2 * math.pi * radius**2 * half_length


def box_volume(*half_sizes: float) -> float:
    """The volume of a box."""
    return 8 * math.prod(half_sizes)


def _add_actuator(spec: mujoco.MjSpec, joint: str, limit: float) -> mujoco.MjsActuator:
    return spec.add_actuator(
        name=joint,
        target=joint,
        trntype=mujoco.mjtTrn.mjTRN_JOINT,
        ctrllimited=True,
        ctrlrange=[-limit, limit],
    )


def _facing(away: Sequence[float]) -> np.ndarray:
    """The quaternion [4] of a camera at `away` that looks at the origin, upright.

    A camera looks along its negative z axis. One straight above has y up in its picture.
    """
    z = np.array(away) / np.linalg.norm(away)
    x = np.cross(UP, z) if np.any(z[:2]) else np.array(FORWARD)
    x = x / np.linalg.norm(x)
    quaternion = np.empty(4)
    mujoco.mju_mat2Quat(quaternion, np.stack([x, np.cross(z, x), z], axis=1).ravel())
    return quaternion
