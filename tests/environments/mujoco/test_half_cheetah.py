"""Half-cheetahs: observations, rewards and starts by hand."""

import mujoco
import numpy as np
import pytest
import tensorflow as tf

from tfcaml import environments, keys, nest
from tfcaml.environments import ENVIRONMENTS
from tfcaml.environments.mujoco.half_cheetah import FORMS

NAMES = ("half_cheetah_direction", "half_cheetah_velocity")


@pytest.fixture(scope="module")
def steps():
    """(name, form) -> (family, task, state, action, what the step gave)."""
    made = {}
    for name in NAMES:
        for form in FORMS:
            family, options = ENVIRONMENTS[name]
            family = family(options(form=form, horizon=3))
            task = family.population(0, 4).test
            key = keys.salted(keys.per_episode(keys.from_int(1), 4, 3), keys.RESET)
            state, observation = family.reset(task, key)
            action = tf.constant(np.random.default_rng(2).uniform(-15, 15, [4, 3, 6]), tf.float32)
            outcome = family.step(task, state, action, None)
            made[name, form] = family, task, state, observation, action, outcome
    return made


def center_of_mass(family, row):
    """Place and velocity of the centre of mass, [N, E, 3] each, by MuJoCo one by one."""
    model = family.model
    found = np.zeros([2, *row.shape[:2], 3])
    for n, e in np.ndindex(*row.shape[:2]):
        data = mujoco.MjData(model)
        data.qpos[:], data.qvel[:] = row[n, e, :9], row[n, e, 9:18]
        mujoco.mj_forward(model, data)
        mujoco.mj_subtreeVel(model, data)
        torso = model.body("torso").id
        found[:, n, e] = data.subtree_com[torso], data.subtree_linvel[torso]
    return found


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("form", FORMS)
def test_rewards_and_observations_by_hand(steps, name, form):
    family, task, state, first, action, (later, observation, reward, terminated) = steps[name, form]
    before, after = np.asarray(state["row"]), np.asarray(later["row"])
    control = np.clip(np.asarray(action) / 10, -1, 1)
    place, velocity = center_of_mass(family, after)
    speed = (after - before)[..., 0] / 0.05 if form == "promp" else velocity[..., 0]
    if name == "half_cheetah_direction":
        wanted = speed * np.asarray(task["direction"])[:, None]
    else:
        wanted = -np.abs(speed - np.asarray(task["speed"])[:, None])
    expected = wanted - 0.05 * (control**2).sum(axis=-1)
    np.testing.assert_allclose(reward, expected, rtol=1e-4, atol=1e-4)
    seen = [after[..., 1:18], *([place] if form == "maml" else [])]
    np.testing.assert_allclose(observation, np.concatenate(seen, axis=-1), rtol=1e-5, atol=1e-5)
    assert first.shape == observation.shape == (4, 3, 17 if form == "promp" else 20)
    if form == "maml":
        started = center_of_mass(family, before)[0]
        np.testing.assert_allclose(first[..., 17:], started, rtol=1e-5, atol=1e-5)
    assert not np.any(terminated)


@pytest.mark.parametrize("form", FORMS)
def test_starts_are_spread_as_in_the_code_of_the_form(form):
    family, options = ENVIRONMENTS[NAMES[0]]
    family = family(options(form=form))
    task = nest.take(family.population(0).test, [0])
    key = keys.salted(keys.per_episode(keys.from_int(1), 1, 1000), keys.RESET)
    row = np.asarray(family.reset(task, key)[0]["row"])[0]
    position, velocity, rest = np.split(row, [9, 18], axis=-1)
    spread = 0.1 / np.sqrt(3) if form == "promp" else 0.01
    np.testing.assert_allclose(position.std(axis=0), spread, rtol=0.1)
    low, high = (0.099, 0.1) if form == "promp" else (0.03, 0.06)  # a uniform or normal noise
    assert low < np.abs(position).max() < high
    np.testing.assert_allclose(velocity.std(axis=0), 0.1, rtol=0.1)
    assert np.abs(row.mean(axis=0)).max() < 0.015 and not rest.any()
    assert abs(np.corrcoef(position[:, 0], velocity[:, 0])[0, 1]) < 0.1


def test_both_directions_are_learned_from_and_tested():
    family = environments.HalfCheetahDirection()
    population = family.population(0, 3)
    assert population.train["direction"].numpy().tolist() == [1, -1]
    assert population.test["direction"].numpy().tolist() == [1, -1, 1]
    assert population.train_group.tolist() == [0, 1] and population.test_group.tolist() == [0, 1, 0]
    drawn = population.sample(400, keys.from_int(0))[0]["direction"].numpy()
    assert set(drawn) == {1, -1} and abs(drawn.mean()) < 0.2


def test_speeds_are_those_of_the_options():
    for options, low, high in (({}, 0, 3), ({"lowest_speed": 0.1, "highest_speed": 0.8}, 0.1, 0.8)):
        family = environments.HalfCheetahVelocity(environments.HalfCheetahVelocityConfig(**options))
        population = family.population(0, 200)
        drawn = population.sample(200, keys.from_int(0))[0]
        for task in (population.test, drawn):
            speed = task["speed"].numpy()
            assert speed.min() >= low and speed.max() < high
            assert abs(speed.mean() - (low + high) / 2) < 0.1 * (high - low)
        assert not environments.base.overlap(drawn, population.test)
