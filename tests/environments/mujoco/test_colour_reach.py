"""Reaching among coloured blocks: what an episode looks like, what it pays, and its expert."""

import functools

import mujoco
import numpy as np
import pytest
import tensorflow as tf

from tests.environments.mujoco import playing
from tests.environments.mujoco.test_film import draws
from tfcaml import environments, keys, nest, policies
from tfcaml.environments import ColourReach, ColourReachConfig
from tfcaml.errors import ConfigError
from tfcaml.rollouts import sampling
from tfcaml.types import Episodes

FAMILY = ColourReach()
SHORT = ColourReach(ColourReachConfig(horizon=12))
REACH = 0.21


def episodes(num_tasks, num_episodes, seed=3):
    return keys.salted(keys.per_episode(keys.from_int(seed), num_tasks, num_episodes), keys.RESET)


def act(family, task, state, action):
    """One step of one episode of each task: (state, rewards [N])."""
    action = tf.fill([nest.leading(task), 1, 2], 0.0) + action
    state, _, reward, ended = family.step(task, state, action, tf.zeros([*action.shape[:2], 0]))
    assert not np.any(ended)
    return state, reward.numpy()[:, 0]


@functools.cache
def starts(within_reach=True):
    """Of 20 tasks with 100 episodes each: (task, state, observation)."""
    family = ColourReach(ColourReachConfig(num_train=20, within_reach=within_reach))
    task = family.population(100).train
    state, seen = tf.function(family.reset)(task, episodes(20, 100))
    return task, nest.map(np.asarray, state), nest.map(np.asarray, seen)


# Where blocks are, and what is told of them.


@pytest.mark.parametrize("within_reach", [True, False])
def test_blocks_are_apart_and_within_their_square(within_reach):
    _, state, _ = starts(within_reach)
    places = state["places"].reshape(-1, 3, 2)
    between = np.linalg.norm(places[:, [0, 0, 1]] - places[:, [1, 2, 2]], axis=-1)
    assert 0.15 <= between.min() < 0.16
    assert np.abs(places).max() <= 0.2
    far = np.linalg.norm(places, axis=-1).max(axis=1)
    assert far.max() <= REACH if within_reach else far.max() > 0.26
    # All over the square, none of the three elsewhere than the others.
    spread = places.std(axis=0)
    assert (spread > 0.09).all() and (np.abs(places.mean(axis=0)) < 0.01).all()
    np.testing.assert_allclose(spread, spread.mean(), atol=0.006)


def test_neither_slot_nor_place_tells_the_target():
    _, state, _ = starts()
    order = state["order"].reshape(-1, 3)
    np.testing.assert_array_equal(np.sort(order, axis=1), np.tile([0, 1, 2], [2000, 1]))
    rows, counts = np.unique(order, axis=0, return_counts=True)
    assert len(rows) == 6 and np.abs(counts - 2000 / 6).max() < 4 * np.sqrt(2000 / 6)
    places = state["places"].reshape(-1, 3, 2)
    slot = np.argmin(order, axis=1)
    target = places[np.arange(2000), slot]
    others = places[np.arange(2000), (slot + 1) % 3]
    for part in (np.mean, np.std):
        np.testing.assert_allclose(part(target, 0), part(others, 0), atol=0.015)
    radius = [np.linalg.norm(each, axis=1).mean() for each in (target, others)]
    np.testing.assert_allclose(*radius, atol=0.005)


def test_objects_are_places_and_colours_of_the_task():
    task, state, seen = starts()
    colours = task["colours"].numpy()
    for n, e in ((0, 0), (7, 31), (19, 99)):
        for slot in range(3):
            expected = [*state["places"][n, e, slot], *colours[n, state["order"][n, e, slot]]]
            np.testing.assert_array_equal(seen["objects"][n, e, slot], expected)


def test_the_arm_starts_anywhere_at_rest_and_is_seen():
    _, state, seen = starts()
    angles = state["row"][..., :2].reshape(-1, 2)
    assert 2.7 < np.abs(angles).max() <= 2.8 and (np.abs(angles.mean(axis=0)) < 0.15).all()
    assert (state["row"][..., 2:4] == 0).all()
    np.testing.assert_array_equal(state["elbow"], np.where(state["row"][..., 1] >= 0, 1, -1))
    data = mujoco.MjData(FAMILY.model)
    data.qpos[:] = state["row"][3, 5, :2]
    mujoco.mj_kinematics(FAMILY.model, data)
    np.testing.assert_allclose(seen["effector"][3, 5], data.site("fingertip").xpos[:2], atol=1e-6)
    np.testing.assert_allclose(seen["robot"][3, 5, :2], data.qpos, rtol=1e-6)


