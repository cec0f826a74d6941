"""Families of Python environments: the episodes they give, how they end, what they leave behind."""

import gc
import pathlib
import re
import sqlite3
import textwrap
import threading

import gymnasium
import numpy as np
import pytest
import tensorflow as tf
from tf_agents.environments import suite_gym, tf_py_environment
from tf_agents.environments import wrappers as tf_agents_wrappers

import tfcaml
from tests.environments.conftest import wait_for
from tfcaml import environments, keys, learners, nest, policies
from tfcaml.environments import HostEnvironment
from tfcaml.environments.host import adapters as python_environments
from tfcaml.environments.host import environment as host
from tfcaml.environments.host import episodes as pool
from tfcaml.environments.host.gym_adapter import GymnasiumPyEnvironment
from tfcaml.environments.tf_agents import FamilyPyEnvironment, FamilyTFEnvironment
from tfcaml.errors import ConfigError, RunError
from tfcaml.rollouts import sampling

NUM_EPISODES = 6
RIGHT = 2
TASKS = {"gain": [0.3, -0.5, 0.05]}, {"gain": [0.4, -0.2]}


def policy_for(family):
    return policies.mlp_policy(family.observation_spec, family.action_spec, (8,))


def rollout(family, policy, task, num_episodes=NUM_EPISODES):
    """(seed -> `Trajectory`), compiled."""
    params = nest.map(lambda x: 3 * x, nest.repeat(policy.init(0), nest.leading(task)))

    @tf.function(autograph=False)
    def sample(key):
        return sampling.sample(policy, family, params, task, num_episodes, key)

    return lambda seed: nest.map(lambda x: x.numpy(), sample(keys.from_int(seed)))


@pytest.fixture(scope="module")
def task(walk):
    return walk.population(0).train


@pytest.fixture(scope="module")
def policy(walk):
    return policy_for(walk)


@pytest.fixture(scope="module")
def play(walk, policy, task):
    return rollout(walk, policy, task)


def by_hand(walk_class, task, trajectory, seed, limit):
    """A plain loop over the environment with the trajectory's actions, as a `Trajectory`."""
    expected = nest.map(np.zeros_like, trajectory)
    episode_key = keys.per_episode(keys.from_int(seed), *trajectory.mask.shape[:2])
    episode_key = keys.salted(episode_key, keys.RESET).numpy()
    for n, e in np.ndindex(trajectory.mask.shape[:2]):
        environment = walk_class()
        environment.set_task({"gain": task["gain"][n]})
        observation, _ = environment.reset(seed=host._episode_seed(episode_key[n, e]))
        for time in range(limit):
            expected.observation[n, e, time] = observation
            expected.mask[n, e, time] = 1
            action = trajectory.action[n, e, time] - 1
            observation, reward, terminated, _, _ = environment.step(action)
            expected.reward[n, e, time] = reward
            expected.terminated[n, e, time] = terminated
            if terminated:
                break
        expected.final_observation[n, e] = observation
    return expected


def test_episodes_are_those_of_a_plain_loop(walk_class, task, play):
    found = play(7)
    expected = by_hand(walk_class, task, found, 7, limit=5)
    for name in ("observation", "reward", "mask", "terminated", "final_observation"):
        living = found.mask[..., None] if name == "observation" else 1
        np.testing.assert_array_equal(
            getattr(found, name) * living, getattr(expected, name), err_msg=name
        )


@pytest.mark.parametrize("workers", [2, 3, None])
def test_workers_change_no_number(walk_class, policy, task, play, workers):
    make = lambda: gymnasium.wrappers.TimeLimit(walk_class(), 5)
    family = HostEnvironment(make, TASKS, horizon=8, workers=workers)
    again = rollout(family, policy, task)
    for seed in (3, 7):
        nest.map(np.testing.assert_array_equal, again(seed), play(seed))
    family.close()


def test_a_batch_is_spread_over_workers_evenly(walk_class):
    threads = {}

    class Counted(walk_class):
        def reset(self, **kwargs):
            threads.setdefault(threading.get_ident(), set()).add(self)
            return super().reset(**kwargs)

    for workers, sizes in ((1, [6]), (2, [3, 3]), (4, [1, 1, 2, 2]), (None, [1] * 6)):
        threads.clear()
        family = HostEnvironment(Counted, TASKS, horizon=5, workers=workers)
        for _ in range(2):
            state, _ = family.reset(family.population(0).train, np.zeros([3, 2, 2], np.int32))
            family._pool.release(state["episode"].numpy().ravel())
        assert sorted(len(own) for own in threads.values()) == sizes
        family.close()


