"""Families of robots simulated by MuJoCo, as pure functions like the families in TensorFlow.

The state of an episode is one row of float64 numbers: the simulator is a single call (state,
controls, physics) -> state, see `engine.py`. Observations, rewards and ends are TensorFlow of what
that gives. What decides which physics a family has, and how far a policy explores at first (the
integrator, the time step, the scale of actions), are options, which runs and exports write down.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import operator
import os
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import tensorflow as tf
from tf_agents.specs import tensor_spec

from tfcaml import keys, nest, settings
from tfcaml.environments.base import Population, TaskFamily, config_of
from tfcaml.environments.mujoco import parts
from tfcaml.errors import (
    ConfigError,
    check,
    check_is,
    check_one_of,
    check_positive,
    check_whole,
    checked_call,
)
from tfcaml.types import Episodes, Film, Task

if TYPE_CHECKING:
    import mujoco

# MuJoCo's integrators, from the fastest to the most exact.
INTEGRATORS = ("euler", "implicitfast", "rk4")
_POSITION_NOISE, _VELOCITY_NOISE = 8, 16  # salts of an episode's key


@settings.checked
@dataclasses.dataclass(frozen=True)
class SimulationConfig:
    """Options that all families of MuJoCo simulations share.

    Attributes:
      horizon: Steps of an episode, at most. Unit: steps. Source: ProMP's code, 100; MAML paper,
        section 5.3.2: 200.
      action_range: The policy's output that makes the whole control of an actuator. A policy of
        standard deviation 1 explores a share 1 / `action_range` of it. Source: ProMP's code: 10;
        MAML's and TESP's: 1.
      integrator: How MuJoCo integrates: "euler", "implicitfast" or "rk4", which takes about four
        times as long. Source: tfcaml; most published ants have rk4.
      frame_skip: Steps of the simulator in one step of the environment. Unit: MuJoCo's steps.
        Source: ProMP's code, 5; MAML's: 1.
      timestep: Length of one step of the simulator, 1e-6 to 1. Unit: seconds. Source: gymnasium
        1.3: 0.01.
      reset_noise: How far positions and velocities at the start are spread, see the family. Source:
        gymnasium 1.3: 0.1.
    """

    horizon: int = 100
    action_range: float = 10.0
    integrator: str = "euler"
    frame_skip: int = 5
    timestep: float = 0.01
    reset_noise: float = 0.1

    def __post_init__(self) -> None:
        check_one_of("integrator", self.integrator, INTEGRATORS)
        check_positive(
            horizon=self.horizon,
            action_range=self.action_range,
            frame_skip=self.frame_skip,
        )
        # Far above what any robot stands, and below what float32 tells apart in its speed.
        check(1e-6 <= self.timestep <= 1, "timestep", self.timestep, "from 1e-6 to 1 (seconds)")
        check(self.reset_noise >= 0, "reset_noise", self.reset_noise, ">= 0")


class Robot(NamedTuple):
    """What a family sees of a simulation; float32.

    qpos:    [N, E, nq], generalised positions
    qvel:    [N, E, nv], generalised velocities
    sensors: [N, E, M], what the sensors of the model say
    """

    qpos: tf.Tensor
    qvel: tf.Tensor
    sensors: tf.Tensor


class Simulation(TaskFamily):
    """A family of tasks of one robot. Subclasses define

      spec              the robot
      task_size, tasks  what numbers a task is made of
      observe, reward   in TensorFlow, of `Robot`s
      ended (never)     whether the robot has fallen, or arrived
      physics (none)    own masses, sizes, friction, ... of each task
      strength (1)      own strength of the actuators of each task
      pose, start       where episodes start
      control_weight (0)  what `reward` loses by the squares of controls
      goal (none)       what films show as the goal
      looks (none)      what films show of an episode besides its robot

    and, as a class attribute, `Config`, the dataclass of the options.

    A row that diverges in MuJoCo stays as it was before, its episode is cut there with reward 0,
    and it is counted in `faults()`. An action that is not a number ends its episode with a reward
    of NaN, which makes learners skip the update.

    Args:
      config: options of the family.
      num_threads: threads that simulate; None: as many as TensorFlow may use for one operation.
        Their number changes no result.

    Attributes:
      model: the `mujoco.MjModel`, compiled from `spec()`.
      seconds_per_step: simulated time of one step.

    Raises:
      ConfigError: MuJoCo is missing; a bad option; or something that a subclass defines does not
        fit: a robot that MuJoCo refuses, an actuator without limits, a wrong name or shape.
    """

    Config: type = SimulationConfig
    supports_xla = False
    task_size = 1
    control_weight: float = 0.0

    @checked_call
    def __init__(
        self, config: SimulationConfig | None = None, *, num_threads: int | None = None
    ) -> None:
        self.config: Any = config_of(config, self.Config)
        if num_threads is not None:
            check_whole("num_threads", num_threads, 1, 1024)
        engine, version = _engine()
        self.horizon = self.config.horizon
        self.model = self._compiled()
        self.engine = engine.Engine(self.model, self.config.frame_skip, num_threads)
        self.seconds_per_step = self.config.timestep * self.config.frame_skip
        skip = self.config.frame_skip
        self.notice = (
            f"Simulated by MuJoCo {version}: {self.config.integrator}, {skip} "
            f"step{'s' if skip > 1 else ''} of {self.config.timestep:g} s per action, control = "
            f"action / {self.config.action_range:g}."
        )
        low, high = self.model.actuator_ctrlrange.T.astype(np.float32)
        self._center, self._half = (low + high) / 2, (high - low) / 2
        rest = np.zeros(self.engine.state_size - self.model.nq)
        self._start = np.concatenate([self.pose(), rest])
        bound = np.float32(self.config.action_range)
        self.action_spec = tensor_spec.BoundedTensorSpec(
            [self.model.nu], tf.float32, -bound, bound, "action"
        )
        example = self._example()
        self.task_spec = nest.map(lambda x: tf.TensorSpec(x.shape[1:], x.dtype), example)
        body = self._body(tf.constant(self._start)[None, None], tf.zeros([1, 1, self._num_sensors]))
        size = self.observe(example, body).shape[-1]
        self.observation_spec = tf.TensorSpec([size], tf.float32, "observation")

    # What a family defines.

    def spec(self) -> mujoco.MjSpec:
        """The robot; time step and integrator are set by the options."""
        raise NotImplementedError

    def tasks(self, unit: tf.Tensor) -> Task:
        """The tasks that are made of U(0, 1) numbers [N, task_size]: nest with leading [N]."""
        raise NotImplementedError

    def observe(self, task: Task, body: Robot) -> tf.Tensor:
        """The observation [N, E, O] of a `Robot`."""
        raise NotImplementedError

    def reward(
        self, task: Task, before: Robot, after: Robot, velocity: tf.Tensor, control: tf.Tensor
    ) -> tf.Tensor:
        """The reward [N, E] of a step.

        Args:
          task: nest, leading [N].
          before, after: `Robot`s.
          velocity: [N, E, nq], change of positions per second.
          control: [N, E, A], what was asked of the actuators, within their ranges and before
            `strength`.
        """
        raise NotImplementedError

    def control_cost(self, control: tf.Tensor) -> tf.Tensor:
        """What controls [N, E, A] cost, a part of `reward` to be told apart: [N, E]."""
        return self.control_weight * tf.reduce_sum(control**2, axis=-1)

    def control(self, action: tf.Tensor) -> tf.Tensor:
        """What is asked of the actuators by actions, both [..., A]; with NaN, the middle."""
        lost = tf.reduce_any(tf.math.is_nan(action), axis=-1, keepdims=True)
        unit = tf.clip_by_value(action / self.config.action_range, -1, 1)
        return self._center + self._half * tf.where(lost, 0.0, unit)

    def ended(self, task: Task, body: Robot) -> tf.Tensor:
        """Whether the step to a `Robot` ends the episode: [N, E] bool."""
        return tf.zeros(body.qpos.shape[:2], tf.bool)

    def physics(self, task: Task) -> dict[str, tf.Tensor]:
        """Fields of `MjModel` that are the tasks' own: dict name -> float64 [N, ...]."""
        return {}

    def strength(self, task: Task) -> tf.Tensor | float:
        """What controls are multiplied by, [N, A] or one number; for weak or dead motors."""
        return 1.0

    def pose(self) -> np.ndarray:
        """The positions [nq] around which episodes start."""
        return self.model.qpos0

    def start(self, task: Task, key: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Where episodes start, less `pose()`: positions + U(-1, 1) reset_noise,
        velocities + N(0, 1) reset_noise.

        Args:
          task: nest, leading [N].
          key: [N, E, 2].

        Returns:
          (positions [N, E, nq], velocities [N, E, nv]), float32.
        """
        position = keys.uniform(keys.salted(key, _POSITION_NOISE), [self.model.nq]) * 2 - 1
        velocity = keys.normal(keys.salted(key, _VELOCITY_NOISE), [self.model.nv])
        return self.config.reset_noise * position, self.config.reset_noise * velocity

    def normal_start(self, key: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """As `start`, with positions + N(0, 1) reset_noise."""
        position = keys.normal(keys.salted(key, _POSITION_NOISE), [self.model.nq])
        velocity = keys.normal(keys.salted(key, _VELOCITY_NOISE), [self.model.nv])
        return self.config.reset_noise * position, self.config.reset_noise * velocity

    def goal(self, task: Task) -> tf.Tensor | None:
        """Where films show the goal of each task, [N, 3] in metres; None without one."""
        return None

    def looks(self, task: Task, state: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        """Fields of `MjModel` that films of an episode show as its first state has them.

        They move nothing: places and colours of marks. Such films are seen from above, or from the
        side, by a camera that stands.

        Args:
          task: nest, leading [N].
          state: as `reset` gives it.

        Returns:
          dict name -> [N, E, ...].
        """
        return {}

    # What makes it a family.

    @checked_call
    def population(self, seed: int, num_test: int = 40) -> Population:
        """Fresh tasks at every draw to learn from, and `num_test` fixed ones to adapt to.

        Numbers of training tasks lie on the even points of a fine grid, those of test tasks on the
        odd ones.
        """
        check_whole("num_test", num_test, 1)
        rng = np.random.default_rng([keys.as_int(seed), 0x60A2])
        draw = lambda: rng.integers(0, parts.GRID, [num_test, self.task_size])
        test = self.tasks(parts.on_grid(draw(), of_tests=True))
        examples = self.tasks(parts.on_grid(draw(), of_tests=False))
        group = np.zeros(num_test, np.int64)
        return Population(examples, test, group, group, self._draw)

    def reset(self, task: Task, key: tf.Tensor) -> tuple[dict[str, tf.Tensor], tf.Tensor]:
        shape = key.shape[:2]
        position, velocity = self.start(task, key)
        rest = [*shape, self.engine.state_size - self.model.nq - self.model.nv]
        noise = tf.concat([position, velocity, tf.zeros(rest)], axis=-1)
        row = tf.constant(self._start) + tf.cast(noise, tf.float64)
        sensors = tf.zeros([*shape, 0])
        if self._num_sensors:
            physics = self.physics(task)
            sense = lambda row, *values: self._sense(row, dict(zip(physics, values)))
            sensors = tf.numpy_function(sense, [row, *physics.values()], tf.float32)
            sensors.set_shape([*shape, self._num_sensors])
        body = self._body(row, sensors)
        state = {"row": row, "cut": tf.zeros(shape, tf.bool), "still": tf.zeros(shape, tf.bool)}
        state["sensors"] = sensors
        return state, self.observe(task, body)

    def step(
        self, task: Task, state: dict[str, tf.Tensor], action: tf.Tensor, noise: tf.Tensor
    ) -> tuple[dict[str, tf.Tensor], tf.Tensor, tf.Tensor, tf.Tensor]:
        """One step; see `TaskFamily`. Deterministic: `noise` is empty."""
        lost = tf.reduce_any(tf.math.is_nan(action), axis=-1)
        control = self.control(action)
        strength = tf.convert_to_tensor(self.strength(task))
        told = control * (strength[:, None] if strength.shape.rank else strength)
        physics = self.physics(task)
        advance = lambda row, told, still, *values: self._advance(
            row, told, still, dict(zip(physics, values))
        )
        row, diverged, sensors = tf.numpy_function(
            advance,
            [state["row"], told, state["still"] | lost, *physics.values()],
            [tf.float64, tf.bool, tf.float32],
        )
        for tensor, like in ((row, state["row"]), (diverged, lost), (sensors, state["sensors"])):
            tensor.set_shape(like.shape)
        before, after = self._body(state["row"], state["sensors"]), self._body(row, sensors)
        # Differences of positions are taken in 64 bits: far from 0, 32 bits would lose them.
        moved = (row - state["row"])[..., : self.model.nq]
        velocity = tf.cast(moved, tf.float32) / self.seconds_per_step
        reward = self.reward(task, before, after, velocity, control)
        reward = tf.where(lost, np.nan, tf.where(diverged, 0.0, reward))
        cut = diverged | lost
        ended = self.ended(task, after) & ~cut
        later = {"row": row, "cut": cut, "still": state["still"] | ended | cut, "sensors": sensors}
        return later, self.observe(task, after), reward, ended

    def truncated(self, state: dict[str, tf.Tensor]) -> tf.Tensor:
        return state["cut"]

    @checked_call
    def film(self, episodes: Sequence[Episodes], most_pictures: int = 100) -> list[Film]:
        """See `TaskFamily.film`; without a screen, by EGL or OSMesa, or as MUJOCO_GL says."""
        from tfcaml.environments.mujoco import film

        return film.film(self, episodes, check_whole("most_pictures", most_pictures, 1))

    @functools.cached_property
    def replay(self) -> Callable[..., tuple[tf.Tensor, tf.Tensor]]:
        """`film.replayed` of this family, compiled once for each shape of its arguments."""
        from tfcaml.environments.mujoco import film

        return tf.function(lambda *given: film.replayed(self, *given), autograph=False)

    def faults(self) -> dict[str, int]:
        return {name: count for name, count in self.engine.faults.items() if count}

    @property
    def _num_sensors(self) -> int:
        return self.model.nsensordata

    def _compiled(self) -> mujoco.MjModel:
        """The model of `spec()`, with the time step and the integrator that options name."""
        import mujoco

        name, spec = f"{type(self).__name__}.spec()", self.spec()
        check_is(name, spec, mujoco.MjSpec, "a mujoco.MjSpec, not compiled")
        spec.option.timestep = self.config.timestep
        spec.option.integrator = _integrator(self.config.integrator)
        try:
            model = spec.compile()
        except ValueError as error:
            told = " ".join(str(error).split())
            raise ConfigError(
                f"expected {name} to be a robot that MuJoCo compiles; received one with {told}"
            ) from None
        check(model.nu, f"actuators of {name}", model.nu, "at least one")
        low, high = model.actuator_ctrlrange.T
        if unlimited := [model.actuator(i).name or int(i) for i in np.flatnonzero(low >= high)]:
            raise ConfigError(
                f"expected every actuator of {name} to have a ctrlrange, as an action is a share "
                f"of it; received none of {', '.join(map(repr, unlimited))}"
            )
        return model

    def _example(self) -> Task:
        """A task [1], for which what the family defines of it has the right shape."""
        name, model = type(self).__name__, self.model
        try:
            task = self.tasks(tf.fill([1, self.task_size], 0.5))
        except tf.errors.InvalidArgumentError as error:
            told = error.message.rpartition("}} ")[2].partition(" [Op:")[0]
            raise ConfigError(
                f"expected {name}.tasks to make tasks of task_size={self.task_size} numbers each; "
                f"received {told}"
            ) from None
        shapes: dict[str, tuple[tuple[int, ...], tuple[int, ...]]]  # found, expected
        shapes = {"pose()": (np.shape(self.pose()), (model.nq,))}
        for field, value in self.physics(task).items():
            try:
                own = np.shape(operator.attrgetter(field)(model))
            except AttributeError:
                raise ConfigError(
                    f"expected {name}.physics() to name fields of MuJoCo's MjModel; received "
                    f"{field!r}"
                ) from None
            shapes[f"physics()[{field!r}]"] = np.shape(value), (1, *own)
        if (goal := self.goal(task)) is not None:
            shapes["goal()"] = np.shape(goal), (1, 3)
        for what, (found, expected) in shapes.items():
            if found != expected:
                raise ConfigError(
                    f"expected {name}.{what} for one task to be of shape {list(expected)}; "
                    f"received shape {list(found)}"
                )
        return task

    def _draw(self, num_tasks: int, key: tf.Tensor) -> Task:
        """New tasks to learn from. key: [2]."""
        shape = [num_tasks, self.task_size]
        index = tf.random.stateless_uniform(shape, key, 0, parts.GRID, dtype=tf.int32)
        return self.tasks(parts.on_grid(index, of_tests=False))

    def _body(self, row: tf.Tensor, sensors: tf.Tensor) -> Robot:
        model = self.model
        numbers = tf.cast(row[..., : model.nq + model.nv], tf.float32)
        return Robot(numbers[..., : model.nq], numbers[..., model.nq :], sensors)

    def _advance(
        self,
        row: np.ndarray,
        control: np.ndarray,
        still: np.ndarray,
        physics: dict[str, np.ndarray],
    ) -> list[np.ndarray]:
        """`Engine.step` of [N, E, ...]."""
        flat = lambda x: x.reshape(-1, *x.shape[2:])
        found = self.engine.step(
            flat(row), flat(control), still.reshape(-1), _spread(physics, row.shape[1])
        )
        state, diverged, sensors = (x.reshape(*row.shape[:2], *x.shape[1:]) for x in found)
        return [state, diverged, sensors.astype(np.float32)]

    def _sense(self, row: np.ndarray, physics: dict[str, np.ndarray]) -> np.ndarray:
        """`Engine.sense` of [N, E, ...]."""
        rows = row.reshape(-1, row.shape[-1])
        found = self.engine.sense(rows, _spread(physics, row.shape[1]))
        return found.reshape(*row.shape[:2], -1).astype(np.float32)


def _spread(physics: dict[str, np.ndarray], num_episodes: int) -> dict[str, np.ndarray]:
    """Fields [N, ...] -> [N * E, ...]."""
    return {name: np.repeat(value, num_episodes, axis=0) for name, value in physics.items()}


def _engine() -> tuple[Any, str]:
    """(the module of the engine, MuJoCo's version)."""
    try:
        with _without_osmesa():
            import mujoco

            from tfcaml.environments.mujoco import engine
    except ImportError as error:
        raise ConfigError(
            "expected MuJoCo 3.17 or newer for this family, as `pip install tfcaml[mujoco]` "
            f"installs it; received {type(error).__name__}: {error}"
        ) from None
    except (AttributeError, RuntimeError) as error:  # of MuJoCo's, when it looks for OpenGL
        told = os.environ.get("MUJOCO_GL", "")
        raise ConfigError(
            "expected MUJOCO_GL to be unset, egl, osmesa, or what else MuJoCo knows and finds; "
            f"received MUJOCO_GL={told!r}: {type(error).__name__}: {error}"
        ) from None
    return engine, mujoco.__version__


@contextlib.contextmanager
def _without_osmesa() -> Iterator[None]:
    """OSMesa would crash this process, as TensorFlow is in it; `draw` draws in another one."""
    told = os.environ.get("MUJOCO_GL", "")
    if told.strip().lower() != "osmesa":
        yield
        return
    os.environ["MUJOCO_GL"] = "off"
    try:
        yield
    finally:
        os.environ["MUJOCO_GL"] = told


def _integrator(name: str) -> Any:
    import mujoco

    return getattr(mujoco.mjtIntegrator, f"mjINT_{name.upper()}")
