"""Robots with bodies of their own: what is drawn, and that physics follow it to the last bit."""

import copy
import dataclasses

import mujoco
import numpy as np
import pytest
import tensorflow as tf

from tests.environments.mujoco import playing
from tfcaml import keys, nest
from tfcaml.environments import (
    RandomHopper,
    RandomHopperConfig,
    RandomReacher,
    RandomReacherConfig,
    RandomWalker,
    RandomWalkerConfig,
)
from tfcaml.environments.mujoco.simulation import Robot
from tfcaml.errors import ConfigError

PROMP = {
    **{"horizon": 200, "frame_skip": 4, "mass_scale": 3.375, "inertia": "own"},
    **{"friction_scale": 3.375, "damping_scale": 2.197, "radius_scale": 1.0},
    **{"min_gravity": 9.81, "max_gravity": 9.81, "scales": "log_uniform"},
    **{"alive_bonus": 1.0, "control_cost": 0.001, "max_pitch": 0.2},
}
ALL = {"damping_scale": 1.5, "strength_scale": 2.0}
FAMILIES = {
    "hopper": RandomHopper(),
    "hopper_promp": RandomHopper(RandomHopperConfig(**PROMP)),
    "hopper_as_mass": RandomHopper(RandomHopperConfig(inertia="as_mass", damping_scale=2.0)),
    "walker": RandomWalker(),
    "walker_promp": RandomWalker(RandomWalkerConfig(**PROMP)),
    "reacher": RandomReacher(),
    "reacher_all": RandomReacher(RandomReacherConfig(**ALL)),
}
FALL = {"radius_scale": 1.0, "mass_scale": 1.0, "friction_scale": 1.0}


@pytest.fixture(params=FAMILIES)
def family(request):
    return FAMILIES[request.param]


def legs(body, **options):
    kind = RandomHopper if body == "hopper" else RandomWalker
    return kind(kind.Config(**options))


# What is drawn.


def drawn(family, num=400):
    return nest.map(np.asarray, family.population(0, num).test)


def test_scales_of_epg():
    """U(1/2, 2), and gravity U(2, 20)."""
    for family, bodies in ((FAMILIES["hopper"], 4), (FAMILIES["walker"], 7)):
        task = drawn(family)
        shapes = {"mass": (bodies,), "friction": (bodies + 1, 3), "radius": (bodies,)}
        assert {name: x.shape[1:] for name, x in task.items()} == {**shapes, "gravity": ()}
        for name in shapes:
            assert 0.5 <= task[name].min() < 0.51 and 1.99 < task[name].max() <= 2
            assert abs(task[name].mean() - 1.25) < 0.04
        gravity = task["gravity"]
        assert 2 <= gravity.min() < 2.2 and 19.8 < gravity.max() <= 20
        assert abs(gravity.mean() - 11) < 1


def test_scales_of_promp():
    """1.5 to the power of U(-3, 3) for masses, inertias and friction; 1.3 for damping."""
    task = drawn(FAMILIES["walker_promp"])
    for name, base in {"mass": 1.5, "inertia": 1.5, "friction": 1.5, "damping": 1.3}.items():
        power = np.log(task.pop(name)) / np.log(base)
        assert -3.001 < power.min() < -2.95 and 2.95 < power.max() < 3.001
        assert abs(power.mean()) < 0.15 and abs(power.std() - 3 / np.sqrt(3)) < 0.1
    assert task == {}
    assert FAMILIES["hopper_promp"].model.opt.gravity.tolist() == [0, 0, -9.81]


def test_links_of_arms():
    task = drawn(FAMILIES["reacher_all"])
    assert {name: x.shape[1:] for name, x in task.items()} == dict.fromkeys(task, (2,))
    for name, low, high in (("length", 0.5, 1.5), ("damping", 2 / 3, 1.5), ("strength", 0.5, 2)):
        assert low <= task[name].min() < low + 0.02 and high - 0.02 < task[name].max() <= high
    assert set(drawn(FAMILIES["reacher"])) == {"length"}


