import importlib.util
import itertools
import math
import pathlib

import mujoco
import numpy as np
import pytest

from tfcaml.environments.mujoco import bodies
from tfcaml.errors import ConfigError

GYMNASIUM = pathlib.Path(importlib.util.find_spec("gymnasium").origin).parent
ASSETS = GYMNASIUM / "envs" / "mujoco" / "assets"
BODIES = {
    "half_cheetah": bodies.half_cheetah,
    "ant": bodies.ant,
    "low_gear_ant": lambda **options: bodies.ant(gear=30, **options),
    "heavy_ant": lambda **options: bodies.ant(mass=40, **options),
    "ant_maze": bodies.ant_maze,
    "ant_course": bodies.ant_course,
    "ant_with_goal": lambda **options: bodies.ant(goal=True, **options),
    "tesp_ant": bodies.tesp_ant,
    "hopper": bodies.hopper,
    "walker": bodies.walker,
    "reacher_2": bodies.reacher,
    "reacher_4": lambda **options: bodies.reacher(links=4, **options),
    "gym_reacher": bodies.gym_reacher,
    "block_reacher": bodies.block_reacher,
    "wheeled_servo": bodies.wheeled,
    "wheeled_motor": lambda **options: bodies.wheeled(drive="motor", **options),
    "pusher": bodies.pusher,
    "arm_pusher": bodies.arm_pusher,
    "legged_4": bodies.legged,
    "legged_6": lambda **options: bodies.legged(legs=6, **options),
    "legged_8": lambda **options: bodies.legged(legs=8, **options),
}
WITH_LEGS = ["ant", "low_gear_ant", "heavy_ant", "tesp_ant", "legged_4", "legged_6", "legged_8"]
FALLING = ["half_cheetah", "hopper", "walker", *WITH_LEGS]
AT_REST = [
    *("reacher_2", "reacher_4", "gym_reacher", "wheeled_servo", "wheeled_motor", "pusher"),
    "arm_pusher",
]
WITH_GOALS = ["ant_with_goal", "tesp_ant", *AT_REST]
INTEGRATORS = ["euler", "implicitfast", "rk4"]
GRAVITY = 9.81
# Gymnasium's file, our body, and of each what the numbers of both may differ by after a while.
SOURCES = {
    "half_cheetah": ("half_cheetah.xml", 0.0),
    "ant": ("ant.xml", 0.0),
    "hopper": ("hopper.xml", 1e-10),  # its lengths are rounded, 0.19999999999999996
    "walker": ("walker2d_v5.xml", 1e-10),
}


def compiled(name, **options):
    return BODIES[name](**options).compile()


def source(name):
    """Gymnasium's model; that of the half-cheetah has its mass by density, as ours does."""
    spec = mujoco.MjSpec.from_file(str(ASSETS / SOURCES[name][0]))
    if name == "half_cheetah":
        spec.compiler.settotalmass = -1
        density = bodies.half_cheetah().geom("torso").density
        for geom in spec.geoms:
            geom.density = density
    return spec.compile()


def started(model):
    """A simulation that starts in the key frame if there is one."""
    data = mujoco.MjData(model)
    if model.nkey:
        mujoco.mj_resetDataKeyframe(model, data, 0)
    return data


def play(model, data, num_controls, num_steps=5, seed=0, scale=1.0):
    """Random controls, each for some steps: positions and velocities, [num_controls, nq + nv]."""
    random = np.random.default_rng(seed)
    low, high = model.actuator_ctrlrange.T
    rows = []
    for _ in range(num_controls):
        data.ctrl[:] = scale * random.uniform(low, high)
        mujoco.mj_step(model, data, num_steps)
        rows.append(np.concatenate([data.qpos, data.qvel]))
    return np.stack(rows)


def root_height(model):
    """Which of the positions is the height of what falls."""
    return 2 if model.jnt_type[0] == mujoco.mjtJoint.mjJNT_FREE else 1


def lifted(model, height=5.0):
    """A simulation that starts that much higher."""
    data = started(model)
    data.qpos[root_height(model)] += height
    return data


def weigh(model, factor):
    """Everything is so many times as heavy."""
    model.body_mass *= factor
    model.body_inertia *= factor
    mujoco.mj_setConst(model, mujoco.MjData(model))


