"""Mini-mazes: reach a cell that only the reward tells, in a grid whose walls stay where they are.

An agent starts in one fixed cell and moves up, down, left or right; into a wall it stays where it
is. It is paid 1 on arrival at the goal, which ends the episode, and 0 otherwise. Tasks differ by
the goal alone, so that what was learned on the way to one helps to find another near by. Grids of
11 x 11 cells: "maze", corridors with few ways round, and "four_rooms" (R. Sutton, D. Precup,
S. Singh, "Between MDPs and semi-MDPs", 1999, figure 2).

Everything is finite and known, so `Maze` gives exact figures too: transitions, distances on foot,
and experts.
"""

import dataclasses
import math
from collections.abc import Sequence

import numpy as np
import tensorflow as tf
from tf_agents.specs import tensor_spec

from tfcaml import keys, settings
from tfcaml.environments.base import Population, TaskFamily, config_of
from tfcaml.errors import ConfigError, check, check_one_of, check_whole, checked_call
from tfcaml.types import Task, Trajectory, next_observation

MOVES = np.array([[-1, 0], [1, 0], [0, -1], [0, 1]])  # up, down, left, right, as (row, column)
# "#" is a wall, "S" the start.
LAYOUTS = {
    "maze": """
        S......#...
        ######.###.
        .....#.#...
        .###.#.#.##
        .#...#.#...
        .#####.###.
        .....#.#...
        ####.#.#.##
        ...........
        .#####.###.
        ...........
    """,
    "four_rooms": """
        S....#.....
        .....#.....
        ...........
        .....#.....
        .....#.....
        #.####.....
        .....###.##
        .....#.....
        .....#.....
        ...........
        .....#.....
    """,
}
_SWEEPS = 10_000  # of value iteration, at most
_TOLERANCE = 1e-10


@settings.checked
@dataclasses.dataclass(frozen=True)
class MazeConfig:
    """Options of the family.

    Attributes:
      layout: Walls: "maze", corridors with few ways round, or "four_rooms". Source: tfcaml; R.
        Sutton et al., 1999, Figure 2, for four_rooms.
      num_train: Goals to learn from. Source: tfcaml.
      horizon: Steps of an episode, at most. Unit: steps. Source: tfcaml.
    """

    layout: str = "maze"
    num_train: int = 20
    horizon: int = 50

    def __post_init__(self) -> None:
        check_one_of("layout", self.layout, LAYOUTS)
        check(self.horizon >= 1, "horizon", self.horizon, ">= 1")
        check(self.num_train >= 1, "num_train", self.num_train, ">= 1")