def test_workers_step_at_the_same_time(walk_class):
    """Each waits for the others, and one of them alone would wait for ever."""
    meeting = threading.Barrier(3)

    class Meeting(walk_class):
        def step(self, action):
            meeting.wait(30)
            return super().step(action)

    family = HostEnvironment(Meeting, TASKS, horizon=5, workers=3, max_retries=0)
    task = family.population(0).train
    state, _ = family.reset(task, keys.per_episode(keys.from_int(0), 3, 1))
    family.step(task, state, tf.ones([3, 1], tf.int32), None)


def test_nobody_is_called_when_all_episodes_have_ended(walk, task):
    state, _ = walk.reset(task, keys.per_episode(keys.from_int(0), 3, 2))
    state["ended"] = tf.ones([3, 2], bool)
    walk._pool.release(state["episode"].numpy().ravel())  # nobody could be called
    state, observation, reward, terminated = walk.step(task, state, tf.ones([3, 2], tf.int32), None)
    assert state["ended"].numpy().all() and not np.any(terminated) and not np.any(reward)
    assert observation.shape == [3, 2, 2]


def test_cut_short_episodes_end_without_terminated(play):
    """gymnasium's TimeLimit stops at five steps, the family's horizon is eight."""
    found = play(7)
    length, terminated = found.mask.sum(-1), found.terminated.sum(-1)
    assert length.max() == 5
    assert (length == 5).any() and (terminated[length < 5] == 1).all()
    assert (terminated[2] == 0).all()  # a gain of 0.05 gets nowhere
    assert terminated[:2].any()


def test_a_seed_decides_everything(play):
    nest.map(np.testing.assert_array_equal, play(3), play(3))
    starts = np.stack([play(seed).observation[:, :, 0] for seed in (3, 4)])
    assert len(np.unique(starts[..., 0])) == starts[..., 0].size  # each episode has its own


@pytest.mark.parametrize("kind", ["py_environment", "tf_py_environment"])
def test_kinds_of_environment_give_the_same_episodes(walk_class, task, policy, play, kind):
    def make():
        environment = GymnasiumPyEnvironment(walk_class())
        environment = tf_agents_wrappers.TimeLimit(environment, 5)
        if kind == "tf_py_environment":
            return tf_py_environment.TFPyEnvironment(environment)
        return environment

    def set_task(environment, task):
        if kind == "tf_py_environment":
            environment = environment.pyenv.envs[0]
        environment.gymnasium.set_task(task)

    family = HostEnvironment(make, ({"gain": [1.0]}, {"gain": [2.0]}), set_task)
    assert family.horizon == 5
    family.horizon = 8
    found = rollout(family, policy, task)(7)
    nest.map(np.testing.assert_array_equal, found, play(7))


def test_tf_environments_are_stepped_on_the_host(slide, gaussian_policy):
    goals = {"goal": tf.constant([0.0])}

    def set_task(environment, task):
        environment._task = {"goal": tf.constant([task["goal"]])}

    tasks = {"goal": [0.5, -1.5]}, {"goal": [1.0]}
    make = lambda: FamilyTFEnvironment(slide, goals, 1)
    family = HostEnvironment(make, tasks, set_task, horizon=4)
    task = family.population(0).train
    found = rollout(family, gaussian_policy, task, 2)(0)
    assert found.mask.all() and not found.terminated.any()
    led_to = np.concatenate([found.observation[:, :, 1:], found.final_observation[:, :, None]], 2)
    distance = np.abs(led_to[..., 0] - np.reshape(tasks[0]["goal"], [2, 1, 1]))
    np.testing.assert_allclose(found.reward, -distance, rtol=1e-5)


@pytest.mark.parametrize("limit", ["gym", "tf_agents"])
def test_suite_gym_time_limits_are_no_terminations(limit):
    """gym's own limit ends an episode with discount 0; TF-Agents' wrapper leaves it at 1."""
    steps = 4 if limit == "tf_agents" else None
    environment = suite_gym.load("MountainCar-v0", max_episode_steps=steps)
    adapted = python_environments.adapt(environment, lambda environment, task: None)
    assert adapted.time_limit == (steps or 200)
    observation = adapted.reset(5)
    np.testing.assert_array_equal(observation, adapted.reset(5))
    for _ in range(adapted.time_limit - 1):
        assert adapted.step(np.int64(1))[2:] == (False, False)
    assert adapted.step(np.int64(1))[2:] == (False, True)


