"""TESP's targets: their sets, rewards, ends, and what a robot that stands still is paid."""

import mujoco
import numpy as np
import pytest
import tensorflow as tf

from tests.environments.mujoco import playing
from tfcaml.environments import AntTarget, Reacher2, Reacher4, TargetConfig, Wheeled
from tfcaml.environments.mujoco.simulation import Robot
from tfcaml.errors import ConfigError

FAMILIES = {family: family() for family in (AntTarget, Reacher2, Reacher4, Wheeled)}
ARRIVAL = {AntTarget: 0.03, Reacher2: 0.06, Reacher4: 0.11, Wheeled: 0.02}


@pytest.fixture(params=FAMILIES, ids=lambda family: family.__name__)
def family(request):
    return FAMILIES[request.param]


def towards(*goals):
    return {"goal": tf.constant(goals, tf.float32)}


def goals_of(population):
    """The targets that are learned from, and those of each set."""
    test = population.test["goal"].numpy()
    sets = {name: test[population.test_set == name] for name in ("D", "D'", "D''")}
    return population.train["goal"].numpy(), sets


def distances(one, other):
    return np.linalg.norm(one[:, None] - other, axis=-1)


def test_sets_of_targets(family):
    least = 0.11 if isinstance(family, Reacher4) else 0.1
    train, sets = goals_of(family.population(0))
    assert train.shape == (100, 2) and {len(goals) for goals in sets.values()} == {100}
    np.testing.assert_array_equal(sets["D"], train)
    radius = {name: np.linalg.norm(goals, axis=1) for name, goals in sets.items()}
    for name in ("D", "D'"):
        assert 0.2 < radius[name].min() < 0.3 and 1.0 < radius[name].max() < 1.1
    assert 1.1 < radius["D''"].min() < 1.15 and 1.45 < radius["D''"].max() < 1.5
    for goals in (np.concatenate([sets["D"], sets["D'"]]), sets["D''"]):
        assert distances(goals, goals)[~np.eye(len(goals), dtype=bool)].min() > least
    # All around the start.
    assert all((np.abs(goals.mean(axis=0)) < 0.3).all() for goals in sets.values())


def test_sets_are_the_seeds():
    family = FAMILIES[Wheeled]
    train, sets = goals_of(family.population(0))
    fewer, of_fewer = goals_of(family.population(0, 7))
    np.testing.assert_array_equal(train, fewer)
    assert [len(of_fewer[name]) for name in ("D", "D'", "D''")] == [3, 2, 2]
    for name, goals in of_fewer.items():
        np.testing.assert_array_equal(goals, sets[name][: len(goals)])
    other, of_other = goals_of(family.population(1))
    assert distances(train, other).min() > 0 and distances(sets["D'"], of_other["D'"]).min() > 0
    population = family.population(0)
    assert population.seen_sets == ("D",) and population.draw is None
    held_out = population.held_out()["goal"].numpy()
    np.testing.assert_array_equal(np.sort(held_out, 0), np.sort([*sets["D'"], *sets["D''"]], 0))


def test_targets_that_find_no_room_are_refused():
    with pytest.raises(ConfigError, match=r"fewer targets, .*0\.1 m .*received num_train=400"):
        Wheeled(TargetConfig(num_train=400)).population(0, 1)
    with pytest.raises(ConfigError, match="num_test to be a whole number from 1 to 15; received"):
        Wheeled(TargetConfig(num_train=5)).population(0, 16)


def place(family, positions):
    """What comes to a target, by geometry: positions [nq] -> [2]."""
    if isinstance(family, AntTarget | Wheeled):
        return positions[:2]
    lengths = [0.75, 0.95] if isinstance(family, Reacher2) else [0.45, 0.45, 0.45, 0.65]
    heading = np.cumsum(positions)
    return np.array([lengths @ np.cos(heading), lengths @ np.sin(heading)])


def test_a_step_is_paid_by_the_distance_to_come(family):
    """With TESP's cost of controls: half a thousandth of the squares of shares."""
    task = towards([0.5, 0.3], [-0.4, 1.0])
    state, _ = playing.start(family, task)
    for _ in range(4):
        action = np.linspace(-0.8, 1.7, family.model.nu)
        state, _, reward, ended = playing.step(family, task, state, action)
    cost = 0.5e-3 * np.sum(np.minimum(action, 1) ** 2)
    for row, goal in enumerate(task["goal"].numpy()):
        found = place(family, playing.positions(family, state)[row])
        expected = -np.linalg.norm(found - goal) - cost
        np.testing.assert_allclose(reward[row], expected, rtol=1e-5)
    assert not ended.any()


