"""Ants between walls: in a maze of blocks, and on a course with a chaser."""

from collections.abc import Mapping, Sequence
from typing import Any

import mujoco

from tfcaml.environments.mujoco.bodies import _parts
from tfcaml.environments.mujoco.bodies._parts import FORWARD, SHAPES, SIDEWAYS, SLIDE
from tfcaml.environments.mujoco.bodies.ants import FRICTION, MARGIN, ant
from tfcaml.errors import checked_call

_MASS = 40.0  # of the ants
_STARTING_HEIGHT = 0.6  # of their torsos in the model's own pose
_THIN = 0.3  # half the thickness of a wall
_EXTENT = 10.0  # of what cameras look at
# Only ants touch them: geoms of an ant have `contype` 1.
_CONTACT: dict[str, Any] = {
    "contype": 0,
    "conaffinity": 1,
    "condim": 3,
    "friction": FRICTION,
    "margin": MARGIN,
}

# Of the maze. A row: centre in the plane, and half sizes.
_MAZE_WALLS = {
    "right": ((24, -24), (24, _THIN)),
    "left": ((24, 24), (24, _THIN)),
    "back": ((0, 0), (_THIN, 24)),
    "front": ((48, 0), (_THIN, 24)),
}
_MAZE_HEIGHT = 5.0  # of its walls
_MAZE_START = (2.0, 0.0)
_MAZE_CAMERA = (24.0, 0.0, 75.0)  # from where all of it is seen
# Blocks in the order of their numbers: from the left, y = 16, to the right, each row forwards.
BLOCKS = [(x, y) for y in (16, 0, -16) for x in (8, 24, 40)]
BLOCK = 7.6  # half the side of a block
_BLOCK_HEIGHT = 10.0

# Of the course.
_COURSE_WALLS = {
    "left": ((0, 40), (40, _THIN)),
    "right": ((0, -40), (40, _THIN)),
    "front": ((40, 0), (_THIN, 40)),
    "back": ((-40, 0), (_THIN, 40)),
    "first": ((-15, 20), (_THIN, 17)),
    "behind": ((-35, 20), (5, _THIN)),
    "corridor_left": ((-10, -20), (20, _THIN)),
    "corridor_right": ((-10, -30), (20, _THIN)),
    "last": ((10, -20), (_THIN, 20)),
}
_COURSE_HEIGHT = 2.0  # of its walls
_COURSE_START = (-35.0, 15.0)
_COURSE_CAMERA = (0.0, 0.0, 105.0)
CHASER = (25.0, 30.0)  # where it is at first
_CHASER_RADIUS, _CHASER_HEIGHT = 3.0, 1.0  # its height is that of its middle
_CHASER_MASS = 25_700.0


@checked_call
def ant_maze(
    integrator: str = "euler", timestep: float = 0.01, gear: float = 150.0, mass: float = _MASS
) -> mujoco.MjSpec:
    """An ant, see `ant`, within four walls, where nine blocks stand in three rows.

    It starts at (2, 0) m. The bodies "block_0" to "block_8" are fixed to the floor where their
    `pos` says: all three rows from y = 16 m to -16 m, x = 8 m to 40 m.

    Source: numbers of `ant_obstacles_gen.xml` in the code of MLSH, which steps it by the method of
    Runge and Kutta and 0.005 s; blocks slide on rails there.

    Args:
      integrator: "euler", "implicitfast" or "rk4".
      timestep: MuJoCo's step, in seconds.
      gear: torque of a motor at a control of 1, in N m.
      mass: of the ant, in kg.

    Returns:
      the specification, not compiled.

    Raises:
      ConfigError: another integrator, or a time step, gear or mass that is not a positive number.
    """
    spec = _started_at(ant(integrator, timestep, gear, mass=mass), "ant_maze", _MAZE_START)
    spec.camera("top").pos = _MAZE_CAMERA
    _add_walls(spec, _MAZE_WALLS, _MAZE_HEIGHT)
    half = _BLOCK_HEIGHT / 2
    for number, place in enumerate(BLOCKS):
        block = spec.worldbody.add_body(name=f"block_{number}", pos=[*place, half])
        block.add_geom(
            name=f"block_{number}",
            type=SHAPES.mjGEOM_BOX,
            size=[BLOCK, BLOCK, half],
            rgba=_parts.YELLOW,
            **_CONTACT,
        )
    return spec


@checked_call
def ant_course(
    integrator: str = "euler", timestep: float = 0.01, gear: float = 150.0, mass: float = _MASS
) -> mujoco.MjSpec:
    """An ant, see `ant`, within four walls, between which others stand, and a chaser.

    It starts at (-35, 15) m. The last two positions [17] and velocities [16] are those of the
    chaser in the plane: a heavy ball that slides, and touches nothing but the ant.

    Source: numbers of `ant_obstaclesbig.xml` in the code of MLSH, which steps it by the method of
    Runge and Kutta and 0.005 s; the chaser touches floor and walls there.

    Args:
      integrator: "euler", "implicitfast" or "rk4".
      timestep: MuJoCo's step, in seconds.
      gear: torque of a motor at a control of 1, in N m.
      mass: of the ant, in kg.

    Returns:
      the specification, not compiled.

    Raises:
      ConfigError: another integrator, or a time step, gear or mass that is not a positive number.
    """
    spec = _started_at(ant(integrator, timestep, gear, mass=mass), "ant_course", _COURSE_START)
    key = spec.key("stand")
    key.qpos = [*key.qpos, *CHASER]
    spec.camera("top").pos = _COURSE_CAMERA
    _add_walls(spec, _COURSE_WALLS, _COURSE_HEIGHT)
    chaser = spec.worldbody.add_body(name="chaser", pos=[*CHASER, _CHASER_HEIGHT])
    for name, axis, place in zip("xy", (FORWARD, SIDEWAYS), CHASER):
        chaser.add_joint(name=f"chaser_{name}", type=SLIDE, axis=axis, ref=place)
    chaser.add_geom(
        name="chaser",
        type=SHAPES.mjGEOM_SPHERE,
        size=[_CHASER_RADIUS, 0, 0],
        mass=_CHASER_MASS,
        rgba=_parts.RED,
        **_CONTACT,
    )
    spec.add_exclude(name="chaser_floor", bodyname1="world", bodyname2="chaser")
    return spec


def _started_at(spec: mujoco.MjSpec, name: str, place: tuple[float, float]) -> mujoco.MjSpec:
    """An ant that is elsewhere at first, on a larger floor."""
    spec.modelname = name
    spec.stat.extent = _EXTENT
    spec.geom("floor").size = [90, 90, 40]  # as far as it is drawn
    spec.body("torso").pos = [*place, _STARTING_HEIGHT]
    key = spec.key("stand")
    key.qpos = [*place, *list(key.qpos)[2:]]
    return spec


def _add_walls(
    spec: mujoco.MjSpec, walls: Mapping[str, Sequence[tuple[float, float]]], height: float
) -> None:
    for name, (place, half_sizes) in walls.items():
        spec.worldbody.add_geom(
            name=f"wall_{name}",
            type=SHAPES.mjGEOM_BOX,
            pos=[*place, height / 2],
            size=[*half_sizes, height / 2],
            rgba=_parts.GREY,
            **_CONTACT,
        )