@pytest.mark.parametrize("name", BODIES)
def test_all_parts_have_names_and_looks_are_as_described(name):
    model = compiled(name)
    parts = itertools.chain(
        (model.body(each).name for each in range(model.nbody)),
        (model.geom(each).name for each in range(model.ngeom)),
        (model.joint(each).name for each in range(model.njnt)),
        (model.actuator(each).name for each in range(model.nu)),
    )
    assert all(parts)
    assert model.ntex == model.nmat == 0
    cameras = {model.camera(each).name for each in range(model.ncam)}
    assert cameras in ({"track", "side"}, {"track", "top"})
    assert model.nlight == 1
    assert model.light_type[0] == mujoco.mjtLightType.mjLIGHT_DIRECTIONAL
    assert not model.light_castshadow[0]
    goals = [each for each in range(model.nbody) if model.body_mocapid[each] >= 0]
    assert [model.body(each).name for each in goals] == ["goal"] * (name in WITH_GOALS)
    for looks in {"lines", "goal"} & {model.geom(each).name for each in range(model.ngeom)}:
        assert model.geom(looks).contype == model.geom(looks).conaffinity == 0
    # Every actuator drives the joint whose name it has.
    for each in range(model.nu):
        joint = model.joint(model.actuator_trnid[each, 0])
        assert model.actuator(each).name == joint.name
    assert model.opt.timestep == (0.002 if name in ("hopper", "walker") else 0.01)


@pytest.mark.parametrize("integrator", INTEGRATORS)
@pytest.mark.parametrize("name", BODIES)
def test_random_controls_leave_no_warning_and_no_bad_number(name, integrator):
    model = compiled(name, integrator=integrator)
    data = started(model)
    rows = play(model, data, num_controls=500, num_steps=1)
    assert np.all(np.isfinite(rows))
    assert not any(warning.number for warning in data.warning)
    if name == "ant_course":  # whose chaser is not met
        chaser = [15, 16, -2, -1]
        assert not np.ptp(rows[:, chaser], axis=0).any()
        rows = np.delete(rows, chaser, axis=1)
    met = name not in ("pusher", "arm_pusher")  # whose things to push may not be met
    assert np.ptp(rows, axis=0).min() > 0 or not met


@pytest.mark.parametrize("name", BODIES)
def test_integrator_and_time_step_are_those_that_were_named(name):
    for integrator, number in zip(INTEGRATORS, (0, 3, 1), strict=True):
        assert compiled(name, integrator=integrator).opt.integrator == number
    assert compiled(name, timestep=0.004).opt.timestep == 0.004


@pytest.mark.parametrize("name", BODIES)
def test_what_is_only_looked_at_changes_no_bit(name):
    spec = BODIES[name]()
    seen = spec.compile()
    moved = [*spec.cameras, *spec.lights, spec.geom("lines"), *spec.meshes]
    for part in [*moved, *(body for body in spec.bodies if body.name == "goal")]:
        spec.delete(part)
    bare = spec.compile()
    assert bare.ngeom < seen.ngeom
    elsewhere = started(seen)
    elsewhere.mocap_pos[:] = 0.1  # where the robot is
    expected = play(bare, started(bare), 60)
    np.testing.assert_array_equal(play(seen, started(seen), 60), expected)
    np.testing.assert_array_equal(play(seen, elsewhere, 60), expected)


@pytest.mark.parametrize("integrator", INTEGRATORS)
@pytest.mark.parametrize("name", SOURCES)
def test_trajectories_are_those_of_gymnasium(name, integrator):
    """To the bit, or as near as lengths of the source are rounded."""
    theirs, ours = source(name), compiled(name, integrator=integrator)
    theirs.opt.integrator = ours.opt.integrator
    expected = play(theirs, mujoco.MjData(theirs), 100)
    rows = play(ours, mujoco.MjData(ours), 100)
    assert np.ptp(expected, axis=0).min() > 0.01
    np.testing.assert_allclose(rows, expected, rtol=0, atol=SOURCES[name][1])


def test_default_integrators_and_time_steps_of_gymnasium():
    for name in SOURCES:
        assert source(name).opt.timestep == compiled(name).opt.timestep
    assert source("half_cheetah").opt.integrator == compiled("half_cheetah").opt.integrator