def test_controls_are_servos_velocities(family):
    """A policy's whole output is the whole control, and more is cut."""
    size = family.model.nu
    assert (family.model.actuator_biasprm[:, 2] == -1).all()
    task = towards([1.0, 0.0], [1.0, 0.0])
    state, _ = playing.start(family, task)
    actions = np.array([np.full(size, 1.0), np.full(size, 9.0)])
    moved = playing.positions(family, playing.step(family, task, state, actions)[0])
    np.testing.assert_array_equal(*moved)
    wide = type(family)(TargetConfig(action_range=10.0))
    tenth = playing.step(wide, task, playing.start(wide, task)[0], [[10.0] * size, [1.0] * size])[0]
    np.testing.assert_array_equal(playing.positions(wide, tenth)[0], moved[0])
    assert (playing.positions(wide, tenth)[1] != moved[1]).any()


def test_the_fingertip_is_where_mujoco_has_it():
    for family in (FAMILIES[Reacher2], FAMILIES[Reacher4]):
        data = mujoco.MjData(family.model)
        angles = np.linspace(0.3, -0.9, family.model.nq)
        data.qpos[:] = angles
        mujoco.mj_kinematics(family.model, data)
        task = towards([1.0, 0.0])
        state = playing.put(family, playing.start(family, task)[0], angles)
        _, seen, *_ = playing.step(family, task, {**state, "still": tf.constant([[True]])})
        speeds = np.zeros(family.model.nv)
        expected = [np.cos(angles), np.sin(angles), speeds, data.body("fingertip").xpos[:2]]
        np.testing.assert_allclose(seen[0], np.concatenate(expected), atol=1e-6)


def test_observations_of_the_cart():
    family, task = FAMILIES[Wheeled], towards([1.0, 0.0])
    where, speed = [0.1, -0.2, 0.01, 0.7, 5.0, 6.0], [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]
    state = playing.put(family, playing.start(family, task)[0], where, speed)
    _, seen, *_ = playing.step(family, task, {**state, "still": tf.constant([[True]])})
    expected = [0.1, -0.2, 0.01, np.sin(0.7), np.cos(0.7), 1, 2, 3, 4]
    np.testing.assert_allclose(seen[0], expected, rtol=1e-6)


def test_arrival_ends_an_episode(family):
    """Targets just within and just beyond the distance, of robots that do not move."""
    state, _ = playing.start(family, towards([0.0, 0.0]))
    here = place(family, playing.positions(family, state)[0])
    arrival = ARRIVAL[type(family)]
    x, y = here
    task = towards(*([x, y + share * arrival] for share in (0.98, 1.02)))
    *_, ended = playing.step(family, task, playing.start(family, task)[0])
    assert ended.tolist() == [True, False]


def test_an_ant_that_lies_or_flies_has_ended():
    family, heights = FAMILIES[AntTarget], [0.14, 0.16, 0.44, 0.46]
    positions = np.tile(family.pose(), [4, 1, 1]).astype(np.float32)
    positions[:, 0, 2] = heights
    body = Robot(tf.constant(positions), tf.zeros([4, 1, 14]), tf.zeros([4, 1, 0]))
    ended = family.ended(towards(*[[1.0, 0.0]] * 4), body)
    assert ended[:, 0].numpy().tolist() == [True, False, False, True]


@pytest.mark.parametrize(
    "kind, near, far",
    [
        (Wheeled, -151, -262),
        (AntTarget, -151, -262),
        (Reacher2, -358, -391),
        (Reacher4, -415, -443),
    ],
)
def test_standing_still_is_paid_what_is_known(kind, near, far):
    """Figures computed independently, of other targets of the same sets.

    Means of so few targets scatter: by four times the standard error of the mean at the most.
    """
    family = FAMILIES[kind]
    population = family.population(0, 60)
    state, _ = playing.start(family, population.test)
    before = playing.positions(family, state)
    for _ in range(5):
        state, _, reward, ended = playing.step(family, population.test, state)
    np.testing.assert_allclose(playing.positions(family, state)[:, :2], before[:, :2], atol=1e-6)
    assert not ended.any()
    for name, expected in {"D": near, "D'": near, "D''": far}.items():
        returns = 200 * reward[population.test_set == name]
        error = returns.std() / np.sqrt(len(returns))
        assert abs(returns.mean() - expected) < 4 * error


def test_episodes_start_alike(family):
    task = towards([1.0, 0.0], [0.0, 1.0])
    state, observation = playing.start(family, task)
    np.testing.assert_array_equal(observation[0], observation[1])
    np.testing.assert_array_equal(playing.positions(family, state)[0], family.pose())
    assert (playing.velocities(family, state) == 0).all()


def test_pictures_show_targets(family):
    task = towards([0.3, -0.6])
    where = family.goal(task).numpy()
    np.testing.assert_allclose(where[0, :2], [0.3, -0.6])
    assert 0 < where[0, 2] < 0.5
    in_plane = family.planar_goal(task)
    reaches = isinstance(family, Reacher2 | Reacher4)
    assert (in_plane is None) == reaches
