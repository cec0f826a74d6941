"""MLSH's ants with two targets and two directions: rewards, observations and starts by hand."""

import mujoco
import numpy as np
import pytest

from tests.environments.mujoco import playing
from tfcaml import keys, nest
from tfcaml.environments import AntBandits, AntMovement, AntMovementConfig
from tfcaml.errors import ConfigError

BANDITS, MOVEMENT = AntBandits(), AntMovement()
both = pytest.mark.parametrize("family", [BANDITS, MOVEMENT], ids=["bandits", "movement"])


@both
def test_there_are_two_tasks_which_are_learned_and_tested(family):
    assert not family.holds_out
    population = family.population(0, 5)
    (train,), (test,) = (list(nest.map(np.asarray, x).values()) for x in population[:2])
    assert len(train) == 2 and population.draw is None
    np.testing.assert_array_equal(test, train[[0, 1, 0, 1, 0]])
    assert population.train_group.tolist() == [0, 1]
    assert population.test_group.tolist() == [0, 1, 0, 1, 0]
    group = np.array(population.sample(200, keys.from_int(0))[1])
    assert abs(group.mean() - 0.5) < 0.15
    with pytest.raises(ConfigError, match=r"num_test to be .*received num_test=0"):
        family.population(0, 0)
    with pytest.raises(ConfigError, match=r"seed to be .*received seed=-1"):
        family.population(-1)


def test_targets_and_directions():
    targets = BANDITS.population(0).test["goal"]
    np.testing.assert_allclose(targets, [[5, 0, 1.01], [0, 5, 1.01]], rtol=1e-6)
    np.testing.assert_array_equal(MOVEMENT.population(0).test["direction"], [[1, 0], [0, 1]])
    assert (BANDITS.horizon, MOVEMENT.horizon) == (1000, 600)
    assert BANDITS.seconds_per_step == 0.05 and MOVEMENT.seconds_per_step == 0.025


def test_bandits_pay_the_root_of_the_distance():
    """A 3000th of it, wherever the ant is and whatever it does."""
    task = nest.take(BANDITS.population(0).test, [0, 1, 0, 1])
    state, _ = playing.start(BANDITS, task)
    positions = np.tile(BANDITS.pose(), [4, 1])
    positions[:, :2] = [[0, 0], [0, 0], [4.5, -0.3], [20, 40]]
    action = np.linspace(-2, 1, 8)
    state = playing.put(BANDITS, state, positions)
    state, seen, reward, ended = playing.step(BANDITS, task, state, action)
    torso = playing.positions(BANDITS, state)[:, :3]
    target = np.array([[5, 0, 1.01], [0, 5, 1.01]] * 2)
    expected = -np.sqrt(np.sqrt(((torso - target) ** 2).sum(axis=1))) / 3000
    np.testing.assert_allclose(reward, expected, rtol=1e-5)
    assert reward[0] == pytest.approx(-np.sqrt(5) / 3000, rel=0.01)
    assert reward[3] < reward[0] < reward[2]
    assert not ended.any()
    everything = [playing.positions(BANDITS, state), playing.velocities(BANDITS, state)]
    seen_by_hand = np.concatenate([*everything, np.zeros([4, 1])], axis=1)
    assert seen_by_hand.shape == (4, 30)
    np.testing.assert_allclose(seen, seen_by_hand, rtol=1e-5)
    np.testing.assert_array_equal(BANDITS.planar_goal(task), target[:, :2])
    np.testing.assert_allclose(BANDITS.goal(task), target, rtol=1e-6)


def test_bandits_do_not_tell_the_target():
    """Both tasks look the same."""
    task = BANDITS.population(0).test
    state, seen = playing.start(BANDITS, nest.take(task, [0, 0]))
    _, other = playing.start(BANDITS, nest.take(task, [1, 1]))
    np.testing.assert_array_equal(seen, other)
    later = [
        playing.step(BANDITS, nest.take(task, [kind, kind]), state, 0.7)[1] for kind in range(2)
    ]
    np.testing.assert_array_equal(*later)