def test_velocities_are_mujoco_s():
    task = FAMILY.population(0, 1).test
    state = playing.put(FAMILY, playing.start(FAMILY, task)[0], [0.4, -1.1], [2.0, -3.0])
    still = {**state, "still": tf.constant([[True]])}
    seen = FAMILY.step(task, still, tf.zeros([1, 1, 2]), tf.zeros([1, 1, 0]))[1]
    data = mujoco.MjData(FAMILY.model)
    data.qpos[:], data.qvel[:] = [0.4, -1.1], [2.0, -3.0]
    mujoco.mj_forward(FAMILY.model, data)
    velocity = np.zeros(6)
    kind = mujoco.mjtObj.mjOBJ_SITE
    site = data.site("fingertip").id
    mujoco.mj_objectVelocity(FAMILY.model, data, kind, site, velocity, 0)
    expected = [*data.qpos, *data.qvel, *velocity[3:5]]
    np.testing.assert_allclose(seen["robot"][0, 0], expected, rtol=1e-5)


# Tasks.


def test_colours_of_test_tasks_are_unseen():
    population = FAMILY.population(0)
    train, test = (x["colours"].numpy() for x in (population.train, population.test))
    assert train.shape == (200, 3, 3) and test.shape == (150, 3, 3)
    rows = lambda colours: set(map(tuple, colours.reshape(-1, 3).round(3).tolist()))
    assert not rows(train) & rows(test)
    assert len(rows(train[:, 0])) == 200 and len(rows(test[:, 0])) == 150
    for colours in (train, test):
        tenths = 10 * colours
        np.testing.assert_allclose(tenths, np.round(tenths), atol=1e-5)
        assert tenths.min() >= 0 and tenths.max() <= 10
        between = np.linalg.norm(colours[:, [0, 0, 1]] - colours[:, [1, 2, 2]], axis=-1)
        assert 0.5 - 1e-5 <= between.min() < 0.55
        floor = np.linalg.norm(colours - [0.86, 0.88, 0.90], axis=-1)
        assert 0.3 - 1e-6 <= floor.min() < 0.35


def test_more_tasks_than_colours_have_other_blocks_beside_them():
    family = ColourReach(ColourReachConfig(num_train=1500))
    colours = family.population(1, 400).train["colours"].numpy().round(3)
    targets = np.unique(colours[:, 0], axis=0)
    assert 900 < len(targets) < 1100
    assert len(np.unique(colours.reshape(1500, 9), axis=0)) == 1500
    few = FAMILY.population(1).train["colours"].numpy().round(3)
    np.testing.assert_array_equal(colours[:200], few)


# What is paid.


def touching(family, distances):
    """Plays one episode of each row, a scripted one: the arm is held so that its fingertip is so
    far from the target at each step [N, T]; returns rewards [N, T] and the last state."""
    num_tasks, num_steps = distances.shape
    task = family.population(0, num_tasks).test
    state, _ = playing.start(family, task)
    still = tf.ones([num_tasks, 1], tf.bool)
    rewards = []
    for time in range(num_steps):
        tip = family._target(state).numpy()[:, 0] * 0 + [0.12, 0.0]
        places = state["places"].numpy()
        slot = np.argmin(state["order"].numpy()[:, 0], axis=1)
        places[np.arange(num_tasks), 0, slot] = tip + distances[:, time, None] * [0.6, 0.8]
        bend = np.arccos((0.12**2 - 0.1**2 - 0.11**2) / (2 * 0.1 * 0.11))
        angles = [-np.arctan2(0.11 * np.sin(bend), 0.1 + 0.11 * np.cos(bend)), bend]
        state = playing.put(family, state, angles, [0.0, 0.0])
        state = {**state, "places": tf.constant(places), "still": still}
        state, reward = act(family, task, state, 0.0)
        rewards.append(reward)
    return np.stack(rewards, axis=1), state


def test_success_is_to_be_there_in_the_last_ten_steps():
    """The least distance over the last 10 of 12 steps is 0.05 m at the most: paid once, at once."""
    distances = np.full([5, 12], 0.2)
    distances[0, :2] = 0.0  # too early
    distances[1, 2] = 0.049  # the first of the last ten
    distances[2, [5, 6, 11]] = 0.0, 0.01, 0.02
    distances[3, 11] = 0.0499
    distances[4, 2:] = 0.051
    rewards, state = touching(SHORT, distances)
    expected = np.zeros([5, 12])
    expected[1, 2] = expected[2, 5] = expected[3, 11] = 1
    np.testing.assert_array_equal(rewards, expected)
    by_definition = distances[:, -10:].min(axis=1) <= 0.05
    np.testing.assert_array_equal(state["done"][:, 0], by_definition)
    np.testing.assert_array_equal(state["time"][:, 0], [12] * 5)


