"""The engine is a pure function of rows: MuJoCo's own numbers, to the bit, whatever is beside."""

import mujoco
import numpy as np
import pytest

from tfcaml.environments.mujoco import engine, parts
from tfcaml.environments.mujoco.bodies import ants, cheetahs

BODIES = {"half_cheetah": cheetahs.half_cheetah, "ant": ants.ant}
NUM_ROWS, NUM_STEPS, SKIP = 12, 15, 3


def compiled(name, integrator="mjINT_EULER", sensors=False):
    spec = BODIES[name]()
    spec.option.integrator = getattr(mujoco.mjtIntegrator, integrator)
    if sensors:
        parts.sense_center_of_mass(spec, "torso")
    return spec.compile()


def start(model, seed=0, num_rows=NUM_ROWS):
    """(rows [R, S], controls [T, R, A])."""
    rng = np.random.default_rng(seed)
    size = model.nq + 2 * model.nv + model.na
    rows = np.zeros([num_rows, size])
    rows[:, : model.nq] = model.qpos0
    rows[:, : model.nq + model.nv] += rng.normal(0, 0.1, [num_rows, model.nq + model.nv])
    return rows, rng.uniform(-1, 1, [NUM_STEPS, num_rows, model.nu])


def played(rows, controls, made, physics=()):
    """States [T, R, S] and sensors [T, R, M] of an engine."""
    still, states, sensors = np.zeros(len(rows), bool), [], []
    for control in controls:
        rows, diverged, sensed = made.step(rows, control, still, dict(physics))
        assert not diverged.any()
        states.append(rows)
        sensors.append(sensed)
    return np.stack(states), np.stack(sensors)


def stepped_one_by_one(models, rows, controls):
    """States [T, R, S] by MuJoCo's own step, a simulation after the other."""
    states = np.zeros([len(controls), *rows.shape])
    for i, (model, row) in enumerate(zip(models, rows)):
        data = mujoco.MjData(model)
        ends = np.cumsum([model.nq, model.nv])
        data.qpos[:], data.qvel[:], data.qacc_warmstart[:] = np.split(row, ends)
        for time, control in enumerate(controls[:, i]):
            data.ctrl[:] = control
            for _ in range(SKIP):
                mujoco.mj_step(model, data)
            states[time, i] = np.concatenate([data.qpos, data.qvel, data.qacc_warmstart])
    return states


@pytest.mark.parametrize("integrator", ["mjINT_EULER", "mjINT_IMPLICITFAST", "mjINT_RK4"])
@pytest.mark.parametrize("name", BODIES)
def test_it_is_a_plain_loop_of_steps(name, integrator):
    model = compiled(name, integrator)
    rows, controls = start(model)
    found, _ = played(rows, controls, engine.Engine(model, SKIP, 2))
    assert np.ptp(found[-1][:, 0]) > 0
    expected = stepped_one_by_one([model] * NUM_ROWS, rows, controls)
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("threads", [1, 2, 4])
def test_threads_and_the_rows_beside_change_nothing(threads):
    model = compiled("ant")
    rows, controls = start(model)
    expected, _ = played(rows, controls, engine.Engine(model, SKIP, 1))
    made = engine.Engine(model, SKIP, threads)
    np.testing.assert_array_equal(played(rows, controls, made)[0], expected)
    for part in (slice(0, 1), slice(2, 9), slice(9, None)):
        found, _ = played(rows[part], controls[:, part], made)
        np.testing.assert_array_equal(found, expected[:, part])
    backwards, _ = played(rows[::-1], controls[:, ::-1], made)
    np.testing.assert_array_equal(backwards[:, ::-1], expected)