def test_the_half_cheetah_weighs_14_as_gymnasium_sets_it():
    spec = mujoco.MjSpec.from_file(str(ASSETS / "half_cheetah.xml"))
    spec.compiler.settotalmass = -1
    theirs, ours = spec.compile(), compiled("half_cheetah")
    mass = theirs.body_mass * 14 / theirs.body_mass.sum()
    np.testing.assert_allclose(ours.body_mass, mass, rtol=1e-14)
    assert bodies.half_cheetah().geom("torso").density == pytest.approx(660.885, abs=5e-4)


def test_the_arm_of_gymnasium_moves_as_there():
    """Its target, which is two joints there, does not move it."""
    theirs = mujoco.MjModel.from_xml_path(str(ASSETS / "reacher.xml"))
    ours = compiled("gym_reacher")
    assert ours.opt.integrator == theirs.opt.integrator
    expected = play(theirs, mujoco.MjData(theirs), 100)
    rows = play(ours, mujoco.MjData(ours), 100)
    np.testing.assert_array_equal(rows[:, :2], expected[:, :2])
    np.testing.assert_array_equal(rows[:, 2:], expected[:, 4:6])


@pytest.mark.parametrize(
    ("name", "mass", "gears", "limit"),
    [
        ("half_cheetah", 14.0, [120, 90, 60, 120, 60, 30], 1),
        ("ant", 0.911, [150] * 8, 1),
        ("low_gear_ant", 0.911, [30] * 8, 1),
        ("tesp_ant", 24.0, [1] * 8, 50),
        ("hopper", 15.82, [200] * 3, 1),
        ("walker", 23.677, [100] * 6, 1),
        ("reacher_2", 24.0, [1] * 2, 100),
        ("reacher_4", 24.0, [1] * 4, 50),
        ("gym_reacher", 0.0754, [200] * 2, 1),
        ("block_reacher", 0.0754, [200] * 2, 1),
        ("wheeled_servo", 24.0, [1] * 2, 50),
        ("wheeled_motor", 10.214, [1] * 2, 2),
        ("pusher", 0.006117, [1] * 3, 2),
        ("arm_pusher", 13.145, [1] * 7, 2),
    ],
)
def test_masses_gears_and_controls_are_those_of_the_sources(name, mass, gears, limit):
    model = compiled(name)
    assert model.body_mass.sum() == pytest.approx(mass, rel=1e-3)
    np.testing.assert_array_equal(model.actuator_gear[:, 0], gears)
    np.testing.assert_array_equal(model.actuator_ctrlrange, [[-limit, limit]] * model.nu)


def test_maesn_weighs_the_cart_and_its_goal_together():
    cart = compiled("wheeled_motor").body_mass.sum()
    servo = compiled("wheeled_servo")
    density = servo.body_mass.sum() / (8 * 0.15 * 0.1 * 0.046 + 2 * 2 * math.pi * 0.01 * 0.046)
    goal = 4 / 3 * math.pi * 0.1**3 * density * cart / 24
    assert cart + goal == pytest.approx(14)


@pytest.mark.parametrize(
    ("name", "links", "tip", "furthest"),
    [
        ("reacher_2", 0.75, 0.95, math.radians(160)),
        ("reacher_4", 0.45, 0.65, math.radians(160)),
        ("gym_reacher", 0.1, 0.11, 3.0),
        ("block_reacher", 0.1, 0.11, 3.0),
    ],
)
def test_arms_are_as_long_and_bend_as_far_as_they_should(name, links, tip, furthest):
    model = compiled(name)
    data = mujoco.MjData(model)
    mujoco.mj_forward(model, data)
    reach = (model.nq - 1) * links + tip
    np.testing.assert_allclose(data.site("fingertip").xpos[:2], [reach, 0], atol=1e-12)
    assert not model.jnt_limited[0]
    np.testing.assert_allclose(model.jnt_range[1:], [[-furthest, furthest]] * (model.nq - 1))
    np.testing.assert_array_equal(model.dof_armature, 1)
    np.testing.assert_array_equal(model.dof_damping, 1)
    # A quarter turn of the first joint.
    data.qpos[0] = math.pi / 2
    mujoco.mj_forward(model, data)
    np.testing.assert_allclose(data.site("fingertip").xpos[:2], [0, reach], atol=1e-12)


