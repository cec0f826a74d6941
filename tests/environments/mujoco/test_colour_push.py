"""Pushing of objects that differ by colour: layouts, what is observed and paid, and the expert."""

import mujoco
import numpy as np
import pytest
import tensorflow as tf

from tests.environments.mujoco import playing
from tfcaml import keys, nest
from tfcaml.environments import ColourPush, ColourPushConfig
from tfcaml.errors import ConfigError

PUSH = ColourPush()
FAR = ColourPush(ColourPushConfig(reward="distance"))
GOAL, ELSEWHERE = [0.0, 0.0], [-0.2, -0.15]


@pytest.fixture(scope="module")
def population():
    return PUSH.population(0)


@pytest.fixture(scope="module")
def task(population):
    return nest.take(population.train, range(8))


def starts(task, num_episodes=60, seed=3):
    key = keys.per_episode(keys.from_int(seed), nest.leading(task), num_episodes)
    return PUSH.reset(task, keys.salted(key, keys.RESET))


@pytest.fixture(scope="module")
def started(task):
    """Sixty episodes of each task: (state, observation)."""
    return starts(task)


def places(state):
    """Where the object to push and the other one are, by the simulator: each [N, E, 2]."""
    row = state["row"].numpy()
    return row[..., 7:9], row[..., 9:11]


def at(task, target, distractor=ELSEWHERE, family=PUSH):
    """A state of one episode of each task with objects at places [2]."""
    state, _ = playing.start(family, task)
    positions = playing.positions(family, state)
    positions[:, 7:] = [*target, *distractor]
    return playing.put(family, state, positions)


def test_objects_start_where_the_source_has_them(started):
    target, distractor = places(started[0])
    for each in (target, distractor):
        assert each[..., 0].min() > -0.3 and each[..., 0].max() < 0
        assert np.abs(each[..., 1]).max() < 0.2
        assert np.linalg.norm(each, axis=-1).min() > 0.17
        # All over the room that there is.
        assert each[..., 0].min() < -0.29 and each[..., 0].max() > -0.02
        assert each[..., 1].min() < -0.19 and each[..., 1].max() > 0.19
    assert np.linalg.norm(target - distractor, axis=-1).min() > 0.1
    assert (target[..., 1] * distractor[..., 1] < 0).all()
    assert 0.4 < (target[..., 1] > 0).mean() < 0.6


def test_nothing_touches_at_the_start(started):
    rows, data = started[0]["row"].numpy().reshape(480, -1), mujoco.MjData(PUSH.model)
    for row in rows:
        data.qpos[:] = row[: PUSH.model.nq]
        mujoco.mj_forward(PUSH.model, data)
        assert all(contact.dist > 0 for contact in data.contact)  # objects within the margin
    velocity = rows[:, PUSH.model.nq : PUSH.model.nq + PUSH.model.nv]
    assert abs(velocity[:, :7].std() / 0.05 - 1) < 0.1 and (velocity[:, 7:] == 0).all()


def test_the_place_in_the_observation_does_not_tell_which_object_is_to_be_pushed(task, started):
    state, observation = started
    order, objects = state["order"].numpy(), observation["objects"].numpy()
    assert 0.43 < order.mean() < 0.57  # 480 fair coins: within three standard deviations
    assert (order.mean(axis=1) > 0.2).all() and (order.mean(axis=1) < 0.8).all()
    side = places(state)[0][..., 1] > 0
    assert abs(np.corrcoef(order.ravel(), side.ravel())[0, 1]) < 0.15
    own = np.take_along_axis(objects, order[..., None, None], axis=2)[:, :, 0]
    other = np.take_along_axis(objects, 1 - order[..., None, None], axis=2)[:, :, 0]
    colours = task["colours"].numpy()
    for seen, where, colour in zip((own, other), places(state), (colours[:, 0], colours[:, 1])):
        np.testing.assert_allclose(seen[..., :2], where, atol=1e-7)
        np.testing.assert_array_equal(seen[..., 2:], np.repeat(colour[:, None], 60, axis=1))


def test_an_object_keeps_its_place_in_the_observation(task, started):
    state, observation = started
    action = tf.ones([8, 60, 7])
    later, seen, *_ = PUSH.step(task, state, action, tf.zeros([8, 60, 0]))
    np.testing.assert_array_equal(later["order"], state["order"])
    # The hand has met none; such as are within the contact's margin push each other a little.
    np.testing.assert_allclose(seen["objects"], observation["objects"], atol=0.005)


