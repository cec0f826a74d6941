"""Ants between walls: nine mazes, and an obstacle course with a chaser.

AntObstaclesGen and AntObstaclesBig of K. Frans, J. Ho, X. Chen, P. Abbeel, J. Schulman, "Meta
learning shared hierarchies" (MLSH), ICLR 2018, in the form of their code.

After every so many steps an ant is set upright again where it is: its place in the plane stays, and
everything else is as at the start, at rest. Beside a wall its legs may then reach into it, and
MuJoCo throws the ant back, by up to 4 m; that follows from the source's rule, too.

Differences from the source: the integrator is Euler's method by default, and that of Runge and
Kutta there. An ant that is set upright takes exactly the pose of the start; there noise is added to
it as at the start, and the pose changes before a step, not after it. Blocks that don't stand lie
below the floor; there they are 80 m aside. The ant has no head; there is one without mass.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import numpy as np
import tensorflow as tf

from tfcaml import settings
from tfcaml.environments.base import Population
from tfcaml.environments.mujoco import parts
from tfcaml.environments.mujoco.ant_tasks import HeavyAntConfig
from tfcaml.environments.mujoco.simulation import Robot, Simulation
from tfcaml.environments.native.one_task import population_of_one
from tfcaml.errors import check_positive, checked_call
from tfcaml.types import Task

if TYPE_CHECKING:
    import mujoco

_POSITIONS, _VELOCITIES = 15, 14  # of an ant

# Of the mazes. Which of the nine blocks stand (#), each row forwards, the left one first; and the
# goal, in metres.
_PATTERNS: list[tuple[str, tuple[float, float]]] = [
    (".## .## ###", (8, 24)),
    ("### .## .##", (8, -24)),
    ("#.# ..# ###", (24, 24)),
    ("### ..# #.#", (24, -24)),
    ("### ... ###", (48, 0)),
    ("##. ... ###", (40, 24)),
    ("### ... ##.", (40, -24)),
    ("..# .## ###", (32, 16)),
    ("### .## ..#", (32, -16)),
]
_STANDING = np.array([[c == "#" for c in p if c != " "] for p, _ in _PATTERNS], np.float32)
_MAZE_GOALS = np.array([goal for _, goal in _PATTERNS], np.float32)
_BLOCKS = _STANDING.shape[1]
_AWAY = -80.0  # how far below its place a block lies that doesn't stand, in metres

# Of the course.
_COURSE_GOAL = np.array([[35, -35]], np.float32)
_ARRIVAL = 30.0  # squared distance below which a step is paid
_SIGHT = 15.0  # how near its first place an ant wakes the chaser
_CHASER_STEP = 1.0  # of the chaser along each axis, in metres


@settings.checked
@dataclasses.dataclass(frozen=True)
class AntMazeConfig(HeavyAntConfig):
    """Options of the mazes.

    Attributes:
      horizon: Steps of an episode, at most. Unit: steps. Source: MLSH: 1000.
      repose_every: After how many steps an ant is set upright again. Unit: steps. Source:
        MLSH's code: 200.
    """

    horizon: int = 1000
    repose_every: int = 200

    def __post_init__(self) -> None:
        super().__post_init__()
        check_positive(repose_every=self.repose_every)


@settings.checked
@dataclasses.dataclass(frozen=True)
class AntObstaclesConfig(AntMazeConfig):
    """Options of the obstacle course.

    Attributes:
      horizon: Steps of an episode, at most. Unit: steps. Source: MLSH: 2000; its code: 3000.
      repose_every: After how many steps an ant is set upright again. Unit: steps. Source:
        MLSH's code: 300.
    """

    horizon: int = 2000
    repose_every: int = 300


class _BetweenWalls(Simulation):
    """Observation: positions and velocities of the ant (29), neither goal nor walls. Episodes never
    end early."""

    task_size = 1
    holds_out = False

    def observe(self, task: Task, body: Robot) -> tf.Tensor:
        seen = [body.qpos[..., :_POSITIONS], body.qvel[..., :_VELOCITIES]]
        return tf.concat(seen, axis=-1)

    def goal(self, task: Task) -> tf.Tensor:
        return tf.pad(task["goal"], [[0, 0], [0, 1]])

    def reset(self, task: Task, key: tf.Tensor) -> tuple[dict[str, tf.Tensor], tf.Tensor]:
        state, observation = super().reset(task, key)
        return {**state, "time": tf.zeros(key.shape[:2], tf.int32)}, observation

    def step(
        self, task: Task, state: dict[str, tf.Tensor], action: tf.Tensor, noise: tf.Tensor
    ) -> tuple[dict[str, tf.Tensor], tf.Tensor, tf.Tensor, tf.Tensor]:
        """One step, after which the ant is set upright again if it is time to."""
        later, _, reward, ended = super().step(task, state, action, noise)
        time = state["time"] + 1
        due = (time % self.config.repose_every == 0) & ~later["still"]
        row = tf.where(due[..., None] & self._reposed, self._start, later["row"])
        later = {**later, "row": row, "time": time}
        return later, self.observe(task, self._body(row, later["sensors"])), reward, ended

    @property
    def _reposed(self) -> np.ndarray:
        """Which numbers of a row [S] become those of the start: all but places in the plane."""
        place = np.arange(self.engine.state_size)
        return (place >= 2) & ((place < _POSITIONS) | (place >= self.model.nq))


class AntMaze(_BetweenWalls):
    """Go to a goal in one of nine mazes, all of which are learned and tested.

    A task is {"blocks": [N, 9], "goal": [N, 2]}: 1 for blocks that stand, else 0; and a place in
    metres. Reward: speed towards the goal along x, and as much along y, - 0.1 times the sum of
    squared controls. Goals are where an open way ends: at an outer wall, or in the block that would
    be next.
    """

    Config = AntMazeConfig
    config: AntMazeConfig
    control_weight = 0.1

    def spec(self) -> mujoco.MjSpec:
        from tfcaml.environments.mujoco.bodies.ant_courses import ant_maze

        return ant_maze(gear=self.config.gear, mass=self.config.mass)

    def tasks(self, unit: tf.Tensor) -> Task:
        kind = parts.kind_of(unit, len(_PATTERNS))
        return {"blocks": tf.gather(_STANDING, kind), "goal": tf.gather(_MAZE_GOALS, kind)}

    @checked_call
    def population(self, seed: int, num_test: int = 9) -> Population:
        """All mazes to learn from, and by turns to adapt to; the seed changes nothing."""
        return parts.few(self, seed, len(_PATTERNS), num_test)

    def physics(self, task: Task) -> dict[str, tf.Tensor]:
        """Blocks that don't stand lie far below the floor, where nothing meets or hides them."""
        where = np.zeros([_BLOCKS, *self.model.body_pos.shape])
        for number in range(_BLOCKS):
            where[number, self.model.body(f"block_{number}").id, 2] = _AWAY
        away = tf.cast(1 - task["blocks"], tf.float64)
        return {"body_pos": self.model.body_pos + tf.tensordot(away, tf.constant(where), 1)}

    def reward(
        self, task: Task, before: Robot, after: Robot, velocity: tf.Tensor, control: tf.Tensor
    ) -> tf.Tensor:
        ahead = before.qpos[..., :2] < task["goal"][:, None]
        towards = tf.where(ahead, velocity[..., :2], -velocity[..., :2])
        return tf.reduce_sum(towards, axis=-1) - self.control_cost(control)