@pytest.mark.parametrize(
    "config, options, message",
    [
        (RandomHopperConfig, {"mass_scale": 0.5}, r"mass_scale to be >= 1; .*mass_scale=0\.5"),
        (RandomHopperConfig, {"inertia": "none"}, "inertia to be one of fixed, as_mass, own"),
        (RandomHopperConfig, {"scales": "normal"}, "scales to be one of uniform, log_uniform"),
        (RandomHopperConfig, {"max_gravity": 1.0}, r"max_gravity to be at least min_gravity=2\.0"),
        (RandomHopperConfig, {"min_gravity": -1.0}, "min_gravity to be >= 0"),
        (
            RandomHopperConfig,
            {"mass_scale": 1.0, "inertia": "own"},
            "inertia to be left at 'fixed'",
        ),
        (RandomHopperConfig, {**FALL, "scales": "log_uniform"}, "scales to be left at 'uniform'"),
        (RandomHopperConfig, {**FALL, "max_gravity": 2.0}, r"max_gravity to be above 2\.0, or"),
        (RandomWalkerConfig, {"control_cost": -1.0}, "control_cost to be >= 0"),
        (RandomWalkerConfig, {"max_pitch": 0.0}, "max_pitch to be > 0"),
        (RandomReacherConfig, {"max_length": 0.5}, r"max_length to be above min_length=0\.5"),
        (RandomReacherConfig, {"scales": "log_uniform"}, "scales to be left at 'uniform'"),
    ],
)
def test_options_that_make_no_sense_are_refused(config, options, message):
    with pytest.raises(ConfigError, match=message):
        config(**options)


# What it does.


def own_model(family, task):
    """A model of the one task [1, ...], edited by hand as MuJoCo's users do it."""
    model, task = copy.copy(family.model), {k: np.float64(v[0]) for k, v in task.items()}
    solid = [i for i in range(model.ngeom) if model.geom(i).name not in ("lines", "goal", "root")]
    solid = [i for i in solid if model.geom_contype[i] or model.geom_conaffinity[i]]
    if "mass" in task:
        model.body_mass[1:] *= task["mass"]
    inertia = getattr(family.config, "inertia", "fixed")
    if inertia == "own":
        model.body_inertia[1:] *= task["inertia"]
    elif inertia == "as_mass":
        model.body_inertia[1:] *= task["mass"][:, None]
    if "friction" in task:
        model.geom_friction[solid] *= task["friction"]
    if "damping" in task:
        first = 0 if "length" in task else 3
        model.dof_damping[first : first + len(task["damping"])] *= task["damping"]
    if "gravity" in task:
        model.opt.gravity[:] = [0, 0, -task["gravity"]]
    return model, solid, task


def by_mujoco(family, model, start, control):
    """Positions and velocities after each step: a plain loop of `mj_step`."""
    data, rows, touched = mujoco.MjData(model), [], False
    data.qpos[:], data.qvel[:] = np.split(start[: model.nq + model.nv], [model.nq])
    for each in control:
        data.ctrl[:] = each
        for _ in range(family.config.frame_skip):
            mujoco.mj_step(model, data)
            touched |= data.ncon > 0
        rows.append(np.concatenate([data.qpos, data.qvel]))
    assert touched == (not isinstance(family, RandomReacher))
    return np.array(rows)


def played(family, task, control):
    """(first row [N, S], positions and velocities after each step [T, N, nq + nv])."""
    state, _ = playing.start(family, task)
    first, rows = state["row"].numpy()[:, 0], []
    for each in control:
        state, *_ = playing.step(family, task, state, each * family.config.action_range)
        kept = {"still": tf.zeros_like(state["still"])}  # on after its end, too
        state = {**state, **kept}
        parts = [playing.positions(family, state), playing.velocities(family, state)]
        rows.append(np.concatenate(parts, axis=1))
    return first, np.array(rows)


def random_controls(family, steps=60):
    rng = np.random.default_rng(1)
    return rng.choice([-1, -0.5, 0, 0.25, 1.0], [steps, family.model.nu])