@pytest.mark.parametrize("name", ["reacher_2", "reacher_4", "gym_reacher"])
def test_a_passive_arm_without_damping_keeps_its_energy(name):
    model = compiled(name)
    model.opt.enableflags |= mujoco.mjtEnableBit.mjENBL_ENERGY
    model.dof_damping[:] = 0
    model.jnt_limited[:] = 0
    model.actuator_gainprm[:] = model.actuator_biasprm[:] = 0
    data = mujoco.MjData(model)
    data.qvel[:] = np.linspace(2, -3, model.nv)
    energies = []
    for _ in range(500):
        mujoco.mj_step(model, data)
        energies.append(data.energy.sum())
    assert np.ptp(data.qpos) > 1
    np.testing.assert_allclose(energies, energies[0], rtol=1e-6)


@pytest.mark.parametrize("name", ["reacher_2", "reacher_4", "tesp_ant", "wheeled_servo"])
def test_servos_pull_towards_the_wanted_velocity(name):
    """By gain 1 times what is missing."""
    model = compiled(name)
    data = mujoco.MjData(model)
    joints = model.jnt_dofadr[model.actuator_trnid[:, 0]]
    data.qvel[joints] = np.linspace(-1, 2, model.nu)
    data.ctrl[:] = np.linspace(3, -7, model.nu)
    mujoco.mj_forward(model, data)
    expected = data.ctrl - data.qvel[joints]
    np.testing.assert_allclose(data.actuator_force, expected, rtol=1e-12)


@pytest.mark.parametrize("factor", [1.0, 3.0])
@pytest.mark.parametrize("name", FALLING)
def test_a_fall_follows_gravity_whatever_the_mass(name, factor):
    model = compiled(name, integrator="rk4")
    weigh(model, factor)
    data = lifted(model)
    height = root_height(model)
    start = data.qpos[height]
    for _ in range(50):
        mujoco.mj_step(model, data)
        assert data.qpos[height] == pytest.approx(start - GRAVITY * data.time**2 / 2, abs=1e-9)


@pytest.mark.parametrize("name", FALLING)
def test_legs_move_nothing_as_a_whole_in_the_air(name):
    """Momentum forwards, which only contacts could give, stays 0, and downwards g t times mass."""
    model = compiled(name, integrator="rk4", timestep=0.0005)
    data = lifted(model, height=8.0)
    root = 1  # the body that all others hang on
    fastest = 0.0
    for _ in range(20):
        play(model, data, 1, num_steps=20, scale=0.2, seed=round(data.time * 1e4))
        mujoco.mj_subtreeVel(model, data)
        assert data.ncon == 0
        velocity = data.subtree_linvel[root]
        np.testing.assert_allclose(velocity[:2], 0, atol=1e-3)
        # mj_subtreeVel is of the velocities at the start of the step.
        assert velocity[2] == pytest.approx(-GRAVITY * data.time, abs=1.5e-2)
        fastest = max(fastest, np.abs(data.qvel[3:]).max())
    assert fastest > 0.05


@pytest.mark.parametrize("name", WITH_LEGS)
def test_walkers_stand_on_their_legs(name):
    """They sink slowly from the key frame, and then rest on all their feet."""
    model = compiled(name)
    data = started(model)
    num_legs = (model.nq - 7) // 2
    radius = model.geom_size[model.body("torso").geomadr[0], 0]
    for number_of_steps, sunk, speed in ((200, 0.05, 0.1), (8000, 0.2, 1e-6)):
        height = data.qpos[2]
        mujoco.mj_step(model, data, number_of_steps)
        assert height - sunk < data.qpos[2] < height + 0.05
        assert np.abs(data.qvel).max() < speed
        assert data.qpos[2] > radius + 0.02  # not on its belly
        np.testing.assert_allclose(data.qpos[3], 1, atol=1e-3)  # upright
        touching = {int(model.geom_bodyid[each]) for pair in data.contact.geom for each in pair}
        assert len(touching - {0}) == num_legs


def test_the_cheetah_comes_to_rest_on_its_feet():
    model = compiled("half_cheetah")
    data = started(model)
    mujoco.mj_step(model, data, 1000)
    assert np.abs(data.qvel).max() < 1e-2
    touching = {model.geom(each).name for pair in data.contact.geom for each in pair}
    assert touching == {"floor", "bfoot", "ffoot"}
    assert abs(data.qpos[2]) < 0.3


