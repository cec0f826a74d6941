"""Environments in processes: what works in a main thread only, the same bits, ends of all kinds."""

import functools
import gc
import os
import pathlib
import signal
import sqlite3
import subprocess
import sys
import textwrap
import threading
import time

import gymnasium
import numpy as np
import pytest
import tensorflow as tf

from tests.environments.conftest import GAINS, Walk, limited_walk, wait_for
from tfcaml import keys, nest, policies
from tfcaml.environments import CartPole, CartPoleConfig, HostEnvironment
from tfcaml.errors import ConfigError, RunError, from_python
from tfcaml.rollouts import sampling

# The server process, from which all others are forked, takes seconds to import tfcaml.
pytestmark = pytest.mark.slow

ROOT = pathlib.Path(__file__).parents[3]
TASKS = {"gain": [0.3, -0.5]}, {"gain": [0.4]}
HORIZON = 4
IN_PROCESSES = {"worker": "process", "workers": 2}


@from_python()
def play(family, num_episodes=2):
    """A rollout with weights, tasks and keys that are always the same."""
    policy = policies.mlp_policy(family.observation_spec, family.action_spec, (4,))
    task = family.population(0).train
    params = nest.repeat(policy.init(0), nest.leading(task))

    @tf.function(autograph=False)
    def sample():
        return sampling.sample(policy, family, params, task, num_episodes, keys.from_int(3))

    return nest.map(np.asarray, sample())


def is_running(pid):
    """Whether there is such a process, and not only its exit code for somebody to read."""
    status = pathlib.Path(f"/proc/{pid}/stat")
    return status.exists() and status.read_text().rsplit(")", 1)[1].split()[0] != "Z"


class Bound(gymnasium.Env):
    """Works in the thread that made it only, and only if that is the main thread of a process.

    It observes how many environments its process made, and how often they were stepped.
    """

    observation_space = gymnasium.spaces.Box(0, 1e7, [3], np.float32)
    action_space = gymnasium.spaces.Discrete(2)
    made = steps = 0

    def __init__(self):
        type(self).made += 1
        self.local = threading.local()
        self.local.handle = "open"
        self.database = sqlite3.connect(":memory:")
        self.alarms = 0
        signal.signal(signal.SIGUSR1, self._alarm)

    def _alarm(self, number, frame):
        self.alarms += 1

    def set_task(self, task):
        self.database.execute("SELECT 1")

    def reset(self, *, seed=None, options=None):
        return self._observation(), {}

    def step(self, action):
        type(self).steps += 1
        os.kill(os.getpid(), signal.SIGUSR1)
        return self._observation(), self.alarms, False, False, {}

    def _observation(self):
        assert self.local.handle == "open"
        self.database.execute("SELECT 1")
        return np.float32([self.made, self.steps, os.getpid()])


def test_what_works_in_a_main_thread_only():
    """20 steps cost 20 calls and one environment."""
    family = HostEnvironment(Bound, ({"x": [1]}, {"x": [2]}), horizon=20, worker="process")
    for episode in (1, 2):
        found = play(family, num_episodes=1)
        np.testing.assert_array_equal(found.reward[0, 0], np.arange(1, 21) + 20 * (episode - 1))
        made, steps, pid = found.final_observation[0, 0]
        assert (made, steps) == (1, 20 * episode) and pid != os.getpid()
    assert len(family._pool) == 1 and family.faults() == {}
    family.close()
    wait_for(lambda: not is_running(int(pid)))


def test_processes_change_no_number(walk):
    expected = play(walk)
    for workers in (1, 2, None):
        family = HostEnvironment(
            limited_walk, GAINS, horizon=8, max_retries=0, workers=workers, worker="process"
        )
        for _ in range(2):
            nest.map(np.testing.assert_array_equal, play(family), expected)
        family.close()


def test_a_family_of_ours_in_processes():
    config = CartPoleConfig(horizon=6, num_train=3)
    ours, theirs = CartPole(config), CartPole(config, **IN_PROCESSES)
    nest.map(np.testing.assert_array_equal, play(ours), play(theirs))


class Faulty(Walk):
    """Has a fault in the third step, until as many files as that are in a folder."""

    def __init__(self, fault, folder, times):
        super().__init__()
        self.fault, self.folder, self.times = fault, folder, times

    def reset(self, **kwargs):
        self.steps = 0
        return super().reset(**kwargs)

    def step(self, action):
        self.steps += 1
        if self.steps == 3 and len(list(self.folder.iterdir())) < self.times:
            (self.folder / f"{time.monotonic_ns()}").touch()
            if self.fault == "raises":
                raise Hot("motor", "hot")
            elif self.fault == "hangs":
                time.sleep(60)
            elif self.fault == "is killed":
                os.kill(os.getpid(), signal.SIGKILL)
            os._exit(3)
        return super().step(action)


class Hot(Exception):
    """An exception that can be pickled, but not made again from that."""

    def __init__(self, what, how):
        super().__init__(f"the {what}\nis {how}")


