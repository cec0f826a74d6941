"""MLSH's ants between walls: mazes, the course, what stands in the way, and what is paid."""

import mujoco
import numpy as np
import pytest
import tensorflow as tf

from tests.environments.mujoco import playing
from tfcaml import keys, nest
from tfcaml.environments import AntMaze, AntMazeConfig, AntObstacles, AntObstaclesConfig
from tfcaml.environments.mujoco import film
from tfcaml.environments.mujoco.bodies import ant_courses as bodies

MAZE, COURSE = AntMaze(), AntObstacles()
both = pytest.mark.parametrize("family", [MAZE, COURSE], ids=["maze", "course"])
BLOCKS = [(x, y) for y in (16, 0, -16) for x in (8, 24, 40)]
# The blocks that are away in each maze, and where its goal is.
MAZES = [
    ({0, 3}, (8, 24)),
    ({3, 6}, (8, -24)),
    ({1, 3, 4}, (24, 24)),
    ({3, 4, 7}, (24, -24)),
    ({3, 4, 5}, (48, 0)),
    ({2, 3, 4, 5}, (40, 24)),
    ({3, 4, 5, 8}, (40, -24)),
    ({0, 1, 3}, (32, 16)),
    ({3, 6, 7}, (32, -16)),
]


@pytest.fixture(scope="module")
def mazes():
    return MAZE.population(0).test


def at(family, place, height=0.5):
    """Positions with the torso there."""
    positions = np.array(family.pose())
    positions[:3] = [*place, height]
    return positions


def touched(model, positions):
    """Names of the geoms that an ant touches which is there."""
    data = mujoco.MjData(model)
    data.qpos[:] = positions
    mujoco.mj_forward(model, data)
    parts = {model.geom(int(g)).name for c in data.contact for g in c.geom if c.dist < 0}
    return {name for name in parts if name.startswith(("block", "wall", "chaser"))}


def test_there_are_nine_mazes_which_are_learned_and_tested(mazes):
    assert not MAZE.holds_out and MAZE.horizon == 1000
    population = MAZE.population(0, 12)
    assert population.test_group.tolist() == [*range(9), 0, 1, 2]
    for number, (away, goal) in enumerate(MAZES):
        assert set(np.flatnonzero(mazes["blocks"][number] == 0)) == away
        np.testing.assert_array_equal(mazes["goal"][number], goal)
    np.testing.assert_array_equal(population.train["goal"], mazes["goal"])
    np.testing.assert_array_equal(MAZE.goal(mazes)[:, 2], np.zeros(9))


def test_each_goal_is_where_an_open_way_ends(mazes):
    """From block to block beside it, beginning with the one before the start."""
    for standing, goal in zip(mazes["blocks"].numpy(), mazes["goal"].numpy()):
        reached, more = {3}, {3}
        while more:
            near = lambda a, b: abs(np.subtract(BLOCKS[a], BLOCKS[b])).sum() == 16
            more = {b for b in range(9) for a in reached if near(a, b) and not standing[b]}
            more -= reached
            reached |= more
        assert reached == set(np.flatnonzero(standing == 0))
        assert min(np.linalg.norm(np.subtract(BLOCKS[b], goal)) for b in reached) == 8


@pytest.mark.parametrize("number", range(9))
def test_blocks_that_stand_are_touched_and_others_are_not(mazes, number):
    """In the middle of each, near two of its sides, and above it."""
    model = film._model_of(MAZE, nest.take(mazes, [number]))
    for block, (x, y) in enumerate(BLOCKS):
        expected = set() if block in MAZES[number][0] else {f"block_{block}"}
        for place in ((x, y), (x + 6, y), (x, y - 6)):
            assert touched(model, at(MAZE, place)) == expected
        assert touched(model, at(MAZE, (x, y), height=11)) == set()
    assert touched(model, at(MAZE, (2, 0))) == set()