class AntObstacles(_BetweenWalls):
    """Go around walls, and past a chaser, to a goal: the one task there is.

    A task is {"goal": [N, 2]}, in metres. Reward: 1 in a step after which the squared distance of
    the torso to the goal is below 30 square metres, else 0. The chaser, a ball with a radius of
    3 m, waits at (25, 30). While the ant is within 15 m of there, it comes 1 m nearer along each
    axis in every step; else it stands. It is not observed.
    """

    Config = AntObstaclesConfig
    config: AntObstaclesConfig

    def spec(self) -> mujoco.MjSpec:
        from tfcaml.environments.mujoco.bodies.ant_courses import ant_course

        return ant_course(gear=self.config.gear, mass=self.config.mass)

    def tasks(self, unit: tf.Tensor) -> Task:
        return {"goal": tf.repeat(_COURSE_GOAL, unit.shape[0], axis=0)}

    @checked_call
    def population(self, seed: int, num_test: int = 1) -> Population:
        """One task to learn from and to adapt to."""
        return population_of_one(self.tasks(tf.zeros([1, 1])), seed, num_test)

    def start(self, task: Task, key: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """As of any ant; the chaser has a place of its own."""
        position, velocity = super().start(task, key)
        alone = lambda x: tf.pad(x[..., :-2], [[0, 0], [0, 0], [0, 2]])
        return alone(position), alone(velocity)

    def step(
        self, task: Task, state: dict[str, tf.Tensor], action: tf.Tensor, noise: tf.Tensor
    ) -> tuple[dict[str, tf.Tensor], tf.Tensor, tf.Tensor, tf.Tensor]:
        """One step of the chaser, then one of the ant."""
        return super().step(task, {**state, "row": self._chased(state)}, action, noise)

    def reward(
        self, task: Task, before: Robot, after: Robot, velocity: tf.Tensor, control: tf.Tensor
    ) -> tf.Tensor:
        offset = after.qpos[..., :2] - task["goal"][:, None]
        return tf.cast(tf.reduce_sum(offset**2, axis=-1) < _ARRIVAL, tf.float32)

    def _chased(self, state: dict[str, tf.Tensor]) -> tf.Tensor:
        """Rows [N, E, S] where the chaser has moved, and has no speed but that."""
        row, size = state["row"], self.model.nq
        ant, chaser = row[..., :2], row[..., size - 2 : size]
        waits_at = self._start[size - 2 : size]
        awake = tf.reduce_sum((ant - waits_at) ** 2, axis=-1, keepdims=True) < _SIGHT**2
        moves = awake & ~state["still"][..., None]
        chaser = tf.where(moves, chaser + _CHASER_STEP * tf.sign(ant - chaser), chaser)
        rest = row[..., size + self.model.nv :]
        speed = row[..., size : size + self.model.nv - 2]
        still = tf.zeros_like(chaser)
        return tf.concat([row[..., : size - 2], chaser, speed, still, rest], axis=-1)
