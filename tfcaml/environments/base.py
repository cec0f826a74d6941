"""A family of Markov decision processes as pure functions, batched over tasks and episodes."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import tensorflow as tf

from tfcaml import nest
from tfcaml.errors import ConfigError, NotFiniteError, check, check_is
from tfcaml.types import Episodes, Film, Nest, Task, Trajectory

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from tf_agents.specs import tensor_spec


class Population(NamedTuple):
    """The entities of one study: some to learn from, others, never seen in training, to adapt to.

    train: tasks, leading [S]
    test:  tasks, leading [Q]; none of them is in `train`, unless the family says
      `holds_out = False`
    train_group: [S] integers, the latent group of each entity (for reports, never for learning)
    test_group:   [Q]
    draw: for families that never run out of entities, (num_tasks, key [2]) -> new tasks to learn
      from; `train` then holds examples of them
    test_set: [Q] strings, the named set that each test task is of, such as "near" and "far", for
      each of which results are reported too; `()` where there is but one
    seen_sets: names of the sets whose tasks may be training tasks as well
    """

    train: Task
    test: Task
    train_group: np.ndarray
    test_group: np.ndarray
    draw: Callable[[int, tf.Tensor], Task] | None = None
    test_set: Sequence[str] | np.ndarray = ()
    seen_sets: tuple[str, ...] = ()

    def sample(self, num_tasks: int, key: tf.Tensor) -> tuple[Task, tf.Tensor | tuple[()]]:
        """Training tasks, drawn with replacement or made anew.

        Args:
          num_tasks: N.
          key: [2].

        Returns:
          (task, nest with leading [N]; index [N] into `train`, or `()` of tasks made anew).
        """
        if self.draw is not None:
            return self.draw(num_tasks, key), ()
        size = nest.leading(self.train)
        index = tf.random.stateless_uniform([num_tasks], key, 0, size, tf.int32)
        return nest.take(self.train, index), index

    def groups_of(self, task: Task) -> np.ndarray:
        """The latent group of each training entity in `task` [N], as [N] integers; for pictures.

        A task that is no training entity is counted to the first one's group.
        """
        rows = list(enumerate(task_rows(self.train)))
        first = {row: index for index, row in reversed(rows)}
        return np.asarray(self.train_group)[[first.get(row, 0) for row in task_rows(task)]]

    def held_out(self) -> Task:
        """The test tasks that must not be training tasks: those of all sets but `seen_sets`."""
        if not len(self.test_set):
            return self.test
        return nest.take(self.test, np.flatnonzero(~np.isin(self.test_set, self.seen_sets)))

    def seen(self) -> str:
        """Which of the test tasks are training tasks too: "none", "some" or "all" of them."""
        shared = overlap(self.train, self.test)
        return "none" if not shared else "some" if shared < nest.leading(self.test) else "all"


def overlap(train: Task, test: Task) -> int:
    """How many test tasks, nest of [Q, ...], are among the training tasks, nest of [S, ...].

    Tasks are the same if every number and string in them is, to the last digit.
    """
    known = set(task_rows(train))
    return sum(row in known for row in task_rows(test))


def task_rows(tasks: Task) -> list[tuple[Any, ...]]:
    """All that each task holds, as values to compare: nest of [N, ...] -> list of N tuples.

    Leaves keep their own types, as integers above 2**53 have no exact float.
    """
    leaves = [np.asarray(x) for x in tf.nest.flatten(tasks)]
    flat = [x.reshape([len(x), math.prod(x.shape[1:])]).tolist() for x in leaves]
    return [tuple(itertools.chain(*row)) for row in zip(*flat)]


def check_held_out(
    environment: TaskFamily, population: Population, what: str = "held-out entities"
) -> None:
    """Raises `ConfigError` if an entity of `population` is both learned from and held out."""
    shared = overlap(population.train, population.held_out()) if environment.holds_out else 0
    check(not shared, f"{what} that are training entities too", shared, "none")


def check_population(environment: TaskFamily, population: Population) -> None:
    """Raises `ConfigError` unless a population is one of a family, and holds its test tasks out."""
    allowed = "a whole Population, as family.population(seed) gives it"
    check_is("population", population, Population, allowed)
    check_task(environment, population.train, "population.train")
    check_task(environment, population.test, "population.test")
    check_held_out(environment, population)


def check_task(environment: TaskFamily, task: Task, name: str = "task") -> None:
    """Raises `ConfigError` unless a batch of tasks, leading [N], is one that a family can play.

    Nothing is converted: leaves have the structure, the shapes and the dtypes of `task_spec`, hold
    one task at least, and no NaN or infinity. They may be tensors or NumPy arrays.
    """
    family, spec = type(environment).__name__, environment.task_spec
    if isinstance(task, Population):
        raise ConfigError(
            f"expected {name} to be tasks of {family}; received a whole Population, whose .test "
            "holds the held-out tasks and .train the training tasks"
        )
    if spec is None:
        raise ConfigError(f"expected {family}.task_spec to be set; received task_spec=None")
    found = nest.mismatches(name, spec, task, [None])
    if found:
        raise ConfigError(f"{found[0]} ({family}.task_spec with an axis of N tasks before it)")
    sizes = [x.shape[0] for x in tf.nest.flatten(task)]
    rule = "equal, and 1 at least (no task to evaluate)"
    fits = len(set(sizes)) == 1 and sizes[0] >= 1
    check(fits, f"the numbers of tasks in {name}", dict(zip(nest.names(spec), sizes)), rule)
    for path, leaf in zip(nest.names(spec), tf.nest.flatten(task)):
        numbers = np.asarray(leaf)
        if numbers.dtype.kind == "f" and not np.isfinite(numbers).all():
            worst = numbers[~np.isfinite(numbers)][0]
            where = name + (f"[{path!r}]" if path else "")
            raise NotFiniteError(f"expected {where} to be finite; received {worst}")


def config_of(config: Any, config_class: type) -> Any:
    """The options of a family: those given, or the defaults in place of None.

    Raises:
      ConfigError: something else than an instance of `config_class`.
    """
    allowed = f"an instance of {config_class.__name__}, whose fields are the family's options"
    check_is("config", config, (config_class, type(None)), allowed)
    return config_class() if config is None else config


def check_family(environment: Any) -> None:
    """Raises `ConfigError` unless it is an instance of a `TaskFamily`."""
    example = "a task family, such as environments.Particle() or environments.HostEnvironment(...)"
    check_is("environment", environment, TaskFamily, example)


class TaskFamily:
    """A family of MDPs that differ by a `task`. All state is in the arguments.

    Subclasses set the attributes.

    Attributes:
      task_spec: nest of `TensorSpec`s of one task
      observation_spec: nest of `TensorSpec`s of one observation
      action_spec: `BoundedTensorSpec` of one action
      horizon: steps after which an episode is truncated
      noise_size: how many U(0, 1) numbers one step uses (0 for a deterministic family)
      supports_xla: whether XLA can compile it; no family that runs in Python can be
      keeps_episodes: whether the state holds all of an episode, so that episodes may be left, saved
        and gone on from later; False where it names what runs elsewhere
      long_episodes: whether episodes are too long to hold all that was observed: trajectories of
        whole episodes then come without observations, so that learning takes segments of them
      notice: what everybody who sees results of the family has to be told, "" for nothing
      observes_task: whether observations tell the task, so that there is nothing to adapt to
      most_episodes: how many episodes of a task there are, which may be measured on; None: any
        number
      holds_out: whether test tasks are never training tasks; False where there are so few tasks
        that each is both
    """

    task_spec: Nest = None
    observation_spec: Nest = None
    action_spec: tensor_spec.BoundedTensorSpec = None
    horizon: int
    noise_size = 0
    supports_xla = True
    keeps_episodes = True
    long_episodes = False
    notice = ""
    observes_task = False
    most_episodes: int | None = None
    holds_out = True

    def population(self, seed: int, num_test: int = 3) -> Population:
        """The `Population` of a study with this seed and `num_test` held-out tasks.

        Args:
          seed: an integer from 0 to 2**62 - 1, of Python or NumPy; see `keys.as_int`.
          num_test: Q.

        Raises:
          ConfigError: the sets can't be made disjoint, `num_test` < 1, or a negative seed.
        """
        raise NotImplementedError

    def planar_goal(self, task: Task) -> tf.Tensor | np.ndarray | None:
        """Where episodes should end, [N, 2], if observations tell a place in a plane; else None.

        For pictures only, as are `planar_positions` and `planar_walls`.
        """
        return None

    def planar_positions(self, observation: np.ndarray) -> np.ndarray:
        """Where in the plane the agent is, [..., 2]: the first two numbers of observations.

        Asked only of a family that has a `planar_goal`. Episodes start at (0, 0).

        Args:
          observation: [..., O].
        """
        return observation[..., :2]

    def planar_walls(self) -> np.ndarray:
        """Where in the plane walls are: [W, 2], centres of squares with sides of length 1."""
        return np.zeros([0, 2])

    def pictures(self, examples: dict[str, tuple[Trajectory, Trajectory]]) -> dict[str, Figure]:
        """What is drawn of an evaluation of this family, besides what is drawn of any.

        Args:
          examples: dict method -> (`Trajectory` before adaptation, `Trajectory` after it).

        Returns:
          dict name -> matplotlib figure.
        """
        return {}

    def film(self, episodes: Sequence[Episodes], most_pictures: int = 100) -> list[Film] | None:
        """Films of episodes as they went, for families that can be looked at.

        Args:
          episodes: of each `Episodes` the first episode of the first task is shown. Without any, it
            is only found out whether films can be made.
          most_pictures: of a film.

        Returns:
          a `Film` for each; None, the default, of a family that can't be filmed.

        Raises:
          ConfigError: the machine can't draw them.
        """
        return None

    def reset(self, task: Task, key: tf.Tensor) -> tuple[Nest, Nest]:
        """Starts episodes.

        Args:
          task: nest, leading [N].
          key: [N, E, 2], one key per episode.

        Returns:
          (state, nest of [N, E, ...]; observation, nest of [N, E, ...]).
        """
        raise NotImplementedError

    def restart(
        self, task: Task, state: Nest, observation: Nest, alive: tf.Tensor, key: tf.Tensor
    ) -> tuple[Nest, Nest]:
        """Starts new episodes in the place of those that have ended, as `reset` starts them.

        To be overridden by families that can do so for less than the start of all episodes costs.

        Args:
          task: nest, leading [N].
          state, observation: nests of [N, E, ...], the latest of each episode.
          alive: [N, E] bool, which episodes go on.
          key: [N, E, 2], one key per episode that starts.

        Returns:
          (state, observation), as they were where an episode goes on.
        """
        return nest.where(alive, (state, observation), self.reset(task, key))

    def step(
        self, task: Task, state: Nest, action: tf.Tensor, noise: tf.Tensor
    ) -> tuple[Nest, Nest, tf.Tensor, tf.Tensor]:
        """One step of every episode.

        Args:
          task: nest, leading [N].
          state: nest of [N, E, ...].
          action: [N, E] integers or [N, E, A].
          noise: [N, E, noise_size], U(0, 1).

        Returns:
          (state, observation, reward [N, E], terminated [N, E] bool). Truncation at the horizon is
          the caller's.
        """
        raise NotImplementedError

    def truncated(self, state: Nest) -> tf.Tensor | bool:
        """Whether the step to `state` cut an episode short before the horizon, [N, E] bool.

        Such an episode ends like one that reaches the horizon: without `terminated`. False, the
        default, stands for a family that has no such steps.
        """
        return False

    def expert(self, task: Task, state: Nest) -> tf.Tensor:
        """What a scripted expert, who knows the task, does: [N, E, A], or [N, E] integers.

        For families that have one, to be learned from; see `rollouts.demonstrations`.

        Args:
          task: nest, leading [N].
          state: nest of [N, E, ...], as `reset` and `step` give it.

        Raises:
          ConfigError: the family has no expert.
        """
        raise ConfigError(
            f"expected a family with an expert, to demonstrate its tasks; received "
            f"{type(self).__name__}, which has no `expert`"
        )

    def relabel(self, task: Task, trajectory: Trajectory) -> Trajectory:
        """Episodes of other tasks as they would have gone in `task`, had the same been done.

        For families whose reward can be computed from what was observed and whose transitions are
        the same in all tasks.

        Args:
          task: nest, leading [N].
          trajectory: `Trajectory` [N, E, T, ...].

        Returns:
          `Trajectory` with the rewards and ends of `task`; never longer than it was.

        Raises:
          ConfigError: the family can't tell.
        """
        raise ConfigError(
            f"{type(self).__name__} can't tell what another task would have paid for an episode: "
            "it has no `relabel`"
        )

    def faults(self) -> dict[str, int]:
        """What went wrong in episodes so far: dict name -> count; empty without.

        Where environments are stepped in Python: errors, timeouts and retried_episodes.
        """
        return {}