def test_colours_of_test_tasks_are_of_no_training_task():
    for seed in (0, 1):
        population = PUSH.population(seed)
        train, test = (x["colours"].numpy() for x in (population.train, population.test))
        assert train.shape == (693, 2, 3) and test.shape == (74, 2, 3)
        rows = lambda x: {tuple(row) for row in x.reshape(-1, 3).tolist()}
        assert not rows(train) & rows(test)
        assert len(rows(train)) > 150 and len(rows(test)) > 35
        for each in (train, test):
            assert np.linalg.norm(each[:, 0] - each[:, 1], axis=-1).min() >= 0.5
            assert len(np.unique(each.reshape(-1, 6), axis=0)) == len(each)
            np.testing.assert_allclose(each * 5, np.round(each * 5), atol=1e-6)
    assert rows(test) != rows(PUSH.population(0).test["colours"].numpy())


def test_more_tasks_than_pairs_of_colours_are_refused():
    with pytest.raises(ConfigError, match=r"num_test to be a whole number from 1 to 1\d\d\d; rec"):
        PUSH.population(0, 5000)
    many = ColourPush(ColourPushConfig(num_train=100_000))
    with pytest.raises(ConfigError, match=r"num_train to be a whole number from 1 to .*100000"):
        many.population(0)


def test_options_are_checked():
    with pytest.raises(ConfigError, match=r"reward to be one of .*success.*distance"):
        ColourPushConfig(reward="dense")
    with pytest.raises(ConfigError, match="horizon to be at least 10, as success takes"):
        ColourPushConfig(horizon=9)
    assert ColourPushConfig(horizon=9, reward="distance").horizon == 9


def test_the_hand_and_what_moves_it_are_mujoco_s():
    data, model = mujoco.MjData(PUSH.model), PUSH.model
    angles = np.random.default_rng(0).uniform(-1, 1, [5, 7])
    arm = PUSH._arm(tf.constant(angles[None], tf.float32))
    for row, hand, jacobian in zip(angles, arm.hand[0], arm.jacobian[0]):
        data.qpos[:7] = row
        mujoco.mj_forward(model, data)
        expected = np.zeros([3, model.nv])
        mujoco.mj_jacSite(model, data, expected, None, model.site("hand").id)
        np.testing.assert_allclose(hand, data.site("hand").xpos, atol=1e-6)
        np.testing.assert_allclose(jacobian, expected[:, :7], atol=1e-6)


def test_observations_of_the_arm(task):
    one = nest.take(task, [0])
    state, observation = playing.start(PUSH, one)
    row = state["row"].numpy()[0, 0]
    np.testing.assert_allclose(observation["robot"][0, 0], [*row[:7], *row[11:18]], rtol=1e-6)
    hand = PUSH._arm(tf.constant(row[None, None, :7], tf.float32)).hand
    np.testing.assert_allclose(observation["effector"], hand, atol=1e-7)
    np.testing.assert_allclose(hand[0, 0], [-0.4, 0, -0.13], atol=0.08)


def pay(family, task, state, targets):
    """What is paid for steps after each of which the object to push is at one of `targets`."""
    rewards = []
    for target in targets:
        positions = playing.positions(family, state)
        positions[:, 7:] = [*target, *ELSEWHERE]
        state = playing.put(family, state, positions, np.zeros(11))
        state, _, reward, ended = playing.step(family, task, state)
        assert not ended.any()
        rewards.append(reward[0])
    return rewards, int(state["near"][0, 0])


def test_success_is_paid_once_in_the_tenth_step_near_the_goal(task):
    """Squares of the distance below 0.017; steps need not follow on each other."""
    one = nest.take(task, [0])
    inside, outside = [-0.13, 0.0], [-0.131, 0.0]  # 0.0169 and 0.01716
    expected = [0.0] * 9 + [1.0] + [0.0] * 5
    assert pay(PUSH, one, at(one, GOAL), [inside] * 15) == (expected, 15)
    assert pay(PUSH, one, at(one, GOAL), [outside] * 15) == ([0.0] * 15, 0)
    turns = [inside, outside] * 9 + [outside, inside, inside]
    assert pay(PUSH, one, at(one, GOAL), turns) == ([0.0] * 19 + [1.0, 0.0], 11)
    diagonal = [-0.0924, 0.0924]  # 0.01707
    assert pay(PUSH, one, at(one, GOAL), [diagonal])[1] == 0


def test_the_other_object_is_not_paid_for(task):
    one = nest.take(task, [0])
    state = at(one, ELSEWHERE, GOAL)
    for _ in range(12):
        state, _, reward, _ = playing.step(PUSH, one, state)
        assert reward[0] == 0
    assert int(state["near"][0, 0]) == 0


