"""Ants: observations, rewards and ends by hand."""

import mujoco
import numpy as np
import pytest
import tensorflow as tf

from tfcaml import environments, keys, nest
from tfcaml.environments import ENVIRONMENTS

CASES = [
    ("ant_velocity", None),
    ("ant_direction", "maml"),
    ("ant_direction", "promp"),
    ("ant_goal", "maml"),
    ("ant_goal", "promp"),
    ("goal_ant", None),
]
MAML = [("ant_velocity", None), ("ant_direction", "maml"), ("ant_goal", "maml")]


def made(name, form, **changes):
    family, options = ENVIRONMENTS[name]
    return family(options(**({"form": form} if form else {}), **changes))


def started(family, task, num_episodes=3):
    key = keys.per_episode(keys.from_int(1), nest.leading(task), num_episodes)
    return family.reset(task, keys.salted(key, keys.RESET))


def torso(family, row):
    """Centre of mass, its velocity, and axes of the torso, by MuJoCo one by one."""
    model = family.model
    found = np.zeros([*row.shape[:2], 15])
    for n, e in np.ndindex(*row.shape[:2]):
        data = mujoco.MjData(model)
        data.qpos[:], data.qvel[:] = row[n, e, :15], row[n, e, 15:29]
        mujoco.mj_forward(model, data)
        mujoco.mj_subtreeVel(model, data)
        body = model.body("torso").id
        axes = data.xmat[body].reshape(3, 3).T.ravel()
        found[n, e] = [*data.subtree_com[body], *data.subtree_linvel[body], *axes]
    return np.split(found, [3, 6], axis=-1)


@pytest.mark.parametrize("name, form", CASES)
def test_rewards_and_observations_by_hand(name, form):
    family = made(name, form, horizon=3)
    task = family.population(0, 4).test
    state, first = started(family, task)
    action = tf.constant(np.random.default_rng(2).uniform(-15, 15, [4, 3, 8]), tf.float32)
    later, observation, reward, _ = family.step(task, state, action, None)
    before, after = np.asarray(state["row"]), np.asarray(later["row"])
    squares = (np.clip(np.asarray(action) / 10, -1, 1) ** 2).sum(axis=-1)
    center, speed, axes = torso(family, after)
    moved = (after - before)[..., :2] / 0.05
    of = lambda key: np.asarray(task[key])[:, None]
    maml = (name, form) in MAML
    if name == "ant_velocity":
        expected = 1 - np.abs(speed[..., 0] - of("speed")) - 0.005 * squares + 0.05
    elif name == "ant_direction":
        along = ((speed[..., :2] if maml else moved) * of("direction")).sum(axis=-1)
        expected = along - 0.005 * squares + 0.05 if maml else along + 1 - 0.5 * squares
    elif name == "ant_goal":
        away = np.abs((center if maml else after)[..., :2] - of("goal")).sum(axis=-1)
        expected = 4 - away - 0.005 * squares + 0.05 if maml else -away - 0.1 * squares
    else:
        away = lambda row: np.linalg.norm(row[..., :2] - of("goal"), axis=-1)
        expected = (away(before) - away(after)) / 0.05
    np.testing.assert_allclose(reward, expected, rtol=1e-4, atol=2e-4)
    skipped = 2 if (name, form) == ("ant_direction", "promp") else 0
    seen = [after[..., skipped:29], *([axes, center] if maml else [])]
    np.testing.assert_allclose(observation, np.concatenate(seen, axis=-1), rtol=1e-4, atol=1e-4)
    assert first.shape == observation.shape


@pytest.mark.parametrize("name, form", CASES)
def test_episodes_end_where_the_ant_has_fallen(name, form):
    family = made(name, form)
    task = family.population(0, 2).test
    state, _ = started(family, task)
    row = np.asarray(state["row"]).copy()
    row[0, :, 2] = 0.5, 0.19, 1.3
    body = family._body(tf.constant(row), state["sensors"])
    ended = np.asarray(family.ended(task, body))[0].tolist()
    never = (name, form) == ("ant_goal", "promp")
    assert ended == [False, (name, form) in MAML, not never]


def test_directions():
    maml = made("ant_direction", "maml")
    population = maml.population(0, 3)
    assert not maml.holds_out
    expected = [[1, 0], [-1, 0], [1, 0]]
    np.testing.assert_allclose(population.test["direction"], expected, atol=1e-6)
    assert population.test_group.tolist() == [0, 1, 0]
    drawn = population.sample(200, keys.from_int(0))[0]["direction"].numpy()
    np.testing.assert_allclose(np.abs(drawn[:, 0]), 1, atol=1e-6)
    assert abs(drawn[:, 0].mean()) < 0.25
    promp = made("ant_direction", "promp")
    assert promp.holds_out
    drawn = promp.population(0).sample(200, keys.from_int(0))[0]["direction"].numpy()
    np.testing.assert_allclose(np.linalg.norm(drawn, axis=-1), 1, rtol=1e-5)
    assert np.abs(drawn.mean(axis=0)).max() < 0.2


def test_goals():
    square = made("ant_goal", "maml").population(0, 300).test["goal"].numpy()
    assert np.abs(square).max() <= 3 and np.linalg.norm(square, axis=-1).max() > 3
    disc = made("ant_goal", "promp").population(0, 300).test["goal"].numpy()
    radius = np.linalg.norm(disc, axis=-1)
    assert radius.max() <= 3 and abs((radius < 1.5).mean() - 0.25) < 0.08  # even over the disc
    population = made("goal_ant", None).population(0, 6)
    assert list(population.test_set) == ["ahead", "behind"] * 3
    goal = population.test["goal"].numpy()
    assert (np.sign(goal[:, 0]) == [1, -1] * 3).all() and not goal[:, 1].any()
    drawn = population.sample(200, keys.from_int(0))[0]["goal"].numpy()
    assert drawn[:, 0].min() >= 2 and drawn[:, 0].max() < 5


def test_gear_is_the_torque_of_a_motor():
    """Half of it is half of the control, where nothing is clipped."""
    whole, weak = (made("ant_velocity", None, gear=gear, horizon=3) for gear in (150.0, 75.0))
    task = whole.population(0, 2).test
    state, _ = started(whole, task)
    action = tf.constant(np.random.default_rng(2).uniform(-4, 4, [2, 3, 8]), tf.float32)
    row = [f.step(task, state, a, None)[0]["row"] for f, a in ((whole, action), (weak, action * 2))]
    np.testing.assert_array_equal(*row)


def test_starts_stand_in_the_form_of_maml():
    for form, height in (("maml", 0.55), ("promp", 0.75)):
        family = environments.AntDirection(environments.AntDirectionConfig(form=form))
        state, _ = started(family, family.population(0).test, 50)
        assert abs(np.asarray(state["row"])[..., 2].mean() - height) < 0.03
