"""Four rooms: come to a cell that only the reward tells, and stay there, on a slippery floor.

Environment of the code of K. Frans, J. Ho, X. Chen, P. Abbeel, J. Schulman, "Meta learning shared
hierarchies" (MLSH), ICLR 2018, with its numbers, on the layout of R. Sutton, D. Precup, S. Singh,
"Between MDPs and semi-MDPs", 1999, figure 2. That of `maze` with the same name differs: there, no
step slips, an episode starts in a corner, and it ends at the goal.
"""

import dataclasses
import itertools

import numpy as np
import tensorflow as tf
from tf_agents.specs import tensor_spec

from tfcaml import keys, settings
from tfcaml.environments.base import Population, TaskFamily, config_of
from tfcaml.environments.native.maze import MOVES, Maze, MazeConfig
from tfcaml.errors import as_index, check, check_positive, check_whole, checked_call
from tfcaml.types import Task

NUM_CELLS = 104  # without a wall
START = 62  # the cell where episodes start, in row 7 and column 9
_MIDDLE = 6  # row and column of the walls between rooms
_NUM_NOISE = 2  # numbers that a step draws: whether it slips, and where to


@settings.checked
@dataclasses.dataclass(frozen=True)
class FourRoomsConfig:
    """Options of the family; goals are numbers of cells, from 0 to 103 in reading order.

    Attributes:
      train_goals: Goals to learn from. Source: MLSH's code: 68, 80, 90 and 103, all in the room
        below the start.
      test_goals: Goals to adapt to, none of which may be learned from unless all are the same in
        any order; () draws them from all other cells but the start. Source: tfcaml.
      slip: Probability with which a step that led to another cell leads on to a cell beside that.
        Source: MLSH's code: 1/3.
      horizon: Steps of an episode. Unit: steps. Source: MLSH paper: 100.
    """

    train_goals: tuple = (68, 80, 90, 103)
    test_goals: tuple = ()
    slip: float = 1 / 3
    horizon: int = 100

    def __post_init__(self) -> None:
        for name in ("train_goals", "test_goals"):
            given = getattr(self, name)
            goals = tuple(map(as_index, given))
            cells = len(set(goals) & set(range(NUM_CELLS)))
            check(cells == len(given), name, given, f"different cells from 0 to {NUM_CELLS - 1}")
            object.__setattr__(self, name, goals)  # a file's are lists
        check(self.train_goals, "train_goals", self.train_goals, "one cell at least")
        both = set(self.train_goals) & set(self.test_goals)
        same = set(self.train_goals) == set(self.test_goals)
        rule = f"none or all of train_goals={self.train_goals}"
        check(same or not both, "test_goals", self.test_goals, rule)
        check(0 <= self.slip <= 1, "slip", self.slip, "in [0, 1]")
        check_positive(horizon=self.horizon)