def test_distances_are_paid_by_the_source_s_formula(task):
    two = nest.take(task, [0, 1])
    state = at(two, [-0.25, 0.1], family=FAR)
    action = np.linspace(-0.8, 1.4, 7)
    later, seen, reward, _ = playing.step(FAR, two, state, action)
    for row in range(2):
        target, hand = places(later)[0][row, 0], seen["effector"][row]
        cost = np.sum(np.minimum(action, 1) ** 2)
        middle = np.array([*target, -0.275])
        expected = -np.linalg.norm(target) - 0.5 * np.linalg.norm(middle - hand) - 0.1 * cost
        np.testing.assert_allclose(reward[row], expected, rtol=1e-5)


def test_an_action_that_is_no_number_is_never_paid_for(task):
    one = nest.take(task, [0])
    state = {**at(one, GOAL), "near": tf.constant([[9]])}
    later, _, reward, _ = playing.step(PUSH, one, state, np.nan)
    assert np.isnan(reward[0]) and int(later["near"][0, 0]) == 9


def play(task, num_episodes, seed, noise=0.0, family=PUSH, num_steps=100):
    """What the expert does and gets, with noise added: (actions, rewards, rows), [T, N, E, ...]."""
    shape = [nest.leading(task), num_episodes]
    key = keys.per_episode(keys.from_int(seed), *shape)
    state, _ = family.reset(task, keys.salted(key, keys.RESET))

    @tf.function(autograph=False)
    def step(state, time):
        told = family.expert(task, state)
        action = told + noise * tf.random.stateless_normal(told.shape, [seed, time])
        state, _, reward, _ = family.step(task, state, action, tf.zeros([*shape, 0]))
        return state, told, reward

    rows = []
    for time in range(num_steps):
        state, *each = step(state, tf.constant(time))
        rows.append([x.numpy() for x in (*each, state["row"])])
    return [np.stack(x) for x in zip(*rows)]


@pytest.fixture(scope="module")
def demonstrated(task):
    return play(task, 10, seed=100, noise=0.1)


def test_the_expert_pushes_the_right_object_to_the_goal(demonstrated):
    """With noise of a tenth of the torques' range; 1000 episodes are in the next test."""
    action, reward, row = demonstrated
    assert action.shape == (100, 8, 10, 7) and np.abs(action).max() <= 1
    assert reward.sum(axis=0).mean() >= 0.95
    near = np.sum(row[..., 7:9] ** 2, axis=-1) < 0.017
    np.testing.assert_array_equal(reward.sum(axis=0) == 1, near.sum(axis=0) >= 10)
    wrong = np.sum(row[-1, ..., 9:11] ** 2, axis=-1) < 0.017
    assert wrong.mean() < 0.05


@pytest.mark.slow
@pytest.mark.parametrize("noise", [0.0, 0.1, 0.2])
def test_the_expert_meets_its_bar(noise):
    """At least 90 % of 1000 episodes succeed; in fact it is 99 %."""
    task = nest.take(PUSH.population(101).train, range(50))
    _, reward, _ = play(task, 20, seed=101, noise=noise)
    assert reward.sum(axis=0).mean() >= 0.97


def test_the_expert_asks_for_shares_of_the_range(task):
    wide = ColourPush(ColourPushConfig(action_range=5.0))
    state, _ = starts(task, 4)
    np.testing.assert_allclose(
        wide.expert(task, state), 5 * PUSH.expert(task, state).numpy(), rtol=1e-5, atol=1e-6
    )


def test_what_the_expert_does_follows_from_the_state(task, started):
    """Of each episode alone, and of the object's place and not of the observation's order."""
    state, _ = started
    told = PUSH.expert(task, state).numpy()
    alone = PUSH.expert(nest.take(task, [3]), nest.map(lambda x: x[3:4, 5:6], state))
    np.testing.assert_allclose(alone[0, 0], told[3, 5], rtol=1e-4, atol=1e-5)
    turned = {**state, "order": 1 - state["order"]}
    np.testing.assert_array_equal(PUSH.expert(task, turned), told)


def test_episodes_are_played_again_to_the_bit(task, demonstrated):
    again = play(task, 10, seed=100, noise=0.1, num_steps=5)
    for one, other in zip(demonstrated, again):
        np.testing.assert_array_equal(one[:5], other)


def test_films_show_the_colours_and_the_goal(population):
    shown = PUSH.physics(population.test)["geom_rgba"].numpy()
    for index, name in enumerate(("target", "distractor")):
        colour = shown[:, PUSH.model.geom(name).id]
        np.testing.assert_array_equal(colour[:, :3], population.test["colours"][:, index])
        assert (colour[:, 3] == 1).all()
    others = [i for i in range(PUSH.model.ngeom) if PUSH.model.geom(i).bodyid not in (8, 9)]
    np.testing.assert_array_equal(shown[0, others], PUSH.model.geom_rgba[others])
    where = PUSH.goal(population.test).numpy()
    assert where.shape == (74, 3) and (where[:, :2] == 0).all() and abs(where[0, 2] + 0.322) < 1e-6