@pytest.mark.parametrize("name", ["hopper", "walker"])
def test_hoppers_stand_for_a_while(name):
    model = compiled(name)
    data = started(model)
    mujoco.mj_step(model, data, 100)
    assert data.qpos[1] == pytest.approx(1.2, abs=0.02)
    assert abs(data.qpos[2]) < 0.1
    assert data.ncon > 0


@pytest.mark.parametrize("name", AT_REST)
def test_what_is_not_driven_stays(name):
    model = compiled(name)
    data = started(model)
    mujoco.mj_step(model, data, 300)
    still = [each for each in range(model.nq) if model.joint(each).name != "zmove"]
    np.testing.assert_allclose(data.qpos[still], model.qpos0[still], atol=1e-6)
    if name.startswith("wheeled"):
        assert abs(data.qpos[2]) < 0.01


def test_four_legs_are_the_ant():
    """But for the signs of ankles, and the order of controls."""
    theirs, ours = compiled("ant"), compiled("legged_4")
    np.testing.assert_allclose(ours.body_mass.sum(), theirs.body_mass.sum())
    np.testing.assert_allclose(ours.key_qpos[0], np.abs(theirs.key_qpos[0]))
    signs = np.array([1, 1, 1, -1, 1, -1, 1, 1.0])  # of the joints after the torso
    random = np.random.default_rng(0)
    one, other = started(theirs), started(ours)
    for _ in range(60):
        control = random.uniform(-1, 1, 8)
        other.ctrl[:] = control
        one.ctrl[:] = np.roll(signs * control, 2)
        mujoco.mj_step(theirs, one, 5)
        mujoco.mj_step(ours, other, 5)
    np.testing.assert_allclose(other.qpos[:7], one.qpos[:7], atol=1e-6)
    np.testing.assert_allclose(other.qpos[7:], signs * one.qpos[7:], atol=1e-6)
    assert np.linalg.norm(one.qpos[:2]) > 0.1


def test_each_leg_weighs_the_same():
    weights = {legs: compiled(f"legged_{legs}").body_mass for legs in (4, 6, 8)}
    ball = 4 / 3 * math.pi * 0.25**3 * 5
    one = (weights[4].sum() - ball) / 4
    for legs, mass in weights.items():
        assert mass.sum() == pytest.approx(ball + legs * one)
        np.testing.assert_allclose(mass[2::2], mass[2])


@pytest.mark.parametrize("integrator", INTEGRATORS)
@pytest.mark.parametrize("name", ["wheeled_servo", "wheeled_motor"])
def test_carts_roll_straight_and_turn(name, integrator):
    """Straight on, v = r w. Turning at 2 r w / track, which is 0.4, give or take wide wheels."""
    model = compiled(name, integrator=integrator)
    data = started(model)
    torques = name == "wheeled_motor"
    data.ctrl[:] = 0.05 if torques else 5.0
    mujoco.mj_step(model, data, 150 if torques else 500)
    spin = data.qvel[4:]
    assert spin.min() > 0.5
    assert torques or spin == pytest.approx([5.0] * 2, rel=0.02)
    np.testing.assert_allclose(data.qvel[0], 0.1 * spin, rtol=0.04)
    np.testing.assert_allclose([*data.qpos[[1, 3]], *data.qvel[[1, 3]]], 0, atol=0.02)

    data = started(model)
    data.ctrl[:] = [0.2, -0.2] if torques else [5.0, -5.0]  # right, left: it turns left
    mujoco.mj_step(model, data, 150 if torques else 500)
    spin = data.qvel[4]
    assert spin > 0.5
    assert 2 * 0.1 * spin / (0.4 + 0.092) < data.qvel[3] < 2 * 0.1 * spin / (0.4 - 0.092)
    np.testing.assert_allclose(data.qpos[:2], 0, atol=0.02)


@pytest.mark.parametrize("factor", [1.0, 2.0])
def test_a_cart_accelerates_by_torque_over_mass(factor):
    """2 torques / (radius (mass + 2 wheel's inertia / radius^2))."""
    model = compiled("wheeled_motor", timestep=0.001)
    weigh(model, factor)
    data = started(model)
    mujoco.mj_step(model, data, 200)
    data.ctrl[:] = 0.3
    start = data.qvel[0], data.time
    mujoco.mj_step(model, data, 500)
    inertia = model.body("wheelbody1").inertia[2]  # about the wheel's axis, its body's z
    rolling = model.body_mass.sum() + 2 * inertia / 0.1**2
    expected = 2 * 0.3 / (0.1 * rolling)
    acceleration = (data.qvel[0] - start[0]) / (data.time - start[1])
    assert acceleration == pytest.approx(expected, rel=0.03)


