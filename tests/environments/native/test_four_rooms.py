"""Four rooms: the cells and their numbers, how steps slip, what is paid, and which goals there are.

The picture below is the oracle: neighbours are looked up in it.
"""

import dataclasses
import functools
import json

import numpy as np
import pytest
import tensorflow as tf

from tfcaml import keys
from tfcaml.environments import FourRooms, FourRoomsConfig, check
from tfcaml.errors import ConfigError

PICTURE = """
#############
#     #     #
#     #     #
#           #
#     #     #
#     #     #
## ####     #
#     ### ###
#     #     #
#     #     #
#           #
#     #     #
#############
""".strip().split("\n")
FREE = [(row, column) for row in range(13) for column in range(13) if PICTURE[row][column] == " "]
DIRECTIONS = [(-1, 0), (1, 0), (0, -1), (0, 1)]  # up, down, left, right


@functools.cache
def beside(cell):
    """What each action leads to from a cell, by the picture: numbers, its own at a wall."""
    row, column = FREE[cell]
    places = [(row + down, column + right) for down, right in DIRECTIONS]
    return [FREE.index(place) if place in FREE else cell for place in places]


def played(family, goal, cell, action, noise):
    """One step from each of many cells: (cells, rewards) of a task."""
    row = lambda x, dtype: tf.constant(np.asarray(x)[None], dtype)
    found = family.step(
        family.task([goal]), row(cell, tf.int32), row(action, tf.int32), row(noise, tf.float32)
    )
    state, seen, reward, ended = (x.numpy()[0] for x in found)
    np.testing.assert_array_equal(seen, np.eye(104, dtype=np.float32)[state])
    assert not ended.any()
    return state, reward


def test_cells_and_their_numbers():
    family = FourRooms()
    assert len(FREE) == len(family.cells) == 104
    np.testing.assert_array_equal(family.cells, FREE)
    goals = family.population(0).train["goal"].numpy().tolist()
    assert goals == [68, 80, 90, 103]
    assert [FREE[goal] for goal in goals] == [(8, 7), (9, 9), (10, 8), (11, 11)]
    state, seen = family.reset(family.task([68, 80]), keys.per_episode(keys.from_int(0), 2, 3))
    np.testing.assert_array_equal(state, np.full([2, 3], 62))
    np.testing.assert_array_equal(tf.argmax(seen, axis=-1), state)
    assert FREE[62] == (7, 9) and seen.shape == (2, 3, 104)


def test_steps_that_do_not_slip_are_those_of_the_picture():
    family = FourRooms()
    cell, action = (x.ravel() for x in np.indices([104, 4]))
    noise = np.full([len(cell), 2], 0.34)
    state, reward = played(family, 80, cell, action, noise)
    np.testing.assert_array_equal(state, np.ravel([beside(i) for i in range(104)]))
    np.testing.assert_array_equal(reward, state == 80)


def test_steps_that_slip_lead_on_and_those_into_a_wall_do_not():
    """Each cell beside the one that was come to has an equal share of the second number."""
    family = FourRooms()
    cases, expected = [], []
    for cell in range(104):
        for action, after in enumerate(beside(cell)):
            free = [other for other in beside(after) if other != after]
            for index, other in enumerate(free):
                for share in (0.01, 0.99):
                    cases.append((cell, action, 0.33, (index + share) / len(free)))
                    expected.append(other if after != cell else cell)
    cell, action, slips, which = np.array(cases).T
    state, reward = played(family, 68, cell, action, np.stack([slips, which], axis=1))
    np.testing.assert_array_equal(state, expected)
    np.testing.assert_array_equal(reward, state == 68)
    # The last number below 1 that float32 has.
    edge = np.nextafter(np.float32(1), np.float32(0))
    state, _ = played(family, 68, cell, action, np.stack([slips, edge + 0 * slips], axis=1))
    after = family.next_cell[cell.astype(int), action.astype(int)]
    assert all(now in beside(came_to) for now, came_to in zip(state, after))


@pytest.mark.parametrize("slip", [1 / 3, 0.0, 1.0])
def test_a_third_of_the_moves_slip_to_each_cell_beside_alike(slip):
    """From the middle of a room, to the right, where four cells are beside; and next to a wall."""
    family, number = FourRooms(FourRoomsConfig(slip=slip)), 30_000
    noise = np.random.default_rng(0).random([number, 2])
    for start, free in [((2, 2), 4), ((1, 3), 3), ((1, 4), 2)]:
        cell = FREE.index(start)
        after = beside(cell)[3]
        state, _ = played(family, 68, np.full(number, cell), np.full(number, 3), noise)
        places, counts = np.unique(state, return_counts=True)
        share = dict(zip(places.tolist(), counts / number))
        expected = {other: slip / free for other in beside(after) if other != after}
        expected[after] = 1 - slip
        assert len(expected) == free + 1 and set(share) <= set(expected)
        for place, probability in expected.items():
            error = np.sqrt(probability * (1 - probability) / number)
            assert abs(share.get(place, 0.0) - probability) <= 4 * error


