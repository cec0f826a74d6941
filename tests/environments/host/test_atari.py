"""Atari games: what a step is, and that states hold all of an episode."""

import sys

import numpy as np
import pytest
import tensorflow as tf

import tfcaml
from tests.experiments.same_runs import check_same
from tfcaml import environments, keys, learners, nest
from tfcaml.environments import Atari, AtariConfig
from tfcaml.errors import ConfigError
from tfcaml.experiments.experiment import Experiment
from tfcaml.rollouts import sampling

FIRE, RIGHT, LEFT = 1, 3, 4  # ale-py's actions


@pytest.fixture(scope="module")
def ale():
    return pytest.importorskip("ale_py")


def made(**options):
    return Atari(AtariConfig(**{"game": "breakout", "max_frames": 4 * 400, **options}), 1)


@pytest.fixture(scope="module")
def family(ale):
    return made()


def task_of(family, number=1):
    return nest.repeat(nest.map(lambda x: x[0], family.population(0).test), number)


def start(family, seed=3, tasks=1, episodes=2):
    task, key = task_of(family, tasks), keys.per_episode(keys.from_int(seed), tasks, episodes)
    return task, *family.reset(task, key)


def played(family, task, state, actions):
    """Steps [T, N, E] of actions: (state, [(observation, reward, terminated)])."""
    found = []
    for action in actions:
        state, *step = family.step(task, state, tf.constant(action, tf.int32), None)
        found.append([x.numpy() for x in step])
    return state, found


def same(left, right):
    for one, other in zip(left, right, strict=True):
        for x, y in zip(one, other, strict=True):
            np.testing.assert_array_equal(x, y)


def actions_of(number, shape=(1, 2), seed=0):
    return np.random.default_rng(seed).choice([FIRE, RIGHT, LEFT], [number, *shape])


def test_without_ale_py_a_line_says_which_extra_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "ale_py.vector_env", None)  # as if it were not installed
    config = AtariConfig()  # can be written down all the same
    line = r"expected the packages ale-py and .* installed; do: pip install 'tfcaml\[atari\]'"
    with pytest.raises(ConfigError, match=line):
        Atari(config)


@pytest.mark.parametrize(
    "options, message",
    [
        ({"game": "Pong"}, "game to be one of alien, "),
        ({"frame_skip": 0}, "frame_skip to be >= 1"),
        ({"max_no_ops": 0}, "max_no_ops to be >= 1"),
        ({"max_frames": 3}, "max_frames to be at least one step of 4 frames"),
        ({"sticky_actions": 1.5}, "sticky_actions to be in"),
    ],
)
def test_bad_options_are_refused(options, message):
    with pytest.raises(ConfigError, match=message):
        AtariConfig(**options)


def test_as_in_the_papers_unless_told_otherwise(ale):
    family = Atari()
    assert family.horizon * 4 == 108_000
    assert family.action_spec.maximum == 17
    assert family.observation_spec.shape == [84, 84, 4]
    assert family.observation_spec.dtype == tf.uint8
    assert made(full_action_set=False).action_spec.maximum == 3


def test_an_observation_is_the_last_four_pictures(family):
    task, state, observation = start(family)
    first = observation.numpy()
    assert not first[..., :3].any()  # before the first one there is none
    assert first[..., 3].max() > 100 and first[..., 3].std() > 5
    _, steps = played(family, task, state, actions_of(3))
    before = first
    for observation, _, _ in steps:
        np.testing.assert_array_equal(observation[..., :3], before[..., 1:])
        before = observation
    assert (before != first).any()


def test_steps_are_those_of_ale_played_by_hand(ale):
    """Points of Asterix: none clipped, each action for four frames, after 1 to 30 no-ops."""
    family = made(game="asterix", max_frames=4 * 40)
    task, state, _ = start(family, episodes=3)
    actions = np.random.default_rng(1).integers(0, 18, [40, 1, 3])
    found = np.array([reward[0] for _, reward, _ in played(family, task, state, actions)[1]])
    assert found.max() == 50 and (found > 0).any(axis=0).all()

    def by_hand(no_ops, own):
        game = ale.ALEInterface()
        game.setFloat("repeat_action_probability", 0.0)
        game.loadROM(ale.roms.get_rom_path("asterix"))
        game.reset_game()
        for _ in range(no_ops):
            game.act(0)
        everything = game.getLegalActionSet()
        return [sum(game.act(everything[a]) for _ in range(4)) for a in own]

    ale.ALEInterface.setLoggerMode(ale.LoggerMode.Error)
    for row in range(3):
        own = actions[:, 0, row]
        assert any(by_hand(n, own) == found[:, row].tolist() for n in range(1, 31))


def test_a_step_depends_on_nothing_but_its_arguments(family):
    """Also from a state of before, in another object, in another order, and alone."""
    task, state, _ = start(family, episodes=3)
    actions = actions_of(12, (1, 3))
    middle, first = played(family, task, state, actions[:5])
    _, later = played(family, task, middle, actions[5:])
    same(played(family, task, middle, actions[5:])[1], later)
    same(played(made(), task, middle, actions[5:])[1], later)
    saved = nest.map(lambda x: tf.constant(x.numpy()), middle)
    same(played(made(), task, saved, actions[5:])[1], later)
    rows = lambda x, which: x[:, which]
    other = nest.map(lambda x: tf.gather(x, [2, 0], axis=1), middle)
    found = played(family, task, other, actions[5:, :, [2, 0]])[1]
    same(found, [[rows(x, [2, 0]) for x in step] for step in later])
    same(played(family, task, state, actions[:5])[1], first)