@pytest.mark.parametrize("bad", [np.nan, np.inf, 1e12])
@pytest.mark.parametrize("field", ["qpos", "qvel"])
@pytest.mark.parametrize("sensors", [False, True])
def test_a_bad_row_is_counted_and_contained(sensors, field, bad, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # where MuJoCo would write a line for each
    model = compiled("half_cheetah", sensors=sensors)
    rows, controls = start(model)
    expected, _ = played(rows, controls[:1], engine.Engine(model, SKIP, 2))
    spoilt = rows.copy()
    spoilt[3, (0 if field == "qpos" else model.nq) + 2] = bad
    made = engine.Engine(model, SKIP, 2)
    found, diverged, _ = made.step(spoilt, controls[0], np.zeros(NUM_ROWS, bool), {})
    assert np.flatnonzero(diverged).tolist() == [3]
    assert made.faults == {"diverged_episodes": 1}
    np.testing.assert_array_equal(found[3], spoilt[3])  # as it was
    others = np.arange(NUM_ROWS) != 3
    np.testing.assert_array_equal(found[others], expected[0][others])
    # The same memory is used again, and has kept nothing of it.
    np.testing.assert_array_equal(played(rows, controls[:1], made)[0], expected)
    assert not list(tmp_path.iterdir())


def test_rows_that_are_still_stay_and_are_not_counted():
    model = compiled("half_cheetah")
    rows, controls = start(model)
    rows[0] = np.nan
    still = np.arange(NUM_ROWS) < 4
    made = engine.Engine(model, SKIP, 2)
    found, diverged, _ = made.step(rows, controls[0], still, {})
    np.testing.assert_array_equal(found[still], rows[still])
    assert not diverged.any() and not made.faults["diverged_episodes"]
    assert not np.any(found[~still] == rows[~still], axis=1).all()
    found, _, _ = made.step(rows, controls[0], np.ones(NUM_ROWS, bool), {})
    np.testing.assert_array_equal(found, rows)


def test_sensors_are_those_of_the_state_they_come_with():
    model = compiled("half_cheetah", sensors=True)
    rows, controls = start(model)
    made = engine.Engine(model, SKIP, 2)
    states, sensors = played(rows, controls, made)
    assert np.ptp(sensors) > 0
    for state, sensed in zip(states, sensors):
        np.testing.assert_array_equal(made.sense(state, {}), sensed)
        data = mujoco.MjData(model)
        data.qpos[:], data.qvel[:] = state[0, : model.nq], state[0, model.nq :][: model.nv]
        mujoco.mj_forward(model, data)
        np.testing.assert_array_equal(data.sensordata, sensed[0])
    still = np.arange(NUM_ROWS) % 2 == 0
    _, _, sensed = made.step(states[0], controls[1], still, {})
    np.testing.assert_array_equal(sensed[still], sensors[0][still])
    np.testing.assert_array_equal(sensed[~still], sensors[1][~still])


def test_every_row_has_the_physics_it_is_given():
    """Own masses, gravity and friction are those of models that were made with them."""
    model = compiled("ant")
    rows, controls = start(model, num_rows=4)
    scale = np.array([1.0, 0.5, 2.0, 3.0])
    gravity = np.array([[0, 0, g] for g in (-9.81, -1.0, -5.0, -20.0)])
    physics = {
        "body_mass": model.body_mass * scale[:, None],
        "body_inertia": model.body_inertia * scale[:, None, None],
        "geom_friction": model.geom_friction * scale[::-1, None, None],
        "opt.gravity": gravity,
    }
    own = []
    for i in range(4):
        each = compiled("ant")
        each.body_mass[:], each.body_inertia[:] = (
            physics["body_mass"][i],
            physics["body_inertia"][i],
        )
        each.geom_friction[:], each.opt.gravity[:] = physics["geom_friction"][i], gravity[i]
        mujoco.mj_setConst(each, mujoco.MjData(each))
        own.append(each)
    expected = stepped_one_by_one(own, rows, controls)
    made = engine.Engine(model, SKIP, 2)
    np.testing.assert_array_equal(played(rows, controls, made, physics)[0], expected)
    # Other physics in the same memory, and none.
    turned = {name: value[::-1] for name, value in physics.items()}
    found, _ = played(rows[::-1], controls[:, ::-1], made, turned)
    np.testing.assert_array_equal(found[:, ::-1], expected)
    plain = stepped_one_by_one([model] * 4, rows, controls)
    np.testing.assert_array_equal(played(rows, controls, made)[0], plain)


def test_as_many_threads_as_tensorflow_has(monkeypatch):
    monkeypatch.setenv("TF_NUM_INTRAOP_THREADS", "3")
    assert engine.default_threads() == 3