class FourRooms(TaskFamily):
    """A task is {"goal": [N]}, the number of a cell.

    Four rooms of 13 x 13 cells, 104 of which are no walls; these are numbered in reading order. An
    agent starts in cell 62. Actions 0 to 3 move it up, down, to the left and to the right; into a
    wall it stays where it is. A move that led to another cell slips with a probability of 1/3: it
    leads on to one of the cells beside that, the one that it came from among them, each with the
    same probability. Observation: the agent's cell, one-hot. Reward: 1 for each step that ends in
    the goal, else 0. Episodes never end early.

    Attributes:
      cells: [S, 2] integers, row and column of each cell that is no wall, from 0
      next_cell: [S, 4] integers, where each action leads without slipping
    """

    noise_size = _NUM_NOISE

    @checked_call
    def __init__(self, config: FourRoomsConfig | None = None) -> None:
        self.config = config_of(config, FourRoomsConfig)
        self.horizon = self.config.horizon
        self.holds_out = not set(self.config.train_goals) & set(self.config.test_goals)
        # The layout of `Maze` is without the walls around it.
        grid = Maze(MazeConfig(layout="four_rooms"))
        self.cells, self.next_cell = grid.cells + 1, grid.next_cell
        self._num_beside, self._beside = _cells_beside(grid.next_cell)
        self.task_spec = {"goal": tf.TensorSpec([], tf.int32)}
        self.observation_spec = tensor_spec.BoundedTensorSpec([NUM_CELLS], tf.float32, 0, 1)
        self.action_spec = tensor_spec.BoundedTensorSpec([], tf.int32, 0, len(MOVES) - 1, "action")

    @checked_call
    def population(self, seed: int, num_test: int = 4) -> Population:
        """The goals to learn from, and `num_test` to adapt to.

        With `test_goals` these by turns; without, cells other than the start and the goals to learn
        from, drawn without replacement. Groups are the rooms.

        Raises:
          ConfigError: more goals than cells, or `num_test` < 1.
        """
        seed, config = keys.as_int(seed), self.config
        check_whole("num_test", num_test, 1)
        train, test = np.array(config.train_goals), np.resize(config.test_goals, num_test)
        if not config.test_goals:
            others = np.setdiff1d(np.arange(NUM_CELLS), [*train, START])
            allowed = f"at most {len(others)}, the cells other than the start and train_goals"
            check(num_test <= len(others), "num_test", num_test, allowed)
            test = np.random.default_rng([seed, 0x4200]).permutation(others)[:num_test]
        return Population(self.task(train), self.task(test), self._room(train), self._room(test))

    def task(self, goal: np.ndarray) -> Task:
        """The tasks of goals given by the numbers of their cells: [N] integers -> task."""
        return {"goal": tf.constant(goal, tf.int32)}

    def planar_goal(self, task: Task) -> np.ndarray:
        return self._in_plane(self.cells[np.asarray(task["goal"])])

    def planar_positions(self, observation: np.ndarray) -> np.ndarray:
        return self._in_plane(np.asarray(observation) @ self.cells)

    def planar_walls(self) -> np.ndarray:
        size = 2 * _MIDDLE + 1
        free = {tuple(cell) for cell in self.cells.tolist()}
        every = itertools.product(range(size), repeat=2)
        return self._in_plane(np.array([cell for cell in every if cell not in free]))

    def reset(self, task: Task, key: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        cell = tf.fill(key.shape[:2], START)
        return cell, self._observation(cell)

    def step(
        self, task: Task, state: tf.Tensor, action: tf.Tensor, noise: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor]:
        table = lambda rows: tf.constant(rows.ravel(), tf.int32)
        width = len(MOVES)
        cell = tf.gather(table(self.next_cell), width * state + action)
        number = tf.gather(table(self._num_beside), cell)
        # A number so close to 1 that the product is rounded up leads to the last one too.
        which = tf.cast(noise[..., 1] * tf.cast(number, noise.dtype), tf.int32)
        which = tf.minimum(which, number - 1)
        slips = (cell != state) & (noise[..., 0] < self.config.slip)
        cell = tf.where(slips, tf.gather(table(self._beside), width * cell + which), cell)
        reward = tf.cast(cell == task["goal"][:, None], tf.float32)
        return cell, self._observation(cell), reward, tf.zeros(cell.shape, tf.bool)

    def _observation(self, cell: tf.Tensor) -> tf.Tensor:
        return tf.one_hot(cell, NUM_CELLS)

    def _in_plane(self, cell: np.ndarray) -> np.ndarray:
        """Rows and columns [..., 2] as places in the plane around the start; rows go downwards."""
        row, column = np.moveaxis(cell - self.cells[START], -1, 0)
        return np.stack([column, -row], axis=-1)

    def _room(self, cell: np.ndarray) -> np.ndarray:
        """0 to 3 by the quarter of the grid, which are the rooms but for the doors."""
        row, column = (self.cells[cell] > _MIDDLE).T
        return 2 * row + column


def _cells_beside(next_cell: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """How many cells without a wall are beside each, [S], and which, [S, 4] with those first."""
    beside = [[cell for cell in row if cell != own] for own, row in enumerate(next_cell)]
    number = np.array([len(row) for row in beside])
    return number, np.array([np.resize(row, next_cell.shape[1]) for row in beside])