def test_all_mazes_are_played_in_one_batch(mazes):
    """An ant that is thrown to the left gets as far as blocks let it."""
    task = nest.take(mazes, range(9))
    velocities = np.zeros(14)
    velocities[1] = 25.0
    state = playing.start(MAZE, task)[0]
    state = playing.put(MAZE, state, at(MAZE, (8, 0), height=3.0), velocities)
    farthest = np.zeros(9)
    for _ in range(35):
        state, *_ = playing.step(MAZE, task, state)
        farthest = np.maximum(farthest, playing.positions(MAZE, state)[:, 1])
    open_on_the_left = [0 in away for away, _ in MAZES]
    assert ((farthest > 12) == open_on_the_left).all()
    stopped = farthest[~np.array(open_on_the_left)]
    assert (stopped > 7).all() and (stopped < 8.4).all()
    assert not MAZE.faults()


def test_outer_walls_of_the_maze(mazes):
    model = film._model_of(MAZE, nest.take(mazes, [2]))
    # Away from what stands: in the open block at the left, and in the first one.
    assert touched(model, at(MAZE, (24, 23.6))) == {"wall_left"}
    assert touched(model, at(MAZE, (0.5, 0))) == {"wall_back"}
    model = film._model_of(MAZE, nest.take(mazes, [4]))
    assert touched(model, at(MAZE, (47.6, 0))) == {"wall_front"}
    model = film._model_of(MAZE, nest.take(mazes, [3]))
    assert touched(model, at(MAZE, (24, -23.6), height=4.0)) == {"wall_right"}
    assert touched(model, at(MAZE, (24, -23.6), height=6.0)) == set()


def test_the_maze_pays_speed_towards_the_goal_along_each_axis(mazes):
    """Beyond the goal's x or y, speed back is paid."""
    task = nest.take(mazes, [0, 0, 1, 4])
    places = [[6, 3], [9, 3], [6, 3], [24, 2]]
    signs = np.array([[1, 1], [-1, 1], [1, -1], [1, -1]])
    velocities = np.zeros(14)
    velocities[:2] = [1.5, 2.5]
    positions = [at(MAZE, place) for place in places]
    state = playing.put(MAZE, playing.start(MAZE, task)[0], positions, velocities)
    action = np.array([-2, 1, 0.5, 0, 0, 0.25, -0.5, 0])
    state, _, reward, ended = playing.step(MAZE, task, state, action)
    moved = (playing.positions(MAZE, state)[:, :2] - places) / 0.025
    cost = 0.1 * (1 + 1 + 0.25 + 0.0625 + 0.25)  # a control ends at 1
    np.testing.assert_allclose(reward, (signs * moved).sum(axis=1) - cost, rtol=1e-4)
    assert (moved > 1).all() and not ended.any()


@both
def test_starts_and_observations(family):
    task = nest.take(family.population(0, 1).test, [0] * 60)
    state, seen = playing.start(family, task)
    place = (2, 0, 0.6) if family is MAZE else (-35, 15, 0.6)
    np.testing.assert_allclose(family.pose()[:7], [*place, 1, 0, 0, 0])
    positions, velocities = playing.positions(family, state), playing.velocities(family, state)
    moved = (positions - family.pose())[:, :15]
    assert np.abs(moved).max() <= 0.1 and abs(moved.std() / (0.1 / np.sqrt(3)) - 1) < 0.1
    assert abs(velocities[:, :14].std() / 0.1 - 1) < 0.1
    expected = np.concatenate([positions[:, :15], velocities[:, :14]], axis=1)
    assert expected.shape == (60, 29)
    np.testing.assert_allclose(seen[:, 0], expected, rtol=1e-5, atol=1e-6)
    assert mujoco.mj_getTotalmass(family.model) > 39 and family.seconds_per_step == 0.025
    legs = family.model.body_subtreemass[family.model.body("torso").id]
    assert legs == pytest.approx(40)
    model = film._model_of(family, nest.take(task, [0]))
    assert not any(touched(model, each) for each in positions)


