"""Playing the tasks of an iteration in several processes, by Ray (the extra `ray`).

For simulators and for environments in Python, whose steps take the time. A program of its own:

    def make():  # in each process
        family = environments.HalfCheetahVelocity()
        return family, policies.mlp_policy(family.observation_spec, family.action_spec)

    family, policy = make()
    with RaySampler(make, workers=4) as sampler:
        learner = learners.MAML(family, policy, config, sampler=sampler)
        tfcaml.train(learner, family.population(0))

An iteration has the same bits as in one process: an episode follows from its task, the weights and
its own random key, and what is shared among workers are whole groups of 8 tasks. TensorFlow works
out exponentials, logarithms, sines and the like for 8 numbers at a time, and rounds those that are
left over at the end of an array differently: in groups of 8 tasks the same numbers are left over as
in one process. The last worker plays the rest too, which is not a single task, since matrix
products of one task are rounded differently. Weights, tasks and keys travel with each call, so that
a worker which is lost takes nothing with it: a new one gets the same call again.
"""

from __future__ import annotations

import collections
import itertools
import logging
import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import tensorflow as tf

from tfcaml import cluster, keys, nest
from tfcaml.environments.base import TaskFamily
from tfcaml.errors import (
    ConfigError,
    RunError,
    check,
    check_function,
    check_is,
    check_positive,
    check_whole,
    checked_call,
    from_python,
)
from tfcaml.rollouts import sampling
from tfcaml.types import Params, Task, Trajectory, blank_trajectory

if TYPE_CHECKING:
    from tfcaml.policies.base import Policy

_log = logging.getLogger(__name__)
_MOST_LOST = 3  # workers, one after the other, that a call may lose
_START = 300.0  # seconds in which a worker has to start
_TOGETHER = 8  # tasks that one worker plays: float32 numbers that AVX, which TensorFlow uses, takes
_ERRORS = {error.__name__: error for error in (ConfigError, RunError)}