def test_suite_gym_episodes_that_end_are_terminated():
    adapted = python_environments.adapt(suite_gym.load("CartPole-v1"), lambda *_: None)
    adapted.reset(0)
    ends = [adapted.step(np.int64(1))[2:] for _ in range(9)]
    assert (True, False) in ends and not any(truncated for _, truncated in ends)


def test_families_of_python_environments_become_tf_agents_environments(walk, play):
    """The k-th episode of `sample`, by its actions, with the right discount at its end."""
    sampled = play(7)
    one = nest.take(walk.population(0).train, [0])
    environment = FamilyPyEnvironment(walk, one, 7)
    rows = FamilyTFEnvironment(walk, one, NUM_EPISODES, 7)
    row_steps = [rows.reset()]
    for time in range(5):
        row_steps.append(rows.step(sampled.action[0, :, time]))
    for episode in range(NUM_EPISODES):
        step = environment.reset()
        for time in range(int(sampled.mask[0, episode].sum())):
            np.testing.assert_array_equal(step.observation, sampled.observation[0, episode, time])
            np.testing.assert_array_equal(row_steps[time].observation[episode], step.observation)
            step = environment.step(sampled.action[0, episode, time])
        assert step.is_last() and row_steps[time + 1].is_last()[episode]
        discount = 1 - sampled.terminated[0, episode].max()
        assert step.discount == row_steps[time + 1].discount[episode] == discount


class Bound(gymnasium.Env):
    """Works in the thread that made it, and nowhere else."""

    observation_space = gymnasium.spaces.Box(-9, 99, [1], np.float32)
    action_space = gymnasium.spaces.Discrete(2)
    made = 0

    def __init__(self):
        type(self).made += 1
        self.thread = threading.get_ident()
        self.local = threading.local()
        self.local.steps = 0
        self.database = sqlite3.connect(":memory:")
        self.database.execute("CREATE TABLE visits (step INTEGER)")

    def set_task(self, task):
        assert threading.get_ident() == self.thread
        self.database.execute("DELETE FROM visits")
        self.step_size = task["step_size"]

    def reset(self, *, seed=None, options=None):
        self.local.steps = 0
        return self._observation(), {}

    def step(self, action):
        self.local.steps += self.step_size
        return self._observation(), 1.0, False, False, {}

    def _observation(self):
        assert threading.get_ident() == self.thread
        self.database.execute("INSERT INTO visits VALUES (?)", [self.local.steps])
        (total,) = self.database.execute("SELECT SUM(step) FROM visits").fetchone()
        return np.float32([total])

    def close(self):
        closed.append(threading.get_ident() == self.thread)
        self.database.close()  # an error in another thread


closed = []  # for each environment that was closed, whether in its own thread


@pytest.mark.parametrize("step_timeout", [60.0, None])
def test_environments_that_are_bound_to_a_thread(step_timeout):
    """In a graph, whose calls come from any thread, for more steps than there are threads."""
    tasks = {"step_size": [1, 2]}, {"step_size": [3]}
    Bound.made = 0
    family = HostEnvironment(Bound, tasks, horizon=20, step_timeout=step_timeout, max_retries=0)
    task = family.population(0).train

    @tf.function(autograph=False)
    def play():
        state, _ = family.reset(task, keys.per_episode(keys.from_int(0), 2, 3))
        for _ in range(20):
            state, observation, _, _ = family.step(task, state, tf.zeros([2, 3], tf.int64), None)
        return observation

    for _ in range(3):
        np.testing.assert_array_equal(play()[..., 0], [[210] * 3, [420] * 3])
    assert Bound.made == len(family._pool) == 6 and family.faults() == {}
    closed.clear()
    family.close()
    assert closed == [True] * 6 and len(family._pool) == 0
    np.testing.assert_array_equal(play()[0, :, 0], [210] * 3)  # of new environments
    assert Bound.made == 12
    family.close()


def test_a_family_that_nothing_refers_to_closes_its_environments():
    closed.clear()
    family = HostEnvironment(Bound, ({"step_size": [1]}, {"step_size": [3]}), horizon=20)
    family.reset(family.population(0).train, keys.per_episode(keys.from_int(0), 1, 4))
    del family
    gc.collect()
    wait_for(lambda: closed == [True] * 4)


def test_an_episode_of_a_family_that_was_closed_is_given_up(walk_class):
    family = HostEnvironment(walk_class, TASKS, horizon=3)
    task = family.population(0).test
    state, _ = family.reset(task, keys.per_episode(keys.from_int(0), 2, 1))
    family.close()
    with pytest.raises(ConfigError, match="expected the state of an episode under way"):
        family.step(task, state, tf.ones([2, 1], tf.int32), None)