def test_distance_is_paid_by_option():
    family = ColourReach(ColourReachConfig(horizon=12, reward="distance"))
    distances = np.linspace(0, 0.3, 12)[None] * [[1.0], [0.5]]
    rewards, _ = touching(family, distances)
    np.testing.assert_allclose(rewards, -distances, atol=1e-6)


def test_an_action_that_is_lost_is_not_paid():
    task = SHORT.population(0, 1).test
    state, _ = playing.start(SHORT, task)
    state, reward = act(SHORT, task, state, [np.nan, 0.0])
    assert np.isnan(reward).all() and SHORT.truncated(state).numpy().all()


# The expert.


@functools.cache
def demonstration(within_reach):
    """(task, key, scale of noise) -> (returns [N, E], actions and distances [T, N, E, ...])."""
    family = ColourReach(ColourReachConfig(within_reach=within_reach))

    @tf.function
    def play(task, key, scale):
        shape = key.shape[:2]
        state, _ = family.reset(task, key)
        noise = keys.normal(keys.salted(key, 1), [50, 2])
        arrays = [tf.TensorArray(tf.float32, 50) for _ in range(3)]
        for time in tf.range(50):
            wanted = family.expert(task, state)
            action = wanted + scale * noise[:, :, time]
            state, seen, reward, _ = family.step(task, state, action, tf.zeros([*shape, 0]))
            distance = tf.norm(seen["effector"] - family._target(state), axis=-1)
            row = reward, wanted, distance
            arrays = [array.write(time, each) for array, each in zip(arrays, row, strict=True)]
        rewards, actions, distances = (array.stack() for array in arrays)
        return tf.reduce_sum(rewards, axis=0), actions, distances

    task = family.population(100).train
    return lambda scale: [x.numpy() for x in play(task, episodes(200, 5), tf.constant(scale))]


@pytest.mark.slow
@pytest.mark.parametrize("scale", [0.0, 0.1, 0.3])
def test_the_expert_reaches_what_is_within_reach(scale):
    """At least 95 of 100 targets, also when noise of that standard deviation is added."""
    returns, actions, distances = demonstration(True)(scale)
    success = distances[-10:].min(axis=0) <= 0.05
    np.testing.assert_array_equal(returns, success)
    assert success.mean() >= (0.95 if scale else 1.0)
    assert np.abs(actions).max() <= 1
    if not scale:
        assert distances[25:].max() < 0.02  # well before the end, and it stays there


@pytest.mark.slow
def test_the_expert_does_what_can_be_done_beyond_its_reach():
    returns, _, distances = demonstration(False)(0.0)
    family = ColourReach(ColourReachConfig(within_reach=False))
    state, _ = tf.function(family.reset)(family.population(100).train, episodes(200, 5))
    beyond = np.maximum(np.linalg.norm(family._target(state), axis=-1) - REACH, 0)
    assert np.mean(beyond > 0) > 0.05 and np.mean(returns) < 1
    # An elbow that is bent as far as it goes leaves the fingertip 0.0177 m from the base.
    np.testing.assert_allclose(distances[-1], beyond, atol=0.018)
    sure = np.abs(beyond - 0.05) > 0.005
    np.testing.assert_array_equal(returns[sure], beyond[sure] < 0.05)


def test_the_expert_bends_the_elbow_to_the_side_of_the_episode():
    task = FAMILY.population(0, 2).test
    state, _ = playing.start(FAMILY, task)
    state = playing.put(FAMILY, state, [0.0, 0.0])
    places = tf.fill([2, 1, 3, 2], 0.1)
    both = {**state, "places": places, "elbow": tf.constant([[1.0], [-1.0]])}
    action = FAMILY.expert(task, both).numpy()[:, 0]
    assert action[0, 1] > 0 > action[1, 1]
    wide = ColourReach(ColourReachConfig(action_range=3.0))
    np.testing.assert_allclose(wide.expert(task, both).numpy()[:, 0], 3 * action, rtol=1e-6)


