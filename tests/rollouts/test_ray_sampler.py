"""Episodes that Ray workers play are those of one process."""

import os
import signal

import numpy as np
import pytest
import tensorflow as tf

import tfcaml
from tfcaml import cluster, environments, keys, learners, nest, policies
from tfcaml.errors import ConfigError, RunError
from tfcaml.rollouts import sampling
from tfcaml.rollouts.ray_sampler import RaySampler, shares

pytestmark = pytest.mark.slow  # Ray and its workers take ten seconds to start
# Families of simulations, with options.
SIMULATIONS = {
    "half_cheetah_velocity": {},
    "random_hopper": {"scales": "log_uniform", "inertia": "own", "damping_scale": 2.0},
    "random_reacher": {"strength_scale": 2.0},
}


def meet(folder):
    """The process dies or stops where a file of the folder says so, once; `always` every time."""
    for what in ("die", "stop", "always"):
        path = os.path.join(folder, what)
        if os.path.exists(path):
            if what != "always":
                os.remove(path)
            os.kill(os.getpid(), signal.SIGSTOP if what == "stop" else signal.SIGKILL)


class Deadly(environments.CartPole):
    """CartPole whose process meets with something when episodes start."""

    def __init__(self, folder):
        self._folder = folder
        super().__init__(environments.CartPoleConfig(horizon=6))

    def reset(self, task, key):
        state, observation = super().reset(task, key)
        met = tf.numpy_function(self._meet, [], tf.float32, stateful=True)
        met.set_shape([])
        return state, observation + met

    def _meet(self):
        meet(self._folder)
        return np.float32(0)


