"""Key and door: what is seen, that nothing is paid before the key, and which door pays."""

import numpy as np
import pytest
import tensorflow as tf

from tests.environments.native import points
from tfcaml import keys
from tfcaml.environments import KeyDoor, KeyDoorConfig, check
from tfcaml.errors import ConfigError

PLACES = np.array([[40, 40], [360, 360], [200, 100]], np.float32)  # both doors, and the key


def task(*right):
    return {"right": tf.constant(right, tf.int32)}


def at(position, has_key):
    position = np.array(position, np.float32)
    return {"position": position, "places": PLACES, "has_key": np.array(has_key)}


@pytest.mark.parametrize(
    "action, move", [(0, [0, 0]), (1, [20, 0]), (2, [-20, 0]), (3, [0, 20]), (4, [0, -20])]
)
@pytest.mark.parametrize("has_key", [False, True])
def test_a_step(action, move, has_key):
    """Nine numbers are seen as they are: four places, and whether there is a key."""
    after, seen, reward, ended = points.step(KeyDoor(), task(1), at([395, 5], has_key), action)
    place = [395 + move[0], 5 + move[1]]
    np.testing.assert_array_equal(after["position"], place)
    np.testing.assert_array_equal(after["places"], PLACES)
    np.testing.assert_array_equal(seen, [*place, *PLACES.ravel(), has_key])
    assert after["has_key"] == has_key and reward == 0 and not ended
    scaled = KeyDoor(KeyDoorConfig(observation_unit=400.0))
    scaled = points.step(scaled, task(1), at([395, 5], has_key), action)[1]
    np.testing.assert_allclose(scaled, [*(seen[:8] / 400), has_key], rtol=1e-6)


@pytest.mark.parametrize(
    "place, taken", [([200, 100], True), ([229, 140], True), ([230, 140], False), ([40, 40], False)]
)
def test_a_key_is_taken_less_than_50_away_and_kept(place, taken):
    after, seen, reward, _ = points.step(KeyDoor(), task(0), at(place, False), 0)
    assert after["has_key"] == taken == seen[-1] and reward == 0
    assert points.step(KeyDoor(), task(0), at(place, True), 0)[0]["has_key"]


@pytest.mark.parametrize("right", [0, 1])
def test_only_the_real_door_pays_and_only_with_the_key(right):
    for door in (0, 1):
        for offset, near in [([29, 40], True), ([30, 40], False)]:
            for has_key in (False, True):
                state = at(PLACES[door] + offset, has_key)
                reward = points.step(KeyDoor(), task(right), state, 0)[2]
                assert reward == (door == right and near and has_key)


def test_a_step_that_takes_the_key_at_the_door_is_paid_for():
    together = {**at([100, 40], False), "places": np.array([[40, 40]] * 3, np.float32)}
    after, _, reward, _ = points.step(KeyDoor(), task(0), together, 2)
    assert after["has_key"] and reward == 1


def test_places_are_anywhere_in_the_square_and_no_key_is_had_at_first():
    state, seen = KeyDoor().reset(task(0, 1), keys.per_episode(keys.from_int(0), 1, 2000))
    np.testing.assert_array_equal(seen[..., :2], np.full([1, 2000, 2], 200))
    np.testing.assert_array_equal(seen[..., 8], np.zeros([1, 2000]))
    places = state["places"].numpy().reshape(2000, 6)
    np.testing.assert_array_equal(seen[0, :, 2:8], places)
    assert places.min() >= 0 and places.max() <= 400
    np.testing.assert_allclose(places.mean(axis=0), 200, atol=4 * 400 / np.sqrt(12 * 2000))
    assert abs(np.corrcoef(places.T) - np.eye(6)).max() < 4 / np.sqrt(2000)


def walks(places, right):
    """What a greedy policy gets in each episode, by a plain loop: places [E, 3, 2] -> [E]."""
    total = np.zeros(len(places))
    for episode, (*doors, key) in enumerate(places):
        position, has_key = np.array([200.0, 200.0]), False
        for _ in range(100):
            target = doors[right] if has_key else key
            after = position + points.MOVES
            position = after[np.argmin(((after - target) ** 2).sum(axis=-1))]
            has_key = has_key or ((position - key) ** 2).sum() < 2500
            total[episode] += has_key and ((position - doors[right]) ** 2).sum() < 2500
    return total


def test_who_fetches_the_key_first_gets_what_a_loop_does_and_who_does_not_gets_little():
    family, both, episodes = KeyDoor(), task(0, 1), 300
    door = lambda state: tf.gather(state["places"], both["right"], axis=2, batch_dims=1)
    key = lambda state: state["places"][:, :, 2]
    first = lambda state: tf.where(state["has_key"][..., None], door(state), key(state))
    play = lambda target: points.played(
        family, lambda state: points.greedy(state, target(state)), both, episodes
    )
    start, found = play(first)
    for right in (0, 1):
        np.testing.assert_array_equal(found[right], walks(start["places"][right], right))
    assert 75 < found.mean() < 90 and found.min() > 40
    assert play(door)[1].mean() < 0.5 * found.mean()


def test_both_tasks_are_learned_from_and_tested():
    family = KeyDoor()
    population = family.population(0, 3)
    np.testing.assert_array_equal(population.train["right"], [0, 1])
    np.testing.assert_array_equal(population.test["right"], [0, 1, 0])
    assert population.draw is None and not family.holds_out


def test_it_can_be_learned_in():
    check(KeyDoor(), num_episodes=100, quiet=True)


def test_mistakes_are_one_line():
    for name in ("move", "radius", "observation_unit", "horizon"):
        with pytest.raises(ConfigError, match=f"^expected {name} to be > 0; received {name}=0"):
            KeyDoorConfig(**{name: 0})