@pytest.mark.parametrize("options", [{"frame_skip": 2}, {"frame_skip": 10, "horizon": 30}])
def test_the_expert_knows_the_length_of_a_step(options):
    family = ColourReach(ColourReachConfig(**{"horizon": 100, **options}))
    task = family.population(0, 10).test
    state, _ = family.reset(task, episodes(10, 4))
    step = tf.function(family.step)
    for _ in range(family.horizon):
        action = family.expert(task, state)
        state, *_ = step(task, state, action, tf.zeros([10, 4, 0]))
    assert state["done"].numpy().all()


# Pictures.


def share(inside, pixel):
    return min(max(0.5 + inside / pixel, 0.0), 1.0)


def by_hand(height, width, places, colours, joints, model):
    """One picture [height, width, 3], pixel by pixel."""
    pixel = max(0.6 / width, 0.48 / height)
    found = np.zeros([height, width, 3])
    for row in range(height):
        for column in range(width):
            at = np.array([column + 0.5 - width / 2, height / 2 - row - 0.5]) * pixel
            seen = model.geom("floor").rgba[:3].astype(np.float64)
            for place, colour in zip(places, colours):
                inside = 0.03 - np.abs(at - place)
                cover = share(inside[0], pixel) * share(inside[1], pixel)
                seen = (1 - cover) * seen + cover * colour
            for start, end, geom in zip(joints, joints[1:], ("link0", "link1")):
                along = end - start
                nearest = np.clip((at - start) @ along / (along @ along), 0, 1)
                distance = np.linalg.norm(at - start - nearest * along)
                cover = share(0.01 - distance, pixel)
                seen = (1 - cover) * seen + cover * model.geom(geom).rgba[:3]
            found[row, column] = 255 * seen
    return found


def images(**options):
    return ColourReach(ColourReachConfig(observes="image", **options))


def joints_of(angles):
    """Base, elbow and fingertip, [3, 2]."""
    first, both = angles[0], angles.sum()
    elbow = 0.1 * np.array([np.cos(first), np.sin(first)])
    return np.stack([np.zeros(2), elbow, elbow + 0.11 * np.array([np.cos(both), np.sin(both)])])


@pytest.mark.parametrize("height, width", [(26, 32), (64, 80), (20, 11)])
def test_pictures_are_those_made_pixel_by_pixel(height, width):
    family = images(height=height, width=width)
    task = family.population(0, 2).test
    state, seen = family.reset(task, episodes(2, 2))
    assert set(seen) == set(family.observation_spec) == {"robot", "effector", "image"}
    assert seen["image"].dtype == tf.uint8 and seen["image"].shape == (2, 2, height, width, 3)
    for n, e in ((0, 0), (1, 1)):
        colours = task["colours"].numpy()[n][state["order"].numpy()[n, e]]
        joints = joints_of(state["row"].numpy()[n, e, :2])
        places = state["places"].numpy()[n, e]
        expected = by_hand(height, width, places, colours, joints, family.model)
        np.testing.assert_allclose(seen["image"][n, e], expected, atol=0.51)


def test_pictures_show_the_state_after_a_step():
    family = images(height=12, width=15)
    task = family.population(0, 2).test
    state, before = family.reset(task, episodes(2, 1))
    state, seen, *_ = family.step(task, state, tf.ones([2, 1, 2]), tf.zeros([2, 1, 0]))
    colours = task["colours"].numpy()[0][state["order"].numpy()[0, 0]]
    joints, places = joints_of(state["row"].numpy()[0, 0, :2]), state["places"].numpy()[0, 0]
    expected = by_hand(12, 15, places, colours, joints, family.model)
    np.testing.assert_allclose(seen["image"][0, 0], expected, atol=0.51)
    assert (seen["image"] != before["image"]).numpy().any()
    np.testing.assert_allclose(seen["effector"][0, 0], joints[-1], atol=1e-6)


def test_both_forms_are_the_same_episodes():
    task, key = FAMILY.population(0, 3).test, episodes(3, 2)
    states = [family.reset(task, key) for family in (FAMILY, images())]
    outcomes = [
        family.step(task, state, tf.fill([3, 2, 2], 0.3), tf.zeros([3, 2, 0]))
        for family, (state, _) in zip((FAMILY, images()), states)
    ]
    for (state, seen, *rest), (other, others, *remaining) in (states, outcomes):
        nest.map(np.testing.assert_array_equal, (state, rest), (other, remaining))
        for name in ("robot", "effector"):
            np.testing.assert_array_equal(seen[name], others[name])