@pytest.mark.parametrize("mass", [1.0, 30.0])
def test_a_gripper_accelerates_by_force_over_mass(mass):
    model = compiled("pusher")
    weigh(model, mass)
    data = mujoco.MjData(model)
    data.ctrl[0] = 1.5
    mujoco.mj_forward(model, data)
    moved = model.body("wrist base").mass[0] + model.body("tips_arm").mass[0] + 0.04
    assert data.qacc[0] == pytest.approx(1.5 / moved, rel=1e-9)
    # In the end, damping balances the force.
    data.qpos[3::2], data.qpos[4::2] = 0.0, 3.0  # blocks out of the way
    mujoco.mj_step(model, data, 300)
    assert data.qvel[0] == pytest.approx(1.5 / 0.5, rel=1e-2)


def test_blocks_and_goal_are_where_a_row_puts_them():
    model = compiled("pusher")
    data = mujoco.MjData(model)
    mujoco.mj_forward(model, data)
    names = [f"obj{each}" for each in range(1, 6)]
    np.testing.assert_allclose(data.qpos[3:], [0.2, 0, 0.4, 0, 0.6, 0, 0.8, 0, 1, 0])
    places = np.array([[0.5, -0.4], [0.36, -0.2], [0.35, 0.0], [0.6, 0.2], [0.65, 0.4]])
    data.qpos[3:] = places.ravel()
    data.mocap_pos[0, :2] = [0.9, 0.05]
    mujoco.mj_forward(model, data)
    np.testing.assert_allclose([data.geom(name).xpos[:2] for name in names], places, atol=1e-12)
    np.testing.assert_allclose(data.body("goal").xpos[:2], [0.9, 0.05])
    # Forwards: the block in front is pushed straight on, all others stay.
    data.ctrl[:] = [2, 0, 0]
    mujoco.mj_step(model, data, 60)
    assert data.geom("obj3").xpos[0] > 0.45
    assert data.geom("obj3").xpos[1] == pytest.approx(0, abs=0.01)
    assert data.geom("obj3").xpos[0] > data.qpos[0] + 0.02 + 0.03 - 0.01
    np.testing.assert_allclose(data.qpos[[3, 4, 11, 12]], places[[0, 0, 4, 4], [0, 1, 0, 1]])


@pytest.mark.parametrize(
    ("body", "options", "message"),
    [
        *(
            (body, {"integrator": "rk5"}, "integrator to be one of euler, implicitfast, rk4; rec")
            for body in BODIES.values()
        ),
        *(
            (body, {"timestep": 0}, "timestep to be .*received timestep=0")
            for body in BODIES.values()
        ),
        (bodies.ant, {"timestep": float("nan")}, "timestep to be"),
        (bodies.ant, {"timestep": "fast"}, "timestep to be .*'fast'"),
        (bodies.ant, {"gear": -150}, "gear to be .*-150"),
        (bodies.ant, {"mass": 0}, "mass to be .*mass=0"),
        (bodies.ant, {"goal": [1, 2]}, "goal to be True or False; received goal="),
        (bodies.gym_reacher, {"gear": 0}, "gear to be .*gear=0"),
        (bodies.legged, {"gear": 0}, "gear to be .*gear=0"),
        (bodies.legged, {"legs": 5}, "legs to be one of 4, 6, 8; received legs=5"),
        (bodies.reacher, {"links": 3}, "links to be one of 2, 4; received links=3"),
        (bodies.reacher, {"links": [2]}, "links to be one of 2, 4; received links=.2."),
        (bodies.legged, {"leg": 4}, "did you mean legs"),
        (bodies.wheeled, {"drive": "jet"}, "drive to be one of servo, motor; received drive='jet'"),
    ],
)
def test_mistakes_are_told_in_one_line(body, options, message):
    with pytest.raises(ConfigError, match=message) as caught:
        body(**options)
    assert "\n" not in str(caught.value)