@pytest.mark.parametrize(
    "family, every",
    [
        (AntMaze(AntMazeConfig(repose_every=3)), 3),
        (AntObstacles(AntObstaclesConfig(repose_every=2)), 2),
    ],
    ids=["maze", "course"],
)
def test_ants_are_set_upright_where_they_are(family, every):
    """And are seen so; what is paid for the step is what they did before."""
    task = nest.take(family.population(0, 1).test, [0, 0])
    state, _ = playing.start(family, task)
    random = np.random.default_rng(0)
    plain = type(family)()  # which does so later
    for time in range(1, 2 * every + 2):
        action = random.uniform(-1, 1, [2, 8])
        unposed = playing.step(plain, task, state, action)
        state, seen, reward, _ = playing.step(family, task, state, action)
        positions, velocities = playing.positions(family, state), playing.velocities(family, state)
        np.testing.assert_array_equal(reward, unposed[2])
        np.testing.assert_array_equal(positions[:, :2], playing.positions(plain, unposed[0])[:, :2])
        upright = (positions[:, 2:15] == family.pose()[2:15]).all()
        assert upright == (time % every == 0)
        assert (velocities == 0).all() == upright
        assert (np.asarray(state["row"])[..., 15 + 14 :] != 0).any() or upright
        seen_by_hand = np.concatenate([positions[:, :15], velocities[:, :14]], axis=1)
        np.testing.assert_allclose(seen, seen_by_hand, rtol=1e-5, atol=1e-6)


@both
def test_ants_are_set_upright_after_as_many_steps_as_in_the_paper(family):
    every = 200 if family is MAZE else 300
    task = nest.take(family.population(0, 1).test, [0])
    state, _ = playing.start(family, task)
    for late, upright in ((every - 2, False), (every - 1, True), (every, False)):
        late = {**state, "time": tf.fill([1, 1], late)}
        positions = playing.positions(family, playing.step(family, task, late, 0.3)[0])
        assert (positions[0, 2:15] == family.pose()[2:15]).all() == upright


def test_an_episode_that_is_over_is_not_set_upright():
    """What is not a number ends it, and the ant stays where it was."""
    family = AntObstacles(AntObstaclesConfig(repose_every=1))
    task = family.population(0).test
    state = playing.put(family, playing.start(family, task)[0], at(family, (20, 25)))
    state = {**state, "row": tf.concat([state["row"][..., :17], 1 + state["row"][..., 17:]], -1)}
    later, *_ = playing.step(family, task, state, np.nan)
    kept = [*range(15), *range(17, 31)]
    np.testing.assert_array_equal(later["row"].numpy()[..., kept], state["row"].numpy()[..., kept])
    last, *_ = playing.step(family, task, later, 0.0)
    np.testing.assert_array_equal(last["row"], later["row"])  # nor does the chaser move


def test_the_course_pays_near_the_goal():
    task = nest.take(COURSE.population(0).test, [0] * 4)
    np.testing.assert_array_equal(task["goal"], [[35, -35]] * 4)
    assert not COURSE.holds_out and COURSE.horizon == 2000
    # 5.4 m and 5.6 m from it; the root of 30 is 5.48.
    places = [[35, -35], [35, -29.6], [29.4, -35], [-35, 15]]
    positions = [at(COURSE, place) for place in places]
    state = playing.put(COURSE, playing.start(COURSE, task)[0], positions, np.zeros(16))
    _, _, reward, ended = playing.step(COURSE, task, state)
    assert reward.tolist() == [1, 1, 0, 0] and not ended.any()


