"""Arms on a table, whose hinges are upright."""

import math

import mujoco

from tfcaml.environments.mujoco.bodies import _parts
from tfcaml.environments.mujoco.bodies._parts import FREE_OF_CONTACT, HINGE, SHAPES, UP
from tfcaml.errors import check_one_of, check_positive, checked_call

_MASS = 24.0
_RADIUS = 0.1
# Of an arm with so many links: length of one, place of the fingertip on the last, greatest control.
_ARMS = {2: (0.75, 0.95, 100.0), 4: (0.45, 0.65, 50.0)}
_FURTHEST = math.radians(160)  # that a joint bends, but the first


@checked_call
def reacher(links: int = 2, integrator: str = "rk4", timestep: float = 0.01) -> mujoco.MjSpec:
    """The arms of TESP, with two or four links and servos for velocity.

    Positions [links] are the joints' angles; velocities [links] are their rates. Controls [links]
    are wanted velocities in rad/s, within +-100 of two links and +-50 of four, of servos with gain
    1. The arm weighs 24 and reaches 1.7 m with two links, 2.0 m with four, to the middle of its
    fingertip, whose place is that of the site "fingertip". Nothing touches. The body "goal" is a
    mark that is where `mocap_pos` says.

    Source: numbers of `reacher.xml` and `reacher_4-link.xml` in the code of TESP, which steps them
    by the method of Runge and Kutta and 0.01 s.

    Args:
      links: 2 or 4.
      integrator: "euler", "implicitfast" or "rk4".
      timestep: MuJoCo's step, in seconds.

    Returns:
      the specification, not compiled.

    Raises:
      ConfigError: another number of links, another integrator, or a time step that is not a
        positive number.
    """
    check_one_of("links", links, _ARMS)
    length, tip, limit = _ARMS[links]
    spec = _parts.new_spec(f"reacher_{links}", integrator, timestep, extent=4.0)
    _parts.add_floor(spec, range(-4, 5), range(-4, 5), half_width=4.0, **FREE_OF_CONTACT)
    volume = links * _parts.capsule_volume(_RADIUS, length / 2) + _parts.sphere_volume(_RADIUS)
    _build(spec, length, links, tip, radius=_RADIUS, density=_MASS / volume, furthest=_FURTHEST)
    for link in range(links):
        _parts.add_velocity_servo(spec, f"joint{link}", limit)
    _parts.add_goal(spec, pos=[1, 0, _RADIUS], radius=0.08)
    return spec


@checked_call
def gym_reacher(
    integrator: str = "rk4", timestep: float = 0.01, gear: float = 200.0
) -> mujoco.MjSpec:
    """The small arm of Gymnasium, with two links and motors.

    Positions [2] are the joints' angles; velocities [2] are their rates. Controls [2] within +-1
    drive the joints by motors. The middle of the fingertip is that of the site "fingertip" and of
    the body "fingertip", 0.11 m from the second joint. Nothing touches. The body "goal" is a mark
    that is where `mocap_pos` says; Gymnasium's slides on two joints, which do not move the arm.

    Source: numbers of `reacher.xml` in Gymnasium 1.3, which steps it by the method of Runge and
    Kutta and 0.01 s.

    Args:
      integrator: "euler", "implicitfast" or "rk4".
      timestep: MuJoCo's step, in seconds.
      gear: torque of a motor at a control of 1, in N m.

    Returns:
      the specification, not compiled.

    Raises:
      ConfigError: another integrator, or a time step or gear that is not a positive number.
    """
    spec = _small_arm("gym_reacher", integrator, timestep, gear)
    _parts.add_goal(spec, pos=[0.1, -0.1, 0.01], radius=0.009)
    return spec