class Maze(TaskFamily):
    """The family. A task is {"goal": [N, 2]}: row and column of the goal, whole numbers as floats.

    The observation is the agent's cell, one-hot. A linear layer's weights are then a table of
    logits: `NetworkPolicy`s of any depth can be any stochastic policy, experts among them, while
    networks of coordinates would have to bend around every wall. Nearness is not in it; what
    policies of near goals share has to be found in what they do.

    Attributes:
      cells: [S, 2] integers, row and column of each cell that is no wall
      start: index of the cell where episodes start
      next_cell: [S, 4] integers, where each action leads
    """

    @checked_call
    def __init__(self, config: MazeConfig | None = None) -> None:
        self.config = config_of(config, MazeConfig)
        self.horizon = self.config.horizon
        grid = np.array([list(row) for row in LAYOUTS[self.config.layout].split()])
        self.cells = np.argwhere(grid != "#")
        self._index = np.full(grid.shape, -1)
        self._index[tuple(self.cells.T)] = np.arange(len(self.cells))
        self.start = int(self._index[tuple(np.argwhere(grid == "S")[0])])
        self.next_cell = self._next_cells()
        size = len(self.cells)
        self.task_spec = {"goal": tf.TensorSpec([2], tf.float32)}
        self.observation_spec = tensor_spec.BoundedTensorSpec([size], tf.float32, 0, 1)
        self.action_spec = tensor_spec.BoundedTensorSpec([], tf.int32, 0, 3, "action")

    @checked_call
    def population(self, seed: int, num_test: int = 10) -> Population:
        """Goals drawn without replacement from all cells but the start, held-out ones first.

        Groups are the quarters of the grid, in four_rooms the rooms.

        Raises:
          ConfigError: more goals than cells, or `num_test` < 1.
        """
        check_whole("num_test", num_test, 1)
        cells = np.delete(np.arange(len(self.cells)), self.start)
        size = num_test + self.config.num_train
        allowed = f"at most {len(cells)}, the cells other than the start"
        check(size <= len(cells), "num_train + num_test", size, allowed)
        chosen = np.random.default_rng([keys.as_int(seed), 0x3A2E]).permutation(cells)[:size]
        query, support = np.split(chosen, [num_test])
        return Population(
            self.task(support), self.task(query), self._quarter(support), self._quarter(query)
        )

    def task(self, goal: Sequence[int] | np.ndarray) -> Task:
        """The tasks of goals given by their index: [N] integers -> task."""
        return {"goal": tf.constant(self.cells[np.asarray(goal)], tf.float32)}

    def goal_cells(self, task: Task) -> np.ndarray:
        """The index of each task's goal, [N] integers.

        Raises:
          ConfigError: a goal that is no cell of the grid.
        """
        goal = np.asarray(task["goal"])
        same = (goal[:, None] == self.cells).all(axis=-1)
        if not same.any(axis=1).all():
            wrong = goal[~same.any(axis=1)][0].tolist()
            raise ConfigError(f"expected goals to be cells without a wall; received goal={wrong}")
        return same.argmax(axis=1)

    def planar_goal(self, task: Task) -> np.ndarray:
        return _in_plane(np.asarray(task["goal"]))

    def planar_positions(self, observation: np.ndarray) -> np.ndarray:
        return _in_plane(np.asarray(observation) @ self.cells)

    def planar_walls(self) -> np.ndarray:
        return _in_plane(np.argwhere(self._index < 0))

    def reset(self, task: Task, key: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        cell = tf.fill(key.shape[:2], self.start)
        return cell, self._observation(cell)

    def step(
        self, task: Task, state: tf.Tensor, action: tf.Tensor, noise: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor]:
        cell = tf.gather(tf.constant(self.next_cell.ravel(), tf.int32), 4 * state + action)
        place = tf.gather(tf.constant(self.cells, tf.float32), cell)
        arrived = tf.reduce_all(place == task["goal"][:, None], axis=-1)
        return cell, self._observation(cell), tf.cast(arrived, tf.float32), arrived

    def relabel(self, task: Task, trajectory: Trajectory) -> Trajectory:
        """Episodes towards other goals, paid for and ended where they reach that of `task`.

        Episodes that ended at their own goal before say nothing of what would have followed.
        """
        places = tf.constant(self.cells, tf.float32)
        goal = tf.reduce_all(places == task["goal"][:, None], axis=-1)  # [N, S]
        goal = tf.cast(goal, tf.float32)[:, None]
        arrived = tf.reduce_sum(next_observation(trajectory) * goal[:, :, None], axis=-1)
        mask = trajectory.mask * tf.cast(
            tf.cumsum(arrived, axis=-1, exclusive=True) == 0, tf.float32
        )
        reward = arrived * mask
        ended = tf.reduce_sum(reward, axis=-1, keepdims=True) > 0
        final_observation = tf.where(ended, goal, trajectory.final_observation)
        return trajectory._replace(
            reward=reward, mask=mask, terminated=reward, final_observation=final_observation
        )

    def start_distribution(self) -> np.ndarray:
        """Where episodes start: [S], 1 at the start."""
        return np.eye(len(self.cells))[self.start]

    def transition(self, task: Task) -> np.ndarray:
        """Probability of the next cell, [N, S, 4, S], 0 for the goal: there the episode is over.

        `divergence.state_visits` reads what is missing to 1 as the end of an episode.
        """
        probability = np.eye(len(self.cells))[self.next_cell]
        probability = np.repeat(probability[None], task["goal"].shape[0], axis=0)
        goal = self.goal_cells(task)
        probability[np.arange(len(goal)), :, :, goal] = 0
        probability[np.arange(len(goal)), goal] = 0
        return probability

    def distances(self) -> np.ndarray:
        """Steps of the shortest way between any two cells, [S, S], by breadth-first search."""
        size = len(self.cells)
        adjacent = np.zeros([size, size], bool)
        adjacent[np.arange(size)[:, None], self.next_cell] = True
        reached, distance = np.eye(size, dtype=bool), np.full([size, size], np.inf)
        for steps in range(size):
            distance[reached & np.isinf(distance)] = steps
            reached = reached @ adjacent
        return distance

    def soft_expert(self, task: Task, temperature: float = 0.1) -> np.ndarray:
        """Log-probabilities of the policies that arrive soon, [N, S, 4], by soft value iteration.

        V(s) = temperature * ln sum_a exp(Q(s, a) / temperature), Q(s, a) = V(next) - 1, V(goal) =
        0, and the policy is exp((Q - V) / temperature): of all policies the one of least expected
        steps minus temperature times entropy. Steps are what is paid for, not the family's reward:
        with that one, discounted, entropy is worth more than arriving or, with a discount that
        prevents it, actions far from the goal differ by less than the temperature.

        Args:
          task: goals.
          temperature: > 0 and below 1 / ln 4, from where wandering for ever is the best.

        Raises:
          ConfigError: a temperature out of range, or a goal that is no cell.
        """
        limit = 1 / math.log(len(MOVES))
        check(0 < temperature < limit, "temperature", temperature, f"> 0 and < {limit:.3f}")
        goal = self.goal_cells(task)
        value = -self.distances()[goal]  # of the greedy policy: [N, S]
        for _ in range(_SWEEPS):
            scaled = (value[:, self.next_cell] - 1) / temperature
            peak = scaled.max(axis=-1, keepdims=True)
            soft = peak + np.log(np.exp(scaled - peak).sum(axis=-1, keepdims=True))
            new = temperature * soft[..., 0]
            new[np.arange(len(goal)), goal] = 0
            done = np.abs(new - value).max() < _TOLERANCE
            value = new
            if done:
                break
        return scaled - soft

    def _next_cells(self) -> np.ndarray:
        """[S, 4]: beyond the edge and in walls there is no cell, and the agent stays."""
        padded = np.pad(self._index, 1, constant_values=-1)
        row, column = np.moveaxis(self.cells[:, None] + MOVES + 1, -1, 0)
        neighbour = padded[row, column]
        return np.where(neighbour >= 0, neighbour, np.arange(len(self.cells))[:, None])

    def _quarter(self, cell: np.ndarray) -> np.ndarray:
        row, column = self.cells[cell].T * 2 // np.array(self._index.shape)[:, None]
        return 2 * row + column

    def _observation(self, cell: tf.Tensor) -> tf.Tensor:
        return tf.one_hot(cell, len(self.cells))


def _in_plane(cell: np.ndarray) -> np.ndarray:
    """Rows and columns [..., 2] as places in the plane: rows are counted downwards."""
    return np.stack([cell[..., 1], -cell[..., 0]], axis=-1)