class RaySampler:
    """A `sampler` of learners, in place of `sampling.sample`. For a `with` block.

    Args:
      make: function () -> (family, policy), called once in each worker, the same as the learner's.
        The family is one whose steps run in Python. Ray sends the function by cloudpickle.
      workers: processes, each on one of Ray's CPUs, >= 1. Those for which an iteration does not
        have tasks enough do nothing, which is told once: see `shares`.
      address: HOST:PORT of the head of a cluster made by `ray start`; None: a Ray on this machine,
        which ends with the block.
      timeout: seconds that a worker may take to play its tasks of an iteration, compilation
        included, before it counts as hung and is replaced, > 0.

    Attributes:
      lost: workers that died so far.
      hung: workers that were replaced because they hung.

    Raises:
      ConfigError: Ray is not installed, there is no such cluster (see `cluster.Cluster`), or an
        argument of another kind; when called, a family or policy that is not like `make`'s.
      RunError: Ray did not start on this machine; when called, an environment failed too often, or
        a call lost worker after worker.
    """

    @checked_call
    def __init__(
        self,
        make: Callable[[], tuple[TaskFamily, Policy]],
        workers: int,
        address: str | None = None,
        *,
        timeout: float = 900.0,
    ) -> None:
        check_function("make", make, ())
        workers = check_whole("workers", workers, 1, 10_000)
        check_positive(timeout=timeout)
        self._timeout = timeout
        self._cluster = cluster.Cluster(workers, address)
        # In a box, so that a worker opens it when it can import what the function is made of.
        self._make = [self._cluster.ray.put(make)]
        self._faults: dict[int, dict[str, int]] = {}  # worker -> of its family
        self._past: collections.Counter[str] = collections.Counter()  # of workers that are gone
        self.lost = self.hung = 0
        self._workers = [self._started() for _ in range(workers)]
        self._checked: set[int] = set()  # workers that have told that they run the same code
        self._told_idle = False

    def __enter__(self) -> RaySampler:
        return self

    def __exit__(self, *_: Any) -> None:
        for worker in self._workers:
            self._cluster.kill(worker)
        self._workers = []
        self._cluster.close()

    def faults(self) -> dict[str, int]:
        """What went wrong in the workers' families so far, see `TaskFamily.faults`."""
        now = sum(map(collections.Counter, self._faults.values()), collections.Counter())
        return dict(self._past + now)

    @from_python()
    def __call__(
        self,
        policy: Policy,
        environment: TaskFamily,
        params: Params,
        task: Task,
        num_episodes: int,
        key: tf.Tensor,
    ) -> Trajectory:
        """`Trajectory` of whole episodes; see `sampling.sample` for the arguments."""
        family = type(environment).__name__
        rule = f"one whose steps run in Python; {family} plays all tasks at once in TensorFlow"
        check(not environment.supports_xla, "the family of a RaySampler", family, rule)
        if tf.convert_to_tensor(key).shape.rank == 1:
            key = keys.per_episode(key, nest.leading(task), num_episodes)
        blank = blank_trajectory(environment, policy, *key.shape[:2])
        arguments = [*tf.nest.flatten(params), *tf.nest.flatten(task), key]
        dtypes = [leaf.dtype for leaf in tf.nest.flatten(blank)]
        leaves = tf.numpy_function(self._play, list(map(tf.stop_gradient, arguments)), dtypes)
        leaves = [leaves] if len(dtypes) == 1 else leaves
        for leaf, like in zip(leaves, tf.nest.flatten(blank)):
            leaf.set_shape(like.shape)
        return tf.nest.pack_sequence_as(blank, leaves)

    def _play(self, *arguments: np.ndarray) -> list[np.ndarray]:
        """Leaves of the trajectory of all tasks, played in shards."""
        num_tasks, num_workers = len(arguments[-1]), len(self._workers)
        each = shares(num_tasks, num_workers)
        if len(each) < num_workers and not self._told_idle:
            self._told_idle = True
            _log.warning("%d of %d Ray workers have nothing to do: of %d tasks each plays %d, or "
                         "several times %d", num_workers - len(each), num_workers, num_tasks,
                         _TOGETHER, _TOGETHER)  # fmt: skip
        parts = self._answers([[x[share] for x in arguments] for share in each])
        return [np.concatenate(leaves) for leaves in zip(*parts)]

    def _answers(self, shards: list[list[np.ndarray]]) -> list[list[np.ndarray]]:
        """What the workers play of each shard."""
        ray, found = self._cluster.ray, {}
        calls: dict[Any, tuple[int, float]] = {}  # reference -> (which shard, until when)
        losses: collections.Counter[int] = collections.Counter()

        def call(i: int) -> None:
            until = time.monotonic() + self._timeout + (_START if i not in self._checked else 0)
            calls[self._workers[i].sample.remote(shards[i])] = i, until

        for i in range(len(shards)):
            call(i)
        while calls:
            self._cluster.check_head()
            wait = min(1.0, *(until - time.monotonic() for _, until in calls.values()), 1.0)
            ready = ray.wait(list(calls), num_returns=1, timeout=max(wait, 0.0))[0]
            late = [ref for ref, (_, until) in calls.items() if time.monotonic() > until]
            for ref in ready or late:
                i, _ = calls.pop(ref)
                answer = self._get(ref) if ref in ready else None
                if isinstance(answer, dict):
                    found[i] = self._leaves(i, answer)
                    continue
                losses[i] += 1
                self._replace(i, answer)
                if losses[i] >= _MOST_LOST:
                    raise RunError(f"{_MOST_LOST} Ray workers were lost, one after the other, in "
                                   "playing the same tasks")  # fmt: skip
                call(i)
        return [found[i] for i in range(len(shards))]

    def _leaves(self, i: int, answer: dict[str, Any]) -> list[np.ndarray]:
        if answer["error"]:
            kind, message = answer["error"]
            raise _ERRORS[kind](message)
        if i not in self._checked:
            cluster.check_worker(answer["about"])
            self._checked.add(i)
        self._faults[i] = answer["faults"]
        return answer["leaves"]

    def _get(self, ref: Any) -> dict[str, Any] | Exception:
        """A worker's answer, or the error that says that it is gone."""
        try:
            return self._cluster.ray.get(ref)
        except Exception as error:
            if not self._cluster.is_lost(error):
                raise
            if "creation task" in str(error):
                line = cluster.one_line(error)
                raise ConfigError(f"a Ray worker can't start on its node: {line}") from None
            return error

    def _replace(self, i: int, error: Exception | None) -> None:
        """A new worker in place of one that is lost (`error`) or hangs (None)."""
        if error is None:
            self.hung += 1
        else:
            self.lost += 1
        what = "was lost" if error else f"did not answer within {self._timeout:.0f} seconds"
        _log.warning("Ray worker %d %s; a new one plays its tasks again", i + 1, what)
        self._past += collections.Counter(self._faults.pop(i, {}))
        self._checked.discard(i)
        self._cluster.kill(self._workers[i])
        self._workers[i] = self._started()

    def _started(self) -> Any:
        return self._cluster.actor(_Player, sys.path, self._make)