FAULTS = {
    "raises": "Hot: the motor is hot",
    "hangs": "TimeoutError: no answer within 0.4 s",
    "is killed": "its worker process ended with exit code -9",
    "ends": "its worker process ended with exit code 3",
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_passing_fault_changes_no_number(fault, tmp_path, walk_class):
    make = functools.partial(Faulty, fault, tmp_path, 1)
    limit = {"step_timeout": 0.4} if fault == "hangs" else {}
    family = HostEnvironment(make, TASKS, horizon=HORIZON, worker="process", **limit)
    expected = play(HostEnvironment(walk_class, TASKS, horizon=HORIZON))
    nest.map(np.testing.assert_array_equal, play(family), expected)
    kind = "timeouts" if fault == "hangs" else "errors"
    assert family.faults() == {kind: 1, "retried_episodes": 1} and len(family._pool) == 4
    family.close()


@pytest.mark.parametrize("fault", FAULTS)
def test_a_lasting_fault_is_one_line(fault, tmp_path):
    make = functools.partial(Faulty, fault, tmp_path, 1000)
    limit = {"step_timeout": 0.4} if fault == "hangs" else {}
    family = HostEnvironment(make, TASKS, horizon=HORIZON, max_retries=1, **IN_PROCESSES, **limit)
    line = (
        rf"^step 3 of the environment failed 2 times for task gain=.*, seed=\d+: {FAULTS[fault]}$"
    )
    with pytest.raises(RunError, match=line):
        play(family)
    assert len(family._pool._under_way) == 0
    family.close()


def test_a_process_that_was_killed_between_two_calls_is_replaced(walk_class):
    family = HostEnvironment(walk_class, TASKS, horizon=HORIZON, **IN_PROCESSES)
    task = family.population(0).train
    state, _ = family.reset(task, keys.per_episode(keys.from_int(0), 2, 2))
    state, before, _, _ = family.step(task, state, tf.fill([2, 2], 2), None)
    for worker in family._player._crew._workers.values():
        os.kill(worker._process.pid, signal.SIGKILL)
    state, after, _, _ = family.step(task, state, tf.fill([2, 2], 2), None)
    moved = np.asarray(after - before)[..., 0]
    np.testing.assert_allclose(moved, [[0.3] * 2, [-0.5] * 2], rtol=1e-5)
    assert family.faults() == {"errors": 2, "retried_episodes": 2}  # one of each process
    family.close()


def test_processes_end_with_their_family(walk_class):
    family = HostEnvironment(walk_class, TASKS, horizon=HORIZON, **IN_PROCESSES)
    pids = [worker._process.pid for worker in family._player._crew._workers.values()]
    assert len(pids) == 2 and all(map(is_running, pids))
    del family
    gc.collect()
    wait_for(lambda: not any(map(is_running, pids)))


def test_what_can_not_be_sent_is_named(walk_class):
    lambda_ = lambda *_: None
    for name, make, tasks, set_task in (
        ("make", lambda: walk_class(), TASKS, None),
        ("set_task", walk_class, TASKS, lambda_),
        ("tasks", walk_class, lambda rng: {"gain": Local([1.0])}, None),
    ):
        with pytest.raises(ConfigError, match=f"^expected {name} to be picklable for worker='pr"):
            HostEnvironment(make, tasks, set_task, horizon=3, worker="process")


Local = type("Local", (list,), {"__qualname__": "somewhere.Local"})


def test_what_processes_can_not_make_is_named(walk_class):
    with pytest.raises(RunError, match=r"^ZeroDivisionError: .* by zero$"):
        HostEnvironment(functools.partial(divmod, 1, 0), TASKS, horizon=3, worker="process")
    with pytest.raises(ConfigError, match=r"expected make\(\) to give .* received tuple"):
        HostEnvironment(functools.partial(divmod, 1, 1), TASKS, horizon=3, worker="process")
    with pytest.raises(ConfigError, match="set_task to be a function, as the environment has no"):
        make = functools.partial(gymnasium.make, "CartPole-v1")
        HostEnvironment(make, TASKS, horizon=3, worker="process")


PROGRAM = """
    import os, signal, sys
    import numpy as np
    from tests.environments.conftest import Walk
    from tfcaml import environments

    class Own(Walk):
        def reset(self, **kwargs):
            open(os.environ["PIDS"], "a").write(f"{os.getpid()}\\n")
            return super().reset(**kwargs)

    def main():
        os.environ["PIDS"] = sys.argv[1]
        family = environments.HostEnvironment(
            Own, ({"gain": [1.0]}, {"gain": [2.0]}), horizon=3, worker="process", workers=2
        )
        task = family.population(0).train
        state, _ = family.reset(task, np.zeros([1, 2, 2], np.int32))
        assert len(set(open(sys.argv[1]))) == 2
        os.kill(os.getpid(), signal.SIGKILL)
"""


def test_processes_end_with_a_program_that_is_killed(tmp_path):
    program, pids = tmp_path / "program.py", tmp_path / "pids"
    program.write_text(textwrap.dedent(PROGRAM) + "if __name__ == '__main__':\n    main()\n")
    result = subprocess.run(
        [sys.executable, program, pids], stderr=subprocess.PIPE, env=variables()
    )
    assert result.returncode == -signal.SIGKILL, result.stderr
    found = [int(pid) for pid in pids.read_text().split()]
    assert len(found) == 2
    wait_for(lambda: not any(map(is_running, found)))


def test_a_program_that_is_not_guarded_is_told_so(tmp_path):
    program = tmp_path / "program.py"
    program.write_text(textwrap.dedent(PROGRAM) + "main()\n")
    command = [sys.executable, program, tmp_path / "pids"]
    result = subprocess.run(command, stderr=subprocess.PIPE, text=True, env=variables())
    line = "RunError: its worker process ended with exit code 1 before it was ready; a program that"
    assert result.returncode == 1 and line in result.stderr.splitlines()[-1]


def variables():
    return {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path])}