@checked_call
def block_reacher(
    integrator: str = "rk4", timestep: float = 0.01, gear: float = 200.0
) -> mujoco.MjSpec:
    """The arm of `gym_reacher` among three flat blocks, which it does not touch, without a goal.

    The blocks are boxes on the floor with half sides of 0.03 m: the geoms "block0", "block1" and
    "block2". Where they are is the model's `geom_pos`, and their colours its `geom_rgba`.

    Source: the reaching task of C. Finn, T. Yu et al., CoRL 2017, whose arm is Gymnasium's.

    Args:
      integrator: "euler", "implicitfast" or "rk4".
      timestep: MuJoCo's step, in seconds.
      gear: torque of a motor at a control of 1, in N m.

    Returns:
      the specification, not compiled.

    Raises:
      ConfigError: another integrator, or a time step or gear that is not a positive number.
    """
    spec = _small_arm("block_reacher", integrator, timestep, gear)
    for number, color in enumerate((_parts.RED, _parts.GREEN, _parts.YELLOW)):
        spec.worldbody.add_geom(
            name=f"block{number}",
            type=SHAPES.mjGEOM_BOX,
            pos=[0.15 * (number - 1), 0.15, 0.002],
            size=[0.03, 0.03, 0.002],
            rgba=color,
            mass=0,
            **FREE_OF_CONTACT,
        )
    return spec


def _small_arm(name: str, integrator: str, timestep: float, gear: float) -> mujoco.MjSpec:
    """Gymnasium's arm with its motors on a floor, as a model of that name."""
    check_positive(gear=gear)
    spec = _parts.new_spec(name, integrator, timestep, extent=0.5)
    tenths = [tenth / 10 for tenth in range(-4, 5)]
    _parts.add_floor(spec, tenths, tenths, half_width=0.4, line=0.003, **FREE_OF_CONTACT)
    _build(spec, 0.1, 2, tip=0.11, radius=0.01, density=1000.0, furthest=3.0)
    for link in range(2):
        _parts.add_motor(spec, f"joint{link}", gear)
    return spec


def _build(
    spec: mujoco.MjSpec,
    length: float,
    links: int,
    tip: float,
    radius: float,
    density: float,
    furthest: float,
) -> None:
    """An arm of capsules from `joint0` to a round `fingertip`, without actuators.

    Args:
      spec: what is added to.
      length, links: of one link, and their number.
      tip: place of the fingertip on the last link.
      radius: of all parts.
      density: of all parts.
      furthest: angle of all joints but the first, which has no limit.
    """
    shape = {"density": density, "friction": [1, 0.1, 0.1], **FREE_OF_CONTACT}
    spec.worldbody.add_geom(
        name="root",
        type=SHAPES.mjGEOM_CYLINDER,
        fromto=[0, 0, 0, 0, 0, 2 * radius],
        size=[1.15 * radius, 0, 0],
        rgba=_parts.GREY,
        **FREE_OF_CONTACT,
    )
    body, base = spec.worldbody, None
    for link in range(links):
        place = [length, 0, 0] if link else [0, 0, radius]
        body = body.add_body(name=f"body{link}", pos=place)
        base = base or body
        limit = {"limited": True, "range": [-furthest, furthest]} if link else {}
        body.add_joint(
            name=f"joint{link}", type=HINGE, axis=UP, armature=1.0, damping=[1.0, 0, 0], **limit
        )
        body.add_geom(
            name=f"link{link}",
            type=SHAPES.mjGEOM_CAPSULE,
            fromto=[0, 0, 0, length, 0, 0],
            size=[radius, 0, 0],
            rgba=(_parts.BLUE, _parts.SKY)[link % 2],
            **shape,
        )
    end = body.add_body(name="fingertip", pos=[tip, 0, 0])
    end.add_geom(
        name="fingertip",
        type=SHAPES.mjGEOM_SPHERE,
        size=[radius, 0, 0],
        rgba=_parts.ORANGE,
        **shape,
    )
    end.add_site(name="fingertip", size=[radius / 10, 0, 0], group=4)
    reach = (links - 1) * length + tip
    track, fixed = (0, -1.8 * reach, 1.8 * reach), (0, 0, 3.2 * reach)
    _parts.add_cameras(spec, base, track, fixed, at=(0, 0, radius), follows=False)
