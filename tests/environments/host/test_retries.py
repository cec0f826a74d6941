"""Environments that raise, hang or give nonsense: mended without a trace, or named."""

import signal
import threading

import gymnasium
import numpy as np
import pytest
import tensorflow as tf

from tests.environments.conftest import wait_for
from tfcaml import environments, keys, learners, nest, policies
from tfcaml.environments import HostEnvironment
from tfcaml.environments.host import environment
from tfcaml.errors import ConfigError, RunError, from_python
from tfcaml.rollouts import sampling

TASKS = {"gain": [0.3, -0.5]}, {"gain": [0.4]}
HORIZON = 4
NEVER = threading.Event()
TIMEOUT = 0.4  # seconds


def raises(observation, reward):
    raise RuntimeError("the motor\nis hot")


def hangs(observation, reward):
    NEVER.wait(60)


FAULTS = {
    "raises": raises,
    "hangs": hangs,
    "nan observation": lambda observation, reward: (observation * np.nan, reward),
    "infinite reward": lambda observation, reward: (observation, np.inf),
    "wrong shape": lambda observation, reward: (observation[:1], reward),
    "no observation": lambda observation, reward: (None, reward),
}
MESSAGES = {
    "raises": "RuntimeError: the motor is hot",
    "hangs": "TimeoutError: no answer within",
    "nan observation": r"expected finite observations; received observation=\[nan nan\]",
    "infinite reward": "expected a finite reward; received reward=inf",
    "wrong shape": r"expected an observation of shape \(2,\); received shape=\(1,\)",
    "no observation": r"expected an observation of shape \(2,\); received shape=\(\)",
}


@pytest.fixture(scope="module", autouse=True)
def let_go():
    """Threads that hang end with the tests."""
    yield
    NEVER.set()


@pytest.fixture(scope="module")
def make_family(walk_class):
    """(fault, step, times) -> a family whose walks have the fault at that step of each episode.

    times: how often in all; a step of 0 is the reset.
    """

    def make(fault=None, step=0, times=0, **options):
        left = [times]

        class Faulty(walk_class):
            def reset(self, **kwargs):
                observation, info = super().reset(**kwargs)
                self.steps = 0
                return self._with_fault(observation, 0.0)[0], info

            def step(self, action):
                observation, reward, *_ = super().step(action)
                self.steps += 1
                return *self._with_fault(observation, reward), False, False, {}

            def _with_fault(self, observation, reward):
                if self.steps != step or left[0] == 0:
                    return observation, reward
                left[0] -= 1
                return FAULTS[fault](observation, reward)

        return HostEnvironment(Faulty, TASKS, horizon=HORIZON, **options)

    return make


@from_python()
def play(family, num_episodes=2):
    """A rollout with weights, tasks and keys that are always the same."""
    policy = policies.mlp_policy(family.observation_spec, family.action_spec, (4,))
    task = family.population(0).train
    params = nest.repeat(policy.init(0), 2)

    @tf.function(autograph=False)
    def sample():
        return sampling.sample(policy, family, params, task, num_episodes, keys.from_int(3))

    return nest.map(np.asarray, sample())


@pytest.fixture(scope="module")
def faultless(make_family):
    return play(make_family())


@pytest.mark.parametrize(
    ("fault", "step"), [("raises", 0), ("hangs", 0), ("nan observation", 0), *zip(FAULTS, [2] * 6)]
)
def test_a_passing_fault_changes_no_number(make_family, faultless, fault, step):
    family = make_family(fault, step, times=2, step_timeout=TIMEOUT)
    nest.map(np.testing.assert_array_equal, play(family), faultless)
    kind = "timeouts" if fault == "hangs" else "errors"
    assert family.faults() == {kind: 2, "retried_episodes": 2}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_lasting_fault_ends_with_task_and_seed(make_family, fault):
    family = make_family(fault, 2, times=-1, step_timeout=TIMEOUT, max_retries=1)
    message = r"step 2 of the environment failed 2 times for task gain=0.3, seed=\d+: .*"
    with pytest.raises(RunError, match=message + MESSAGES[fault]) as failure:
        play(family)
    assert "\n" not in str(failure.value)
    # The seed is the one to reset an environment with.
    episode = keys.salted(keys.per_episode(keys.from_int(3), 2, 2), keys.RESET)
    seed = environment._episode_seed(episode[0, 0].numpy())
    assert f"seed={seed}:" in str(failure.value) and len(family._pool._under_way) == 0