@pytest.mark.parametrize("name", [name for name in FAMILIES if "reacher" not in name])
def test_rows_are_separate_models(name):
    """To the bit, with contacts: one row of each task against a model edited for it."""
    family = FAMILIES[name]
    task = family.population(0, 3).test
    control = random_controls(family)
    first, found = played(family, task, control)
    for row in range(3):
        one = nest.map(lambda x, row=row: np.asarray(x)[row : row + 1], task)
        model, solid, numbers = own_model(family, one)
        if "radius" in numbers:
            for index, scale in zip(solid[1:], numbers["radius"], strict=True):
                radius, half, _ = model.geom_size[index]
                grown = radius * scale
                model.geom_size[index, 0] = grown
                model.geom_rbound[index] = grown + half
                model.geom_aabb[index, 3:] = [grown, grown, grown + half]
        mujoco.mj_setConst(model, mujoco.MjData(model))
        expected = by_mujoco(family, model, first[row], control)
        np.testing.assert_array_equal(found[:, row], expected)
    assert len(np.unique(found[-1, :, 0])) == 3


def compiled_with_radii(family, one):
    """A model compiled from a body whose shapes have the radii of a task, and the masses of it."""
    spec, base = family.spec(), family.model
    spec.option.timestep = base.opt.timestep
    spec.option.integrator = base.opt.integrator
    scale = iter(np.float64(one["radius"][0]))
    for geom in spec.geoms:
        if geom.type == mujoco.mjtGeom.mjGEOM_CAPSULE:
            geom.size[0] *= next(scale)
    model = spec.compile()
    model.body_mass[:], model.body_inertia[:] = base.body_mass, base.body_inertia
    return model