def deadly(family, folder):
    """A family of simulations whose process meets with something in the middle of episodes."""

    class DeadlySimulation(family):
        def _advance(self, row, control, still, physics):
            if np.any(row[..., self.model.nq + self.model.nv :]):  # after the first step
                meet(folder)
            return super()._advance(row, control, still, physics)

    return DeadlySimulation


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Where files are put that tell workers what is to happen to them."""
    return str(tmp_path_factory.mktemp("faults"))


@pytest.fixture(scope="module")
def make(folder):
    def make():
        family = Deadly(folder)
        return family, policies.mlp_policy(family.observation_spec, family.action_spec, (8,))

    return make


@pytest.fixture(scope="module")
def made(make):
    return make()


@pytest.fixture(scope="module")
def ray():
    """A Ray that all samplers of this file use."""
    with cluster.Cluster(4) as found:
        yield found


@pytest.fixture(scope="module")
def sampler(make, ray):
    with RaySampler(make, workers=2, timeout=60) as found:
        yield found


def played(made, sampler, num_tasks, num_episodes=3, seed=0):
    """Leaves of the trajectory of different policies in different tasks."""
    family, policy = made
    task = nest.take(family.population(0).train, range(num_tasks))
    params = nest.stack([policy.init(index) for index in range(num_tasks)])
    trajectory = sampler(policy, family, params, task, num_episodes, keys.from_int(seed))
    return tf.nest.flatten(trajectory)


def assert_same(found, expected):
    for left, right in zip(found, expected, strict=True):
        np.testing.assert_array_equal(left, right)
        assert left.shape == right.shape and left.dtype == right.dtype


@pytest.fixture(scope="module")
def in_process():
    return tf.function(sampling.sample, autograph=False)


@pytest.mark.parametrize("num_workers", [1, 2, 3, 7, 100])
def test_shares_are_of_whole_groups_of_eight_tasks(num_workers):
    """So that no number is rounded by how many others are behind it; and not of a single task."""
    for num_tasks in (*range(1, 66), 100, 1000):
        found = shares(num_tasks, num_workers)
        assert [i for part in found for i in range(part.start, part.stop)] == [*range(num_tasks)]
        assert all(part.start % 8 == 0 for part in found)
        sizes = [part.stop - part.start for part in found]
        assert min(sizes) > 1 or num_tasks == 1
        assert len(found) == min(num_workers, max(1, (num_tasks + 6) // 8))
        assert max(sizes) < min(sizes[:-1], default=num_tasks) + 16


@pytest.mark.parametrize("num_tasks", [1, 2, 9, 10, 19])
def test_trajectories_are_those_of_one_process(num_tasks, made, sampler, in_process):
    """Also where tasks are not shared evenly, and of so few that they are not shared at all."""
    expected = played(made, in_process, num_tasks)
    assert_same(played(made, sampler, num_tasks), expected)
    assert len({x.tobytes() for x in expected[0].numpy()}) == num_tasks


def test_a_learner_trains_to_the_same_weights(made, sampler):
    family, policy = made
    config = learners.MAML.Config(
        num_iterations=2,
        meta_batch_size=10,
        episodes_per_update=3,
        advantage={"baseline": "time_step_mean"},
    )
    found = []
    for options in ({}, {"sampler": sampler}):
        learner = learners.MAML(family, policy, config, **options)
        history = tfcaml.train(learner, family.population(0))
        result = tfcaml.evaluate(learner, family.population(0).test, num_updates=1, num_episodes=2)
        found.append([*tf.nest.flatten(learner.meta.read()), history[-1]["return_after"]])
        found[-1].append(result.returns)
    for left, right in zip(*found, strict=True):
        np.testing.assert_array_equal(left, right)


@pytest.mark.parametrize("what", ["die", "stop"])
def test_a_worker_that_is_lost_or_hangs_is_replaced(what, folder, made, sampler, in_process):
    expected = played(made, in_process, 10, seed=1)
    played(made, sampler, 10)  # compiled
    before = sampler.lost, sampler.hung
    timeout, sampler._timeout = sampler._timeout, 60 if what == "die" else 10
    open(os.path.join(folder, what), "w").close()
    try:
        assert_same(played(made, sampler, 10, seed=1), expected)
    finally:
        sampler._timeout = timeout
    counts = sampler.lost - before[0], sampler.hung - before[1]
    assert counts[what == "stop"] >= 1 and not os.path.exists(os.path.join(folder, what))


@pytest.mark.soak
def test_a_call_that_always_loses_its_worker_ends_in_a_line(folder, made, sampler):
    path = os.path.join(folder, "always")
    open(path, "w").close()
    try:
        with pytest.raises(RunError, match="3 Ray workers were lost, one after the other"):
            played(made, sampler, 4)
    finally:
        os.remove(path)


def test_what_is_not_like_what_make_gives_is_refused(made, sampler, particle, policy, population):
    family, _ = made
    other = policies.mlp_policy(family.observation_spec, family.action_spec, (4, 4))
    with pytest.raises(ConfigError, match=r"what the learner plays .* weights and a"):
        played((family, other), sampler, 2)
    narrow = policies.mlp_policy(family.observation_spec, family.action_spec, (4,))
    with pytest.raises(ConfigError, match=r"weights.* as of what make"):
        played((family, narrow), sampler, 2)
    with pytest.raises(ConfigError, match="Particle plays all tasks at once in TensorFlow"):
        task = nest.take(population.train, [0, 1])
        sampler(policy, particle, nest.repeat(policy.init(0), 2), task, 1, keys.from_int(0))


@pytest.mark.parametrize(
    "name",
    [pytest.param(x, marks=() if x == "random_hopper" else pytest.mark.soak) for x in SIMULATIONS],
)
def test_simulators_have_the_same_bits(name, folder, ray, in_process):
    """Also with own physics of each task, and beside a worker that is killed amid episodes.

    The standard deviations are those of a policy that has learned: exponentials are what rounding
    would tell apart.
    """
    pytest.importorskip("mujoco")

    def make():
        family, config = environments.ENVIRONMENTS[name]
        family = deadly(family, folder)(config(horizon=8, **SIMULATIONS[name]), num_threads=1)
        return family, policies.mlp_policy(family.observation_spec, family.action_spec, (16,))

    family, policy = make()
    num_tasks = 19
    task = family.population(0, num_tasks).test
    params = nest.stack([policy.init(index) for index in range(num_tasks)])
    rng = np.random.default_rng(0)
    params = nest.map(lambda x: 2 * x + rng.normal(0, 0.3, x.shape).astype(np.float32), params)
    arguments = (policy, family, params, task, 3, keys.from_int(3))
    expected = tf.nest.flatten(in_process(*arguments))
    with RaySampler(make, workers=2) as sampler:
        assert_same(tf.nest.flatten(sampler(*arguments)), expected)
        open(os.path.join(folder, "die"), "w").close()
        assert_same(tf.nest.flatten(sampler(*arguments)), expected)
        assert sampler.lost == 1 and not os.path.exists(os.path.join(folder, "die"))


def test_workers_without_tasks_are_told_once(made, sampler, caplog, monkeypatch):
    monkeypatch.setattr(sampler, "_told_idle", False)
    for _ in range(2):
        played(made, sampler, 3)
    lines = [line for line in caplog.messages if "nothing to do" in line]
    assert lines == ["1 of 2 Ray workers have nothing to do: of 3 tasks each plays 8, or several "
                     "times 8"]  # fmt: skip
