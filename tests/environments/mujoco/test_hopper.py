"""The hopper as it is: a loop of MuJoCo's steps, what is paid, and where episodes end."""

import mujoco
import numpy as np
import pytest
import tensorflow as tf

from tests.environments.mujoco import playing
from tfcaml.environments import DirHopper, NormalHopper, NormalHopperConfig
from tfcaml.errors import ConfigError

FAMILIES = {"normal": NormalHopper(), "dir": DirHopper()}


def both(family):
    """A task of each direction."""
    return {"direction": tf.constant([1.0, -1.0])}


@pytest.mark.parametrize("name", FAMILIES)
def test_it_is_gymnasiums_hopper_and_is_paid_for_its_speed(name):
    """Two steps of 0.002 s each; of the simulator's plain loop, to the bit."""
    family, task = FAMILIES[name], both(FAMILIES[name])
    state, first = playing.start(family, task)
    model, data = family.model, mujoco.MjData(family.model)
    assert model.opt.gravity.tolist() == [0, 0, -9.81] and model.opt.timestep == 0.002
    assert first.shape == [2, 1, 11]
    data.qpos[:], data.qvel[:] = (
        playing.positions(family, state)[0],
        playing.velocities(family, state)[0],
    )
    control = np.random.default_rng(0).uniform(-1, 1, [30, 3])
    state = playing.put(family, state, data.qpos, data.qvel)
    for each in control.astype(np.float32):
        before = data.qpos[0]
        data.ctrl[:] = each
        for _ in range(2):
            mujoco.mj_step(model, data)
        state, seen, reward, ended = playing.step(
            family, task, state, each * family.config.action_range
        )
        if ended.any():
            break
        np.testing.assert_allclose(
            playing.positions(family, state)[0], data.qpos, rtol=1e-4, atol=1e-7
        )
        speed = (data.qpos[0] - before) / 0.004
        np.testing.assert_allclose(reward, [speed, -speed], rtol=1e-4, atol=1e-4)
        expected = np.concatenate([data.qpos[1:], np.clip(data.qvel, -10, 10)])
        np.testing.assert_allclose(seen[0], expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    "name, height, pitch, ends",
    [
        ("normal", 0.5, 0.0, True),
        ("normal", 1.2, 0.51, True),
        ("normal", 1.2, 0.45, False),
        ("dir", 0.5, 0.0, True),
        ("dir", 1.2, 0.9, False),
    ],
)
def test_where_episodes_end(name, height, pitch, ends):
    family = FAMILIES[name]
    state, _ = playing.start(family, both(family))
    positions = np.array([0.0, height, pitch, 0.0, 0.0, 0.0])
    state = playing.put(family, state, positions, np.zeros(6))
    assert playing.step(family, both(family), state)[-1].tolist() == [ends, ends]


def test_tasks():
    population = FAMILIES["dir"].population(0, 5)
    assert population.train["direction"].numpy().tolist() == [1, -1]
    assert population.test["direction"].numpy().tolist() == [1, -1, 1, -1, 1]
    population = FAMILIES["normal"].population(0, 2)
    assert population.train["direction"].numpy().tolist() == [1]
    assert population.test["direction"].numpy().tolist() == [1, 1] and population.draw is None


def test_options_that_make_no_sense_are_refused():
    for options in ({"max_pitch": 0.0}, {"min_height": -1.0}):
        with pytest.raises(ConfigError, match=next(iter(options))):
            NormalHopperConfig(**options)