@pytest.mark.parametrize("body", ["hopper", "walker"])
def test_radii_are_as_if_compiled(body):
    """All that MuJoCo keeps of a shape follows its radius, what it looks at first among it."""
    options = {**FALL, "radius_scale": 2.0, "min_gravity": 9.81, "max_gravity": 9.81}
    family = legs(body, **options)
    task = family.population(0, 3).test
    control = random_controls(family)
    first, found = played(family, task, control)
    for row in range(3):
        one = nest.map(lambda x, row=row: np.asarray(x)[row : row + 1], task)
        model = compiled_with_radii(family, one)
        mujoco.mj_setConst(model, mujoco.MjData(model))
        fields = family.physics(one)
        for name in ("geom_size", "geom_rbound", "geom_aabb"):
            np.testing.assert_allclose(fields[name][0], getattr(model, name), rtol=1e-12)
        expected = by_mujoco(family, model, first[row], control)
        np.testing.assert_allclose(found[:, row], expected, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("name", ["reacher", "reacher_all"])
def test_arms_are_as_if_compiled(name):
    """Links of other lengths have the masses and inertias that MuJoCo gives them."""
    family = FAMILIES[name]
    task = family.population(0, 3).test
    control = random_controls(family, 30)
    first, found = played(family, task, control)
    for row in range(3):
        one = nest.map(lambda x, row=row: np.asarray(x)[row : row + 1], task)
        spec = family.spec()
        length = 0.1 * np.float64(one["length"][0])
        for index in range(2):
            geom = spec.geom(f"link{index}")
            geom.fromto = [0, 0, 0, length[index], 0, 0]
        spec.body("body1").pos[0] = length[0]
        spec.body("fingertip").pos[0] = length[1] + 0.01
        model = spec.compile()
        fields = family.physics(one)
        for field in fields.keys() - {"dof_damping", "geom_size"}:
            np.testing.assert_allclose(
                fields[field][0], getattr(model, field), rtol=1e-9, atol=1e-12, err_msg=field
            )
        model.dof_damping[:2] *= np.float64(one["damping"][0]) if "damping" in one else 1
        model.opt.timestep, model.opt.integrator = 0.01, mujoco.mjtIntegrator.mjINT_EULER
        strength = one["strength"][0] if "strength" in one else 1
        expected = by_mujoco(family, model, first[row], np.float32(control) * strength)
        np.testing.assert_allclose(found[:, row], expected, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("name", ["reacher", "reacher_all"])
def test_the_fingertip_is_where_mujoco_has_it(name):
    family = FAMILIES[name]
    task = nest.take(family.population(0, 2).test, [1])
    state, seen = playing.start(family, task)
    model = copy.copy(family.model)
    for field, value in family.physics(task).items():
        getattr(model, field)[:] = value[0]
    data = mujoco.MjData(model)
    data.qpos[:] = playing.positions(family, state)[0]
    mujoco.mj_kinematics(model, data)
    angle, target = data.qpos[:2], data.qpos[2:]
    np.testing.assert_allclose(seen[0, 0, :6], [*np.cos(angle), *np.sin(angle), *target], 1e-5)
    np.testing.assert_allclose(seen[0, 0, 6:8], playing.velocities(family, state)[0, :2], 1e-5)
    offset = data.body("fingertip").xpos[:2] - target
    np.testing.assert_allclose(seen[0, 0, 8:], offset, atol=1e-6)


# What follows from a law.


def thrown(family, task, steps=5):
    """Heights [steps, N] above the start, of robots high up that are not moved."""
    state, _ = playing.start(family, task)
    positions = np.tile(family.pose(), [nest.leading(task), 1])
    positions[:, 1] = 1.9
    state, heights = playing.put(family, state, positions, np.zeros(family.model.nv)), []
    for _ in range(steps):
        state, *_ = playing.step(family, task, state)
        heights.append(playing.positions(family, state)[:, 1] - 1.9)
    return np.array(heights)


@pytest.mark.parametrize("body", ["hopper", "walker"])
def test_a_fall_is_as_gravity_has_it(body):
    """By Euler's method: g dt^2 k (k + 1) / 2 after k steps, whatever a robot weighs."""
    family = legs(body, **{**FALL, "mass_scale": 2.0}, inertia="as_mass")
    task = family.population(0, 4).test
    count = np.arange(1, 6)[:, None] * family.config.frame_skip
    gravity = task["gravity"].numpy().astype(np.float64)
    expected = -gravity * family.config.timestep**2 * count * (count + 1) / 2
    np.testing.assert_allclose(thrown(family, task), expected, rtol=1e-6)


def test_motors_turn_heavier_links_less():
    """An upright motor's angular acceleration is its torque by its inertia."""
    family = FAMILIES["reacher_all"]
    task = {
        "length": tf.constant([[1.0, 1.0], [1.0, 1.0], [1.5, 1.5]]),
        "damping": tf.ones([3, 2]),
        "strength": tf.constant([[1.0, 1.0], [0.5, 0.5], [1.0, 1.0]]),
    }
    state, _ = playing.start(family, task)
    state = playing.put(family, state, np.zeros(4), np.zeros(4))
    action = [family.config.action_range * 1e-3, 0.0]
    state, *_ = playing.step(family, task, state, action)
    speed = playing.velocities(family, state)[:, 0]
    np.testing.assert_allclose(speed[1], 0.5 * speed[0], rtol=1e-6)
    assert speed[2] < speed[0]
    # Armature 1, less than a hundredth of it by the links, damping 1: 0.2 N m for 0.02 s.
    assert abs(speed[0] / (0.2 * 0.02) - 1) < 0.03


def test_damping_slows_by_its_scale():
    """A free joint's speed falls as exp(-damping t / inertia)."""
    family = FAMILIES["reacher_all"]
    task = {
        "length": tf.ones([2, 2]),
        "damping": tf.constant([[1.0, 1.0], [1.5, 1.5]]),
        "strength": tf.ones([2, 2]),
    }
    state, _ = playing.start(family, task)
    state = playing.put(family, state, np.zeros(4), [1.0, 0, 0, 0])
    for _ in range(10):
        state, *_ = playing.step(family, task, state)
    rate = -np.log(playing.velocities(family, state)[:, 0]) / 0.2
    np.testing.assert_allclose(rate, [1, 1.5], rtol=0.02)


# Observations, rewards and ends.


def body_at(family, positions, velocities):
    cast = lambda x: tf.constant(np.asarray(x)[:, None], tf.float32)
    return Robot(cast(positions), cast(velocities), tf.zeros([len(positions), 1, 0]))


@pytest.mark.parametrize("name", ["hopper", "hopper_promp", "walker", "walker_promp"])
def test_legs_are_paid_for_their_speed(name):
    family = FAMILIES[name]
    task = family.population(0, 2).test
    state, _ = playing.start(family, task)
    before = playing.positions(family, state)[:, 0]
    action = np.linspace(-15, 5, family.model.nu)
    state, seen, reward, _ = playing.step(family, task, state, action)
    positions = playing.positions(family, state)
    speed = (positions[:, 0] - before) / (0.002 * family.config.frame_skip)
    promp = "promp" in name
    cost = 1e-3 * np.sum(np.clip(action / 10, -1, 1) ** 2)
    np.testing.assert_allclose(reward, speed + (1 - cost if promp else 0), rtol=1e-5)
    velocities = np.clip(playing.velocities(family, state), -10, 10)
    expected = np.concatenate([positions[:, 1:], velocities], axis=1)
    np.testing.assert_allclose(seen, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    "body, height, pitch, highest", [("hopper", 0.7, 0.5, None), ("walker", 0.8, 1.0, 2.0)]
)
def test_legs_end_where_they_fall(body, height, pitch, highest):
    family = FAMILIES[body]
    base, size = family.pose(), family.model.nv
    cases = [
        (1, height - 0.01, 0, True),
        (1, height + 0.01, 0, False),
        (2, -pitch - 0.01, 0, True),
        (2, pitch - 0.01, 0, False),
        (1, 1.99, 0, False),
        (1, 2.01, 0, highest is not None),
        (1, 1.2, 99.0, False),
        (1, 1.2, -101.0, True),
    ]
    positions, velocities = np.tile(base, [len(cases), 1]), np.zeros([len(cases), size])
    for row, (index, value, speed, _) in enumerate(cases):
        positions[row, index], velocities[row, 3] = value, speed
    ended = family.ended({}, body_at(family, positions, velocities))[:, 0].numpy()
    assert ended.tolist() == [each[-1] for each in cases]


def test_arms_are_paid_for_their_distance():
    family = FAMILIES["reacher"]
    task = family.population(0, 3).test
    state, _ = playing.start(family, task)
    state, seen, reward, ended = playing.step(family, task, state, [3.0, -20.0])
    expected = -np.linalg.norm(seen[:, 8:], axis=1) - (0.3**2 + 1)
    np.testing.assert_allclose(reward, expected, rtol=1e-5)
    assert not ended.any()


def test_targets_of_arms_are_drawn_for_each_episode_and_lie_still():
    family = FAMILIES["reacher"]
    task = family.population(0, 1).test
    key = keys.per_episode(keys.from_int(0), 1, 60)
    state, seen = family.reset(task, keys.salted(key, keys.RESET))
    target = seen[0, :, 4:6].numpy()
    radius = np.linalg.norm(target, axis=1)
    assert len(np.unique(target[:, 0])) == 60 and 0.18 < radius.max() < 0.2
    assert abs(np.mean(radius**2) - 0.02) < 0.005  # uniform in the disc
    for _ in range(20):
        state, seen, *_ = family.step(task, state, tf.fill([1, 60, 2], 5.0), tf.zeros([1, 60, 0]))
    np.testing.assert_array_equal(seen[0, :, 4:6], target)


def test_defaults_are_those_of_the_sources():
    hopper, walker = RandomHopperConfig(), RandomWalkerConfig()
    assert hopper.frame_skip * hopper.timestep == 0.004
    differ = {
        field.name
        for field in dataclasses.fields(hopper)
        if getattr(hopper, field.name) != getattr(walker, field.name)
    }
    assert differ == {"frame_skip", "min_height", "max_pitch"}


def test_a_family_s_physics_are_its_own(family):
    """Every leaf of a task changes a field, or the strength of motors."""
    task = family.population(0, 2).test
    for name in task:
        moved = {**task, name: task[name] * 1.01}
        before, after = family.physics(task), family.physics(moved)
        fields = [np.any(before[field] != after[field]) for field in before]
        strength = np.any(np.asarray(family.strength(task)) != family.strength(moved))
        assert any(fields) or strength, name