@pytest.mark.slow
def test_learning_goes_on_as_without_faults(make_family):
    faulty, sound = make_family("raises", 3, times=5, max_retries=5), make_family()
    found = []
    for family in (faulty, sound):
        policy = policies.mlp_policy(family.observation_spec, family.action_spec, (4,))
        config = learners.Reptile.Config(inner_updates=1, episodes_per_update=2)
        learner = learners.Reptile(family, policy, config)
        learner.train(nest.take(family.population(0).train, [0]), keys.from_int(0))
        found.append(learner.meta.read())
    nest.map(np.testing.assert_array_equal, *found)
    assert faulty.faults()["errors"] == 5 and sound.faults() == {}


def test_an_environment_that_is_not_its_seeds_can_not_be_mended(walk_class):
    rng = np.random.default_rng(0)

    class Moody(walk_class):
        def _observation(self):
            if rng.uniform() < 0.2:
                raise RuntimeError("not today")
            return rng.uniform(size=2)

    family = HostEnvironment(Moody, TASKS, horizon=HORIZON)
    with pytest.raises(RunError, match="again with the same seed it gave other observations"):
        play(family, num_episodes=20)


def test_environments_that_can_not_be_made_again_are_named(walk_class):
    made = []

    def make():
        made.append(walk_class())
        if len(made) > 3:
            raise OSError("no more licences")
        return made[-1]

    family = HostEnvironment(make, TASKS, horizon=HORIZON, max_retries=0)
    with pytest.raises(RunError, match=r"^reset .* failed once for task .* no more licences"):
        play(family)


def test_an_action_that_is_no_number_ends_its_episode_with_a_reward_of_nan():
    class Slide(gymnasium.Env):
        observation_space = gymnasium.spaces.Box(-9, 9, [1], np.float32)
        action_space = gymnasium.spaces.Box(-1, 1, [1], np.float32)
        set_task = lambda self, task: None
        reset = lambda self, **_: (np.zeros(1, np.float32), {})
        step = lambda self, action: (action, float(action[0]), False, False, {})

    family = HostEnvironment(Slide, TASKS, horizon=HORIZON)
    task = family.population(0).train
    state, _ = family.reset(task, keys.per_episode(keys.from_int(0), 2, 1))
    action = tf.constant([[[np.nan]], [[0.5]]], tf.float32)
    state, _, reward, terminated = family.step(task, state, action, None)
    np.testing.assert_array_equal(reward, [[np.nan], [0.5]])
    np.testing.assert_array_equal(state["ended"], [[True], [False]])
    np.testing.assert_array_equal(family.truncated(state), [[True], [False]])
    assert not np.any(terminated) and family.faults() == {}


def test_limits_are_checked(walk_class):
    for options, message in (
        (
            {"max_retries": -1},
            "expected max_retries to be a whole number from 0 to .*; received max_retries=-1",
        ),
        ({"step_timeout": 0}, "expected step_timeout to be > 0; received step_timeout=0"),
        ({"step_timeout": np.inf}, "expected step_timeout to be finite; received step_timeout=inf"),
        (
            {"step_timeout": 1e10},
            r"expected step_timeout to be at most 1e\+06 \(seconds\), or None",
        ),
    ):
        with pytest.raises(ConfigError, match=message):
            HostEnvironment(walk_class, TASKS, horizon=HORIZON, **options)


def test_what_signal_can_not_do_here_is_said_in_one_line(walk_class):
    class Alarmed(walk_class):
        def reset(self, **kwargs):
            signal.signal(signal.SIGALRM, signal.SIG_DFL)
            return super().reset(**kwargs)

    def make():
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        return walk_class()

    line = r"ValueError: signal only works in main thread .*; worker='process' has\)"
    with pytest.raises(ConfigError, match=line):
        HostEnvironment(make, TASKS, horizon=HORIZON)
    with pytest.raises(RunError, match="^reset of the environment failed once.* " + line):
        play(HostEnvironment(Alarmed, TASKS, horizon=HORIZON, max_retries=0))