def test_episodes_of_different_lengths_are_found_again_together(family):
    task, state, _ = start(family, episodes=2)
    actions = actions_of(9)
    ahead, _ = played(family, task, state, actions[:6])
    key = keys.per_episode(keys.from_int(8), 1, 2)
    alive = tf.constant([[True, False]])
    observation = tf.zeros([1, 2, 84, 84, 4], tf.uint8)
    mixed, _ = family.restart(task, ahead, observation, alive, key)
    assert mixed["time"].numpy().tolist() == [[6, 0]]
    mixed, _ = played(family, task, mixed, actions[6:7])
    _, later = played(family, task, mixed, actions[7:])
    same(played(made(), task, mixed, actions[7:])[1], later)


def test_an_episode_that_has_ended_stands_still_and_gives_way_to_a_new_one(family):
    """Breakout of 5 lives, while nothing but FIRE is pressed."""
    task, state, observation = start(family, seed=5)
    ended = np.zeros([1, 2], bool)
    points = np.zeros([1, 2])
    for _ in range(family.horizon):
        state, observation, reward, terminated = family.step(
            task, state, tf.fill([1, 2], FIRE), None
        )
        assert not (np.asarray(reward) * ended).any() and not (terminated.numpy() & ended).any()
        points += reward.numpy()
        ended |= terminated.numpy()
        if ended.any():
            break
    assert ended.any() and state["ended"].numpy().tolist() == ended.tolist()
    still, *_ = family.step(task, state, tf.fill([1, 2], FIRE), None)
    row = int(np.flatnonzero(ended[0])[0])
    nest.map(lambda x, y: np.testing.assert_array_equal(x[0, row], y[0, row]), still, state)
    key = keys.per_episode(keys.from_int(9), 1, 2)
    again, image = family.restart(task, still, observation, ~still["ended"], key)
    _, fresh, first = start(made(), seed=9)
    np.testing.assert_array_equal(image[0, row], first[0, row])
    nest.map(lambda x, y: np.testing.assert_array_equal(x[0, row], y[0, row]), again, fresh)
    actions = actions_of(5)
    found, expected = (
        played(where, task, at, actions)[1] for where, at in ((family, again), (made(), fresh))
    )
    alone = lambda steps: [[x[0, row] for x in step] for step in steps]
    same(alone(found), alone(expected))


@pytest.mark.slow
@pytest.mark.parametrize("options", [{}, {"sticky_actions": 0.25}, {"game": "pong"}])
def test_the_family_is_sound(ale, options):
    environments.check(made(**{"max_frames": 4 * 30, **options}), num_episodes=3)


def test_sticky_actions_repeat_the_one_before(ale):
    """Always: whatever is chosen, nothing is done."""
    family = made(sticky_actions=1.0)
    task, state, _ = start(family)
    _, chosen = played(family, task, state, actions_of(6))
    _, nothing = played(family, task, state, np.zeros([6, 1, 2], int))
    same(chosen, nothing)


def test_whole_episodes_come_without_what_was_seen(ale):
    family = made(max_frames=4 * 6)
    policy = learners.A2C.make_policy(family, learners.A2C.Config(torso="convolutional"))
    params, task = nest.repeat(policy.init(0), 1), task_of(family)
    found = sampling.sample(policy, family, params, task, 2, keys.from_int(1))
    assert found.observation == () and found.reward.shape == [1, 2, 6]
    assert found.mask.numpy().all() and found.final_observation.shape == [1, 2, 84, 84, 4]


def test_who_can_learn(ale):
    family, config = made(), learners.A2C.Config
    with pytest.raises(ConfigError, match="learner to be one that learns from parts of episodes: "):
        learners.Reptile(family)
    with pytest.raises(ConfigError, match="unroll to be >= 1: episodes of Atari are too long"):
        learners.A2C(family, config=config(torso="convolutional"))
    sizes = {"unroll": 2, "episodes_per_update": 1, "inner_updates": 1}
    learner = learners.A2C(family, config=config(torso="convolutional", **sizes))
    with pytest.raises(ConfigError, match="num_updates to be 0 in Atari"):
        tfcaml.evaluate(learner, family.population(0).test, num_updates=1, num_episodes=1)


@pytest.mark.slow
def test_a_run_that_was_stopped_ends_like_one_that_was_not(ale, tmp_path):
    from tfcaml.configs.meta_gradient import atari

    content = atari.get_config().to_dict()
    content["environment"]["max_frames"] = 4 * 7  # so that episodes end in the middle of a segment
    content["learner"] |= {
        **{"num_iterations": 3, "inner_updates": 2},
        **{"episodes_per_update": 2, "unroll": 3},
    }
    content["evaluation"]["episodes"] = 2

    def run(root, stops=()):
        stops = iter([*stops, *[False] * 3])
        experiment = Experiment.create(root, content, 100, should_stop=lambda: next(stops))
        return experiment.train() and experiment.evaluate()

    assert run(tmp_path / "whole")
    assert not run(tmp_path / "stopped", [True])
    assert not run(tmp_path / "stopped", [True])
    assert run(tmp_path / "stopped")
    check_same(tmp_path / "whole", tmp_path / "stopped")