def test_the_pool_does_not_grow(walk_class, policy, task):
    made = []

    def make():
        made.append(walk_class())
        return made[-1]

    play = rollout(HostEnvironment(make, TASKS, horizon=5), policy, task)
    for seed in range(4):
        play(seed)
    assert len(made) == 3 * NUM_EPISODES


def test_two_rollouts_of_one_graph_have_environments_of_their_own(walk, policy, task, play):
    params = nest.map(lambda x: 3 * x, nest.repeat(policy.init(0), 3))

    @tf.function(autograph=False)
    def both():
        sample = lambda seed: sampling.sample(
            policy, walk, params, task, NUM_EPISODES, keys.from_int(seed)
        )
        return sample(3), sample(4)

    for found, seed in zip(both(), (3, 4)):
        nest.map(np.testing.assert_array_equal, found, play(seed))


def test_interleaved_steps_do_not_meet(walk, task):
    key = keys.per_episode(keys.from_int(0), 3, 2)
    one, first = walk.reset(task, key)
    two, again = walk.reset(task, key)
    np.testing.assert_array_equal(first, again)
    still, right = tf.ones([3, 2], tf.int32), tf.fill([3, 2], RIGHT)
    two, _, _, _ = walk.step(task, two, right, None)
    one, moved, _, _ = walk.step(task, one, still, None)
    np.testing.assert_array_equal(moved[..., 0], first[..., 0])