@pytest.mark.parametrize("step", [0, 2])
def test_an_environment_that_hung_is_left_behind_and_closed_when_it_wakes(walk_class, step):
    """Nobody calls it again. Its thread, which was late, closes it and the other that is its own;
    a new thread makes both anew.
    """
    wake, log = threading.Event(), []

    class Sleepy(walk_class):
        number = 0

        def __init__(self):
            super().__init__()
            Sleepy.number += 1
            self.number, self.thread = Sleepy.number, threading.get_ident()

        def _observation(self):
            if self.number == 2 and self.steps == step:
                wake.wait(60)
            log.append((self.number, "call", threading.get_ident() == self.thread))
            return super()._observation()

        def reset(self, **kwargs):
            self.steps = 0
            return super().reset(**kwargs)

        def step(self, action):
            self.steps += 1
            return super().step(action)

        def close(self):
            log.append((self.number, "close", threading.get_ident() == self.thread))

    family = HostEnvironment(Sleepy, TASKS, horizon=HORIZON, step_timeout=TIMEOUT)
    found = play(family, num_episodes=1)  # two environments, of which the second hangs
    assert family.faults() == {"timeouts": 1, "retried_episodes": 1} and Sleepy.number == 4
    assert len(family._pool) == 2 and (found.mask == 1).all()
    of = lambda numbers: [entry for entry in log if entry[0] in numbers]
    before = of([1, 2])
    assert all(what == "call" for _, what, _ in before)
    wake.set()
    family.close()
    wait_for(lambda: (2, "close", True) in log)
    ends = [(2, "call", True), (1, "close", True), (2, "close", True)]
    assert of([1, 2])[len(before) :] == ends
    assert {(3, "close", True), (4, "close", True)} < set(log)
    assert all(in_own_thread for _, _, in_own_thread in log)


def test_episodes_that_shared_a_worker_with_one_that_hung_change_no_number(make_family, faultless):
    """Of two workers with two environments each; the third step has the most to be played again."""
    for workers in (1, 2, None):
        family = make_family("hangs", 3, times=1, step_timeout=TIMEOUT, workers=workers)
        nest.map(np.testing.assert_array_equal, play(family), faultless)
        assert family.faults() == {"timeouts": 1, "retried_episodes": 1}
        assert len(family._pool) == 4


def test_a_task_that_the_environment_changes_is_told_again_as_it_was(walk_class):
    told = []

    class Greedy(walk_class):
        def set_task(self, task):
            told.append(task["gains"].pop())
            self.gain = told[-1]

        def step(self, action):
            if len(told) < 3:
                raise RuntimeError("again")
            return super().step(action)

    tasks = {"gains": [[0.1, 0.3]]}, {"gains": [[0.4, 0.5]]}
    family = HostEnvironment(Greedy, tasks, horizon=HORIZON)
    task = family.population(0).train
    state, _ = family.reset(task, keys.per_episode(keys.from_int(0), 1, 1))
    family.step(task, state, tf.constant([[1]]), None)
    assert told == [0.3] * 3


@pytest.mark.parametrize(
    "space, value, message",
    [
        (gymnasium.spaces.Discrete(4), 1.7, "an observation of dtype int64; received float64 1.7"),
        (gymnasium.spaces.Discrete(4), None, "an observation of dtype int64; received object None"),
        (gymnasium.spaces.Box(0, 255, [1], np.uint8), [300], r"uint8; received int64 \[300\]"),
        (gymnasium.spaces.Box(-1, 1, [1]), ["a"], "dtype float32; received <U1"),
        (gymnasium.spaces.Box(-1, 1, [1]), [1e39], "expected finite observations; received"),
    ],
)
def test_observations_that_the_spec_can_not_hold_are_named(space, value, message):
    class Wrong(gymnasium.Env):
        observation_space, action_space = space, gymnasium.spaces.Discrete(2)
        set_task = lambda self, task: None
        reset = lambda self, **_: (value, {})

    family = HostEnvironment(Wrong, TASKS, horizon=HORIZON, max_retries=0)
    with pytest.raises(RunError, match=message):
        family.reset(family.population(0).test, keys.per_episode(keys.from_int(0), 1, 1))


def test_the_walk_of_these_tests_is_sound(make_family):
    environments.check(make_family())
