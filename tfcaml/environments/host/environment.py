"""Families of environments that run in Python: TF-Agents', gymnasium's, and your own.

`HostEnvironment` makes one family of them, that every learner, rollout and evaluation takes like
the families in TensorFlow. Graphs call back into Python for each step of a whole batch, so that XLA
can't compile it. A family of your own, from nothing:

    import gymnasium
    import tfcaml
    from tfcaml import environments, learners, policies


    def sample_task(rng):  # what one entity is; rng is NumPy's
        return {"gravity": rng.uniform(5, 15), "length": rng.uniform(0.5, 1.5)}


    def set_task(environment, task):  # makes an environment that entity's, before each episode
        environment.unwrapped.g = float(task["gravity"])
        environment.unwrapped.l = float(task["length"])


    make = lambda: gymnasium.make("Pendulum-v1")
    family = environments.HostEnvironment(make, sample_task, set_task, horizon=20)
    environments.check(family)  # says what is wrong with it, if anything is
    population = family.population(seed=0)
    policy = policies.mlp_policy(family.observation_spec, family.action_spec)
    config = learners.Reptile.Config(num_iterations=2, inner_updates=2)
    learner = learners.Reptile(family, policy, config)
    tfcaml.train(learner, population, seed=0)
    result = tfcaml.evaluate(learner, population.test, num_updates=1, num_episodes=4)
    print(result.returns.mean(axis=(1, 2)))  # mean return before and after the update
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import tensorflow as tf

from tfcaml import keys, nest
from tfcaml.environments.base import Population, TaskFamily, overlap
from tfcaml.environments.host import adapters as python_environments
from tfcaml.environments.host import python_tasks
from tfcaml.environments.host.episodes import Pool
from tfcaml.environments.host.retries import Player, first_environment
from tfcaml.environments.host.workers import Crew, check_picklable
from tfcaml.errors import (
    ConfigError,
    RunError,
    check,
    check_function,
    check_one_of,
    check_whole,
    checked_call,
    shown,
)
from tfcaml.types import Nest, Task

if TYPE_CHECKING:
    from tfcaml.environments.host import calls
    from tfcaml.environments.host.episodes import Episode


class HostEnvironment(TaskFamily):
    """A family of Python environments that differ by a task.

    Every row of a batch is an environment of its own, taken from a pool when its episode starts and
    given back when it ends. It is told its task and seed before each episode, so that what an
    episode is does not depend on what the environment played before. Continuous actions are clipped
    to the bounds of `action_spec`; one that is not a number ends the episode with a reward of NaN,
    which makes learners skip the update.

    Environments live in `workers` threads or processes, which share them evenly. Each environment
    is made, told its task, reset, stepped and closed by one and the same of them, so that whatever
    works in a single thread only (SQLite, OpenGL, `threading.local`) works here. Workers step at
    the same time, each its own environments one after the other; their number and kind change no
    number. Threads cost least. Processes pay where a step computes for long in Python, and hold
    what works in the main thread only, such as Python's module `signal`.

    An environment that raises, does not answer, or gives a wrong shape or what is not finite, is
    replaced by a fresh one, on which the episode is played again: same task, seed and actions, so
    that a passing fault changes no number. A worker with an environment that does not answer is
    replaced, and so is one whose process ends: the episodes of its other environments are played
    again as well.

    Args:
      make: function () -> environment: an unbatched TF-Agents `PyEnvironment`, a `TFEnvironment` of
        batch size 1 or a `gymnasium.Env`, all alike.
      tasks: function (rng: `np.random.Generator`) -> task, a dict; or the entities themselves,
        (support, query), dicts of arrays or lists with leading [S] and [Q]. A task's values are
        numbers, bools, strings, arrays, or lists, tuples or dicts of these. They have the same
        names, shapes and kinds in all tasks.
      set_task: function (environment, task) -> None; None: the environment's method
        `set_task(task)`. A reset comes after it. The task is equal to what `tasks` gave, with the
        same types: integers of up to 64 bits, floats and strings keep every digit.
      horizon: steps after which an episode is cut short; None: the environment's own limit.
      num_train: S, entities to learn from where `tasks` is a function.
      max_retries: how often an episode may be played again before the run ends with a `RunError`.
      step_timeout: seconds that one call of `reset` or `step` may take; None: for ever.
      workers: how many threads or processes; None: one for each environment.
      worker: "thread" or "process". For processes `make`, `set_task` and tasks have to be
        picklable, and a program makes the family below `if __name__ == "__main__":`. Each starts
        from a copy of a process that has imported tfcaml, and is a daemon: its environments can't
        use `multiprocessing` themselves.

    Raises:
      ConfigError: an environment of another kind or with more than one action, no way to set the
        task, no horizon, tasks of another kind, or what can't be sent to a process.
    """

    supports_xla = False
    keeps_episodes = False

    @checked_call
    def __init__(
        self,
        make: Callable[[], Any],
        tasks: Any,
        set_task: Callable[[Any, Any], object] | None = None,
        horizon: int | None = None,
        num_train: int = 20,
        *,
        max_retries: int = 2,
        step_timeout: float | None = 60.0,
        workers: int = 1,
        worker: str = "thread",
    ) -> None:
        what = "which makes an environment, such as lambda: gymnasium.make('Pendulum-v1')"
        if isinstance(make, str) or not callable(make):
            raise ConfigError(
                f"expected make to be a function, {what}; received make={shown(make)}"
            )
        check_function("make", make, ())
        if set_task is not None:
            check_function("set_task", set_task, ("environment", "task"))
        check_whole("num_train", num_train, 1)
        check_whole("max_retries", max_retries, 0)
        check_one_of("worker", worker, ("thread", "process"))
        if horizon is not None:
            check_whole("horizon", horizon, 1)
        if workers is not None:
            check_whole("workers", workers, 1)
        if callable(tasks):
            check_function("tasks", tasks, ("rng",))
        self._num_support = num_train
        self._draw = tasks if callable(tasks) else None
        if worker == "process":
            check_picklable(make=make, set_task=set_task)
        crew = Crew(worker, workers, functools.partial(_adapted, make, set_task))
        first, (self.observation_spec, self.action_spec, time_limit) = first_environment(crew)
        self._pool = Pool(crew.num_lanes, first)
        self._player = Player(crew, self.observation_spec, max_retries, step_timeout)
        if not isinstance(self.action_spec, tf.TypeSpec):
            raise ConfigError(
                "expected make() to give an environment whose action is a number or an array; "
                f"received a {type(self.action_spec).__name__} of actions"
            )
        steps = time_limit if horizon is None else horizon
        if steps is None:
            raise ConfigError(
                "expected horizon to be a number of steps, as the environment states no limit; "
                "received horizon=None"
            )
        self.horizon = int(steps)
        if self._draw:
            self._example = self._draw(_rng(0, 0))
            self.task_spec = python_tasks.specs(python_tasks.to_tensors([self._example]))
        else:
            pair = isinstance(tasks, (list, tuple)) and len(tasks) == 2
            check(pair, "tasks", tasks, "a function, or a pair of dicts (support, query)")
            support, query = map(python_tasks.to_rows, tasks)
            together = python_tasks.to_tensors(support + query)
            size = len(support)
            self._given = [nest.map(lambda x: x[:size], together)]
            self._given += [nest.map(lambda x: x[size:], together)]
            self._example, self.task_spec = support[0], python_tasks.specs(together)
        if worker == "process":
            check_picklable(tasks=self._example)

    @checked_call
    def population(self, seed: int, num_test: int | None = None) -> Population:
        """Entities to learn from and, apart, `num_test` to adapt to (3, or all that were given).

        Entity i of either set is the same however many there are.

        Raises:
          ConfigError: a negative seed; more held-out tasks than were given, or fewer than 1; a task
            in both sets (unless `holds_out` is False); or drawn tasks that are not alike.
        """
        seed = keys.as_int(seed)
        if self._draw:
            num_test = 3 if num_test is None else num_test
            check_whole("num_test", num_test, 1)
            support = self._drawn(self._num_support, seed, 1)
            query = self._drawn(num_test, seed, 2)
        else:
            support, query = self._given
            known = nest.leading(query)
            num_test = known if num_test is None else num_test
            check_whole("num_test", num_test, 1, known, "the tasks given")
            query = nest.take(query, range(num_test))
        shared = overlap(support, query) if self.holds_out else 0
        check(not shared, "test tasks that are training tasks too", shared, "none")
        group = lambda task: np.zeros(nest.leading(task), np.int64)
        return Population(support, query, group(support), group(query))

    def reset(self, task: Task, key: tf.Tensor) -> tuple[dict[str, tf.Tensor], Nest]:
        """Starts episodes; see `TaskFamily.reset`. The state names the episodes of the pool."""
        shape = key.shape[:2]
        dtypes = [tf.int64, *[spec.dtype for spec in tf.nest.flatten(self.observation_spec)]]
        inputs = [key, *python_tasks.leaves(task, self.task_spec, shape[0])]
        number, *observation = tf.numpy_function(self._reset_rows, inputs, dtypes)
        number.set_shape(shape)
        state = {"episode": number, "ended": tf.zeros(shape, bool), "cut": tf.zeros(shape, bool)}
        return state, self._observation(observation, shape)

    def step(
        self, task: Task, state: dict[str, tf.Tensor], action: tf.Tensor, noise: tf.Tensor
    ) -> tuple[dict[str, tf.Tensor], Nest, tf.Tensor, tf.Tensor]:
        """One step of every episode; see `TaskFamily.step`. Episodes that ended stand still."""
        shape = action.shape[:2]
        dtypes = [tf.bool, tf.bool, tf.bool, tf.float32]
        dtypes += [spec.dtype for spec in tf.nest.flatten(self.observation_spec)]
        ended, cut, terminated, reward, *observation = tf.numpy_function(
            self._step_rows, [state["episode"], state["ended"], action], dtypes
        )
        for value in (ended, cut, terminated, reward):
            value.set_shape(shape)
        state = {"episode": state["episode"], "ended": ended, "cut": cut}
        return state, self._observation(observation, shape), reward, terminated

    def truncated(self, state: dict[str, tf.Tensor]) -> tf.Tensor:
        return state["cut"]

    def faults(self) -> dict[str, int]:
        return dict(self._player.faults)

    def close(self) -> None:
        """Closes all environments, each in its own worker, and gives up episodes under way.

        The family can still be used: it makes new environments then. Without this call they are
        closed some time after nothing refers to the family any more.
        """
        self._pool.clear()
        self._player.close()

    def _observation(self, leaves: Sequence[tf.Tensor], shape: Sequence[int]) -> Nest:
        """Leaves [N, E, ...] of unknown shape as the nest of `observation_spec`."""
        for leaf, spec in zip(leaves, tf.nest.flatten(self.observation_spec)):
            leaf.set_shape([*shape, *spec.shape])
        return tf.nest.pack_sequence_as(self.observation_spec, leaves)

    def _drawn(self, num: int, *key: int) -> Task:
        """`num` tasks, each from a generator of its own."""
        rows = [self._draw(_rng(*key, i)) for i in range(num)]
        return python_tasks.to_tensors(rows, self.task_spec)

    # What runs in Python.

    def _reset_rows(self, key: np.ndarray, *task: np.ndarray) -> list[np.ndarray]:
        """key [N, E, 2], leaves of the task [N, ...] -> [episode [N, E], observation leaves]."""
        shape = key.shape[:2]
        number, episodes = self._pool.start(shape)
        for n in range(shape[0]):
            own_task = tf.nest.pack_sequence_as(self.task_spec, [leaf[n] for leaf in task])
            own_task = python_tasks.to_python(own_task, self._example)
            for e in range(shape[1]):
                episodes[n, e].task, episodes[n, e].seed = own_task, _episode_seed(key[n, e])
        leaves = self._played(number, list(episodes.ravel())).leaves
        return [number, *[leaf.reshape([*shape, *leaf.shape[1:]]) for leaf in leaves]]

    def _step_rows(
        self, number: np.ndarray, ended: np.ndarray, action: np.ndarray
    ) -> list[np.ndarray]:
        """[N, E] each, action [N, E, ...] -> [ended, cut, terminated, reward, observation leaves].

        An environment goes back to the pool with the last step of its episode.
        """
        shape = ended.shape
        ended, cut, terminated = ended.copy(), np.zeros_like(ended), np.zeros_like(ended)
        reward, observation = np.zeros(shape, np.float32), self._empty(shape)
        if self.action_spec.dtype.is_floating:
            action = np.clip(action, self.action_spec.minimum, self.action_spec.maximum)
            lost = np.isnan(action).any(axis=tuple(range(2, action.ndim))) & ~ended
            reward[lost], ended[lost], cut[lost] = np.nan, True, True
            self._pool.release(number[lost].tolist())
        rows = np.nonzero(~ended)
        if rows[0].size:
            episodes = self._pool.find(number[rows].tolist())
            for episode, own_action in zip(episodes, action[rows]):
                episode.actions.append(own_action)
            outcomes = self._played(number, episodes)
            reward[rows], cut[rows] = outcomes.reward, outcomes.cut
            terminated[rows] = outcomes.terminated
            for array, leaf in zip(observation, outcomes.leaves):
                array[rows] = leaf
            at_horizon = [len(episode.actions) == self.horizon for episode in episodes]
            ended[rows] = outcomes.terminated | outcomes.cut | at_horizon
            self._pool.release(number[rows][ended[rows]].tolist())
        return [ended, cut, terminated, reward, *observation]

    def _played(self, number: np.ndarray, episodes: Sequence[Episode]) -> calls.Outcomes:
        """The outcomes of the episodes' last calls; a failure ends the whole batch `number`."""
        try:
            return self._player.outcomes(episodes)
        except RunError:
            self._pool.release(number.ravel().tolist())
            raise

    def _empty(self, shape: Sequence[int]) -> list[np.ndarray]:
        specs = tf.nest.flatten(self.observation_spec)
        return [np.zeros([*shape, *spec.shape], spec.dtype.as_numpy_dtype) for spec in specs]


def _adapted(make: Callable[[], Any], set_task: Callable[[Any, Any], object] | None) -> Any:
    """A new environment as workers call it."""
    return python_environments.adapt(make(), set_task)


def _rng(*key: int) -> np.random.Generator:
    """The generator of one drawn task."""
    *first, index = key
    return np.random.default_rng([*first, 0x7A5C, index])


def _episode_seed(key: np.ndarray) -> int:
    """[2] -> the number that seeds one episode, a Python int from 0 to 2^31 - 1."""
    # 31 bits, as some environments hand it on to generators that take no more.
    return int(np.random.SeedSequence(key.astype(np.uint32)).generate_state(1)[0] >> 1)