def best(goal, steps=100):
    """By dynamic programming over the picture: (greatest expected return, actions [steps, S])."""
    value, actions = np.zeros(104), []
    for _ in range(steps):
        then = value + (np.arange(104) == goal)
        gain = np.zeros([104, 4])
        for cell, action in np.ndindex(104, 4):
            after = beside(cell)[action]
            slipped = np.mean([then[other] for other in beside(after) if other != after])
            moved = 2 / 3 * then[after] + slipped / 3
            gain[cell, action] = moved if after != cell else then[cell]
        value = gain.max(axis=1)
        actions.insert(0, gain.argmax(axis=1))
    return value[62], np.array(actions, np.int32)


@pytest.mark.parametrize("goal", [68, 103])
def test_each_step_in_the_goal_is_paid_for(goal):
    """The best policy gets what dynamic programming says: it runs into walls at the goal."""
    family, episodes = FourRooms(), 4000
    expected, actions = best(goal)

    @functools.partial(tf.function, autograph=False, jit_compile=True)
    def episode(task):
        key = keys.per_episode(keys.from_int(0), 1, episodes)
        noise = keys.uniform(keys.salted(key, keys.STEPS), [100, 2])
        state, _ = family.reset(task, key)

        def body(time, state, total):
            action = tf.gather(tf.constant(actions)[time], state)
            state, _, reward, _ = family.step(task, state, action, noise[:, :, time])
            return time + 1, state, total + reward

        return tf.while_loop(
            lambda time, *_: time < 100, body, (0, state, tf.zeros([1, episodes]))
        )[2]

    found = episode(family.task([goal])).numpy()[0]
    error = found.std() / np.sqrt(episodes)
    assert abs(found.mean() - expected) < 4 * error and error < 0.03
    assert found.max() > 95 and 90 < expected < 98


def test_goals_to_adapt_to_are_other_cells():
    family = FourRooms()
    population = family.population(0, 99)
    goals = population.test["goal"].numpy()
    assert sorted([*goals, 62, 68, 80, 90, 103]) == list(range(104))
    assert family.holds_out and population.draw is None
    np.testing.assert_array_equal(population.train_group, [3, 3, 3, 3])
    row, column = np.array(FREE)[goals].T
    np.testing.assert_array_equal(population.test_group, 2 * (row > 6) + (column > 6))
    assert set(population.test_group) == {0, 1, 2, 3}
    assert family.population(1, 99).test["goal"].numpy().tolist() != goals.tolist()
    few = family.population(0, 5).test["goal"].numpy()
    np.testing.assert_array_equal(few, goals[:5])
    with pytest.raises(ConfigError, match="num_test to be at most 99, the cells other than"):
        family.population(0, 100)


def test_goals_to_adapt_to_are_chosen():
    config = FourRoomsConfig(train_goals=(68, 80), test_goals=(90, 103))
    population = FourRooms(config).population(0, 3)
    np.testing.assert_array_equal(population.train["goal"], [68, 80])
    np.testing.assert_array_equal(population.test["goal"], [90, 103, 90])
    again = FourRoomsConfig(**json.loads(json.dumps(dataclasses.asdict(config))))
    assert again == config
    same = FourRooms(FourRoomsConfig(test_goals=(103, 90, 80, 68)))
    assert FourRooms(config).holds_out and not same.holds_out
    assert same.population(0, 4).seen() == "all"


@pytest.mark.parametrize(
    "options, message",
    [
        ({"train_goals": ()}, r"train_goals to be one cell at least; received train_goals=\(\)"),
        ({"train_goals": (68, 68)}, "train_goals to be different cells from 0 to 103"),
        ({"test_goals": (104,)}, "test_goals to be different cells from 0 to 103"),
        ({"test_goals": (1.5,)}, "test_goals to be different cells from 0 to 103"),
        ({"test_goals": (-1,)}, "test_goals to be different cells from 0 to 103"),
        ({"test_goals": ("68",)}, "test_goals to be different cells from 0 to 103"),
        ({"test_goals": (68, 69)}, r"test_goals to be none or all of train_goals=\(68, 80, 90"),
        ({"test_goals": 68}, "test_goals to be a list; received test_goals=68"),
        ({"slip": 1.1}, r"slip to be in \[0, 1\]"),
        ({"horizon": 0}, "horizon to be > 0"),
    ],
)
def test_mistakes_are_one_line(options, message):
    with pytest.raises(ConfigError, match="^expected " + message):
        FourRoomsConfig(**options)


def test_places_in_the_plane_are_those_of_the_picture():
    """Columns to the right and rows downwards, from the start at (0, 0); walls are the rest."""
    family = FourRooms()
    places = family.planar_positions(np.eye(104))
    assert places[62].tolist() == [0, 0]
    picture = lambda place: PICTURE[int(7 - place[1])][int(9 + place[0])]
    assert all(picture(place) == " " for place in places)
    walls = family.planar_walls()
    assert all(picture(place) == "#" for place in walls) and len(walls) == 169 - 104
    np.testing.assert_array_equal(family.planar_goal(family.task(np.arange(104))), places)


def test_it_can_be_learned_in():
    check(FourRooms(), num_episodes=20, quiet=True)