def test_threads_do_not_meet(play):
    found = {}
    threads = [
        threading.Thread(target=lambda seed=seed: found.update({seed: play(seed)}))
        for seed in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for seed in range(4):
        nest.map(np.testing.assert_array_equal, found[seed], play(seed))


def test_given_up_episodes_are_used_again(walk_class):
    family = HostEnvironment(walk_class, TASKS, horizon=3)
    task = family.population(0).train
    key = keys.per_episode(keys.from_int(0), 3, 20)
    action = tf.ones([3, 20], tf.int32)
    kept, _ = family.reset(task, key)
    for _ in range(12):
        state, _ = family.reset(task, key)  # never stepped
    assert len(family._pool) <= pool._LEAST_KEPT
    family.step(task, state, action, None)
    with pytest.raises(ConfigError, match="expected the state of an episode under way"):
        family.step(task, kept, action, None)


@pytest.fixture(scope="module")
def faulty(walk_class):
    """Walks of which those with a negative gain break down in the third step."""

    class Faulty(walk_class):
        def step(self, action):
            self.steps += 1
            if self.gain < 0 and self.steps == 3:
                raise RuntimeError("the motor\nis hot")
            return super().step(action)

        def reset(self, **kwargs):
            self.steps = 0
            return super().reset(**kwargs)

    return HostEnvironment(Faulty, TASKS, horizon=5)


def test_an_environment_that_raises_gives_one_line(faulty, policy):
    config = learners.Reptile.Config(inner_updates=1, episodes_per_update=2, meta_batch_size=3)
    learner = learners.Reptile(faulty, policy, config)
    population = faulty.population(0)
    line = (
        r"^step 3 of the environment failed 3 times for task gain=-\d\.\d, seed=\d+: "
        "RuntimeError: the motor is hot$"
    )
    with pytest.raises(RunError, match=line):
        learner.train(population.train, keys.from_int(0))
    with pytest.raises(RunError, match=line):
        tfcaml.evaluate(learner, population.test, num_updates=1, num_episodes=2)
    # Others go on, and nothing is left of the failed ones.
    learner.train(nest.take(population.train, [0, 2, 2]), keys.from_int(0))
    assert len(faulty._pool._under_way) == 0


def test_an_environment_that_gives_other_observations_is_named(walk_class):
    class Wide(walk_class):
        def _observation(self):
            return np.zeros(3)

    family = HostEnvironment(Wide, TASKS, horizon=5)
    key = keys.per_episode(keys.from_int(0), 3, 1)
    with pytest.raises(RunError, match=r"reset .* shape \(2,\); received shape=\(3,\)$"):
        family.reset(family.population(0).train, key)


def test_xla_is_refused_and_not_taken_by_itself(walk, policy, xla_pays):
    with pytest.raises(ConfigError, match="jit_compile to be False: HostEnvironment runs in Py"):
        learners.Reptile(walk, policy, jit_compile=True)
    assert learners.Reptile(walk, policy, jit_compile=None).jit_compile is False


def test_continuous_actions_are_clipped_to_their_bounds():
    class Remember(gymnasium.Env):
        observation_space = gymnasium.spaces.Box(-1, 1, [1], np.float32)
        action_space = gymnasium.spaces.Box(np.float32([-1, -2]), np.float32([1, 2]))
        set_task = lambda self, task: None
        reset = lambda self, **_: (np.zeros(1, np.float32), {})

        def step(self, action):
            assert action in self.action_space
            return np.zeros(1, np.float32), float(action @ [1, 10]), False, False, {}

    family = HostEnvironment(Remember, TASKS, horizon=5)
    task = family.population(0).test
    state, _ = family.reset(task, keys.per_episode(keys.from_int(0), 2, 1))
    action = tf.constant([[[-9.0, 9.0]], [[0.5, -0.25]]])
    np.testing.assert_allclose(family.step(task, state, action, None)[2], [[19.0], [-2.0]])


def test_dict_observations(walk_class):
    class Named(walk_class):
        observation_space = gymnasium.spaces.Dict(
            {"noise": gymnasium.spaces.Box(0, 1, []), "at": gymnasium.spaces.Box(-2, 2, [1])}
        )

        def _observation(self):
            position, noise = super()._observation()
            return {"noise": np.float32(noise), "at": np.float32([position])}

    family = HostEnvironment(Named, TASKS, horizon=5)
    task = family.population(0).test
    state, first = family.reset(task, keys.per_episode(keys.from_int(0), 2, 4))
    _, then, reward, _ = family.step(task, state, tf.fill([2, 4], RIGHT), None)
    assert first["noise"].shape == [2, 4] and first["at"].shape == [2, 4, 1]
    moved = (then["at"] - first["at"])[..., 0]
    np.testing.assert_allclose(moved, [[0.4] * 4, [-0.2] * 4], rtol=1e-5)
    np.testing.assert_allclose(reward, -np.abs(then["at"][..., 0]), rtol=1e-5)
    environments.check(family)


def test_tasks_given_and_drawn(walk, walk_class):
    population = walk.population(0)
    np.testing.assert_allclose(population.train["gain"], TASKS[0]["gain"])
    assert walk.population(0, 1).test["gain"].shape == [1]
    with pytest.raises(
        ConfigError, match=r"num_test to be .* 1 to 2, the tasks given; received .*3"
    ):
        walk.population(0, 3)
    draw = lambda rng: {"gain": rng.uniform(), "table": rng.integers(0, 9, 3)}
    family = HostEnvironment(walk_class, draw, horizon=3, num_train=50)
    few, many = family.population(1, 2), family.population(1, 5)
    assert few.train["gain"].shape == [50] and few.train["table"].dtype == tf.int64
    np.testing.assert_array_equal(few.test["table"], many.test["table"][:2])
    np.testing.assert_array_equal(few.train["gain"], many.train["gain"])
    assert (family.population(2).train["gain"] != few.train["gain"]).numpy().all()
    same = HostEnvironment(walk_class, lambda rng: {"gain": 1.0}, horizon=3)
    with pytest.raises(ConfigError, match="test tasks that are training tasks too to be none"):
        same.population(0)


def test_what_can_not_be_a_family_is_refused(walk_class):
    with pytest.raises(ConfigError, match="expected horizon to be a number of steps, as the env"):
        HostEnvironment(walk_class, TASKS)
    with pytest.raises(ConfigError, match=r"expected make\(\) to give .* received int"):
        HostEnvironment(lambda: 3, TASKS, horizon=3)
    with pytest.raises(ConfigError, match="set_task to be a function, as the environment has no"):
        HostEnvironment(lambda: gymnasium.make("CartPole-v1"), TASKS)
    two = lambda: tf_py_environment.TFPyEnvironment(
        tf_agents_wrappers.TimeLimit(GymnasiumPyEnvironment(walk_class()), 3)
    )
    HostEnvironment(two, TASKS, set_task=lambda *_: None)
    for options, message in (
        ({"workers": 0}, "expected workers to be a whole number from 1 to .*; received workers=0"),
        ({"worker": "fibre"}, "expected worker to be one of thread, process"),
    ):
        with pytest.raises(ConfigError, match=message):
            HostEnvironment(walk_class, TASKS, horizon=3, **options)


@pytest.mark.slow
def test_the_recipe_runs(capsys):
    code = re.search(r"from nothing:\n\n(.*)", host.__doc__, re.DOTALL)[1]
    code = textwrap.dedent(code)
    assert len([line for line in code.splitlines() if line.strip()]) <= 30
    exec(compile(code, str(pathlib.Path(host.__file__)), "exec"), {})
    numbers = re.findall(r"-[\d.]+", capsys.readouterr().out)
    assert len(numbers) == 2