def test_movement_pays_speed_along_the_axis_and_takes_for_what_is_beside_it():
    task = nest.take(MOVEMENT.population(0).test, [0, 1])
    state, _ = playing.start(MOVEMENT, task)
    positions = np.tile(MOVEMENT.pose(), [2, 1])
    positions[:, :2] = [3.0, -2.0]
    speed = np.zeros(14)
    speed[:2] = [2.0, -1.0]
    action = np.array([-2, 1, 0.5, 0, 0, 0.25, -0.5, 0])
    before = playing.put(MOVEMENT, state, positions, speed)
    after, seen, reward, ended = playing.step(MOVEMENT, task, before, action)
    place = playing.positions(MOVEMENT, after)
    moved = (place[:, :2] - [3.0, -2.0]) / 0.025
    cost = 0.1 * (1 + 1 + 0.25 + 0.0625 + 0.25)  # a control ends at 1
    expected = [
        moved[0, 0] - cost - 0.5 * abs(place[0, 1]),
        moved[1, 1] - cost - 0.5 * abs(place[1, 0]),
    ]
    np.testing.assert_allclose(reward, expected, rtol=1e-4)
    assert abs(moved[0, 0] - 2) < 0.5 and abs(moved[1, 1] + 1) < 0.5
    everything = [place, playing.velocities(MOVEMENT, after)]
    np.testing.assert_allclose(seen, np.concatenate(everything, axis=1), rtol=1e-5)
    assert seen.shape == (2, 29) and not ended.any()


def test_nothing_ends_an_episode():
    """Not even an ant on its back, or high above."""
    for family in (BANDITS, MOVEMENT):
        task = nest.take(family.population(0).test, [0, 0])
        positions = np.tile(family.pose(), [2, 1])
        positions[0, 2], positions[1, 2:7] = 5.0, [0.3, 0, 1, 0, 0]
        state = playing.put(family, playing.start(family, task)[0], positions)
        assert not playing.step(family, task, state)[-1].any()


def test_starts():
    """Positions are spread evenly; those of bandits have hardly any speed."""
    for family, spread in ((BANDITS, 0.005), (MOVEMENT, 0.1)):
        task = nest.take(family.population(0).test, [0] * 100)
        state, _ = playing.start(family, task)
        moved = playing.positions(family, state) - family.pose()
        assert np.abs(moved).max() <= 0.1 and abs(moved.std() / (0.1 / np.sqrt(3)) - 1) < 0.1
        velocity = playing.velocities(family, state)
        if family is BANDITS:
            assert np.abs(velocity).max() <= spread
            spread /= np.sqrt(3)
        assert abs(velocity.std() / spread - 1) < 0.1
        assert abs(np.corrcoef(moved[:, :14].ravel(), velocity.ravel())[0, 1]) < 0.1
        assert family.pose()[2] == 0.75


def test_motors_joints_and_mass():
    for family, mass in ((BANDITS, 0.911), (MOVEMENT, 40)):
        model = family.model
        assert mujoco.mj_getTotalmass(model) == pytest.approx(mass, rel=1e-3)
        assert (model.actuator_gear[:, 0] == 150).all()
        np.testing.assert_array_equal(model.actuator_ctrlrange, [[-1, 1]] * 8)
        spans = np.sort(np.abs(np.rad2deg(model.jnt_range[1:])), axis=1)
        np.testing.assert_allclose(spans, [[30, 30], [30, 70]] * 4)
    light = AntMovement(AntMovementConfig(mass=2.0))
    assert mujoco.mj_getTotalmass(light.model) == pytest.approx(2)
    with pytest.raises(ConfigError, match=r"mass to be .*received mass=0"):
        AntMovementConfig(mass=0.0)