def test_walls_of_the_course():
    open_places = [(-35, 15), (35, -35), (-30, 10), (0, 0), (-35, -25), (0, -38), (25, 0)]
    for place in open_places:
        assert touched(COURSE.model, at(COURSE, place)) == set()
    for name, place in {
        "left": (0, 39.5),
        "right": (20, -39.5),
        "front": (39.5, 0),
        "back": (-39.5, 0),
        "first": (-15.4, 20),
        "behind": (-36, 19.6),
        "corridor_left": (-10, -20.4),
        "corridor_right": (-10, -29.6),
        "last": (9.6, -10),
    }.items():
        assert touched(COURSE.model, at(COURSE, place)) == {f"wall_{name}"}
        assert touched(COURSE.model, at(COURSE, place, height=3.0)) == set()


def test_the_chaser_waits_comes_and_stands():
    task = nest.take(COURSE.population(0).test, [0] * 3)
    places = np.array([[25, 14.9], [25, 15.1], [19.5, 38.5]])
    positions = [at(COURSE, place) for place in places]
    state = playing.put(COURSE, playing.start(COURSE, task)[0], positions, np.zeros(16))
    np.testing.assert_array_equal(playing.positions(COURSE, state)[:, 15:], [[25, 30]] * 3)
    state, *_ = playing.step(COURSE, task, state)
    chaser = playing.positions(COURSE, state)[:, 15:]
    x = playing.positions(COURSE, state)[0, 0]
    assert abs(x - 25) < 0.05
    np.testing.assert_allclose(chaser[:, 0], [25, 25, 24], atol=1e-9)
    np.testing.assert_allclose(chaser[:, 1], [30, 29, 31], atol=1e-9)
    # An ant that leaves is left alone.
    positions = playing.positions(COURSE, state)
    positions[2, :2] = [0, 0]
    state, *_ = playing.step(COURSE, task, playing.put(COURSE, state, positions))
    np.testing.assert_allclose(playing.positions(COURSE, state)[2, 15:], [24, 31], atol=1e-9)


def test_the_chaser_touches_ants_only():
    positions = np.array(COURSE.pose())
    assert touched(COURSE.model, positions) == set()
    positions[15:] = [-15, 20]  # on a wall
    assert touched(COURSE.model, positions) == set()
    data = mujoco.MjData(COURSE.model)
    mujoco.mj_forward(COURSE.model, data)
    floor = COURSE.model.geom("chaser").id
    assert not any(floor in contact.geom for contact in data.contact)
    assert touched(COURSE.model, at(COURSE, (25, 27))) == {"chaser"}
    # It pushes an ant away, and hardly moves.
    task = COURSE.population(0).test
    state = playing.put(COURSE, playing.start(COURSE, task)[0], at(COURSE, (25, 26.5)), 0.0)
    farthest = 0.0
    for _ in range(10):
        state, *_ = playing.step(COURSE, task, state)
        place = playing.positions(COURSE, state)[0]
        farthest = max(farthest, np.linalg.norm(place[:2] - [25, 26.5]))
    assert farthest > 1 and not COURSE.faults()


def test_bodies_have_the_numbers_of_the_blocks():
    assert bodies.BLOCKS == BLOCKS and bodies.BLOCK == 7.6 and bodies.CHASER == (25, 30)


@both
def test_episodes_are_played_again_to_the_bit(family):
    """As films do: what sets an ant upright, and moves a chaser, is part of the state."""
    family = type(family)(family.Config(repose_every=2, horizon=5))
    task = family.population(0, 1).test
    key = keys.per_episode(keys.from_int(0), 1, 2)
    action = tf.constant(np.random.default_rng(0).uniform(-1, 1, [1, 2, 5, 8]), tf.float32)
    rows, rewards = film.replayed(family, task, key, action)
    state, _ = family.reset(task, keys.salted(key, keys.RESET))
    for time in range(5):
        np.testing.assert_array_equal(rows[:, :, time], state["row"])
        state, _, reward, _ = family.step(task, state, action[:, :, time], tf.zeros([1, 2, 0]))
        np.testing.assert_allclose(rewards[:, :, time], reward, rtol=1e-5)