def shares(num_tasks: int, num_workers: int) -> list[slice]:
    """Which tasks each worker plays, so that the bits are those of one process; see the module.

    Args:
      num_tasks: N, >= 1.
      num_workers: >= 1.

    Returns:
      slices of the tasks, one for each worker that has any. All begin at a multiple of 8, and only
      where N is 1 does one hold a single task.
    """
    groups = max(1, -(-(num_tasks - 1) // _TOGETHER))  # a single task goes with those before it
    edges = _TOGETHER * np.linspace(0, groups, min(num_workers, groups) + 1).astype(int)
    edges[-1] = num_tasks
    return [slice(a, b) for a, b in itertools.pairwise(edges.tolist())]


class _Player:
    """Plays tasks in a process of Ray's."""

    def __init__(self, path: list[str], make: list[Any]) -> None:
        import ray

        cluster.see_modules(path)
        made = ray.get(make[0])()
        fits = isinstance(made, tuple) and len(made) == 2
        check(fits, "what make() gives", made, "a pair (family, policy)")
        self._family, self._policy = made
        check_is("the family that make() gives", self._family, TaskFamily, "a TaskFamily")
        weights = self._policy.init(0)
        self._weights = nest.map(lambda x: tf.TensorSpec(x.shape, x.dtype), weights)
        self._about = cluster.about_worker()
        self._sample = tf.function(
            lambda params, task, key: sampling.sample(
                self._policy, self._family, params, task, key.shape[1], key
            ),
            autograph=False,
        )

    def sample(self, arguments: list[np.ndarray]) -> dict[str, Any]:
        """Plays the tasks of a shard: leaves of weights and tasks, and the keys [N, E, 2]."""
        answer: dict[str, Any] = {"error": None, "about": self._about}
        try:
            leaves = self._played(*arguments)
        except (ConfigError, RunError) as error:
            return {**answer, "error": (type(error).__name__, str(error))}
        return {**answer, "leaves": leaves, "faults": self._family.faults()}

    @from_python()
    def _played(self, *arguments: np.ndarray) -> list[np.ndarray]:
        *leaves, key = map(tf.constant, arguments)
        number, tasks = len(tf.nest.flatten(self._weights)), self._family.task_spec
        fits = len(leaves) == number + len(tf.nest.flatten(tasks))
        rule = f"{number} arrays of weights and a task of the family that make() gives"
        check(fits, "what the learner plays", f"{len(leaves)} arrays", rule)
        params = tf.nest.pack_sequence_as(self._weights, leaves[:number])
        task = tf.nest.pack_sequence_as(tasks, leaves[number:])
        found = nest.mismatches("weights", self._weights, params, [len(key)])
        found += nest.mismatches("task", tasks, task, [len(key)])
        if found:
            raise ConfigError(f"{found[0]}, as of what make() gives")
        return [leaf.numpy() for leaf in tf.nest.flatten(self._sample(params, task, key))]