@draws
def test_mujoco_draws_what_the_rasteriser_shows():
    """From the same height, in the same colours; its floor has lines, and its arm is round."""
    flat, drawn = images(height=64, width=80), images(height=64, width=80, renderer="mujoco")
    task, key = flat.population(0, 2).test, episodes(2, 2)
    state, seen = flat.reset(task, key)
    image = tf.function(drawn.reset)(task, key)[1]["image"].numpy().astype(int)
    assert image.shape == (2, 2, 64, 80, 3)
    difference = np.abs(image - seen["image"].numpy())
    assert np.median(difference) <= 10 and np.mean(difference > 60) < 0.05
    pixel = 0.6 / 80
    for n, e, slot in np.ndindex(2, 2, 3):
        colour = task["colours"].numpy()[n, state["order"].numpy()[n, e, slot]]
        x, y = state["places"].numpy()[n, e, slot]
        column, row = round(x / pixel + 39.5), round(31.5 - y / pixel)
        around = image[n, e, row - 2 : row + 3, column - 2 : column + 3].reshape(-1, 3)
        off = np.abs(around - 255 * colour).max(axis=1)
        assert np.min(off) < 40  # where the arm does not hide it


@draws
def test_films_show_the_blocks_of_the_episode():
    policy = policies.mlp_policy(SHORT.observation_spec, SHORT.action_spec, (4,))
    task = SHORT.population(0, 2).test
    params, key = nest.repeat(policy.init(0), 2), keys.per_episode(keys.from_int(3), 2, 1)
    trajectory = sampling.sample(policy, SHORT, params, task, 1, key)
    films = [
        SHORT.film([nest.map(lambda x: x[n : n + 1], Episodes(task, key, trajectory))], 3)
        for n in range(2)
    ]
    for n, [film] in enumerate(films):
        for colour in task["colours"].numpy()[n]:
            off = np.abs(film.pictures[0].astype(int) - 255 * colour).max(axis=-1)
            assert np.sum(off < 40) > 150


def test_what_draws_nothing_is_told_in_one_line(monkeypatch):
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("MUJOCO_GL", "glfw")
    with pytest.raises(ConfigError, match="EGL or OSMesa") as found:
        images(renderer="mujoco")
    assert "\n" not in str(found.value)


# All of it.


@pytest.mark.parametrize("observes", ["blocks", "image"])
def test_an_episode_is_its_key_s(observes):
    """Whatever is beside it in its batch."""
    family = ColourReach(ColourReachConfig(observes=observes))
    task = family.population(0, 3).test
    key = episodes(3, 4)
    state, seen = family.reset(task, key)
    alone, seen_alone = family.reset(nest.take(task, [1]), key[1:2, 2:3])
    pairs = zip(tf.nest.flatten((state, seen)), tf.nest.flatten((alone, seen_alone)))
    for among, one in pairs:
        np.testing.assert_array_equal(among[1:2, 2:3], one)
    assert len(np.unique(state["places"].numpy().reshape(12, 6), axis=0)) == 12


@pytest.mark.parametrize(
    "options, message",
    [
        ({"reward": "dense"}, "reward to be one of success, distance; received reward='dense'"),
        ({"num_train": 0}, "num_train to be > 0; received num_train=0"),
        ({"reset_noise": 3.2}, "reset_noise to be <= 3, where the elbow ends; received"),
        ({"within_reach": "yes"}, "within_reach"),
        ({"horizon": -1}, "horizon"),
        ({"observes": "video"}, "observes to be one of blocks, image; received observes='video'"),
        ({"observes": "image", "renderer": "x"}, "renderer to be one of rasteriser, mujoco"),
        ({"observes": "image", "width": 9}, "width to be a whole number from 10 to 4096"),
        ({"observes": "image", "height": 7}, "height to be a whole number from 8 to 4096"),
        ({"height": 64}, "height to be left at 26, as it acts only with observes=image"),
        ({"renderer": "mujoco"}, "renderer to be left at 'rasteriser', as it acts only with obs"),
    ],
)
def test_a_bad_option_is_one_line(options, message):
    with pytest.raises(ConfigError, match=message) as found:
        ColourReachConfig(**options)
    assert "\n" not in str(found.value)


def test_no_test_tasks_are_one_line():
    with pytest.raises(ConfigError, match="num_test to be a whole number from 1"):
        FAMILY.population(0, 0)


@pytest.mark.parametrize("observes", ["blocks", "image"])
def test_the_family_is_well(observes):
    config = ColourReachConfig(horizon=12, observes=observes)
    environments.check(ColourReach(config), quiet=True)
