"""Films of episodes, drawn by MuJoCo without a screen.

An episode follows from its task, its key and its actions. So what is shown is played once more, and
is to the bit what was measured.
"""

from __future__ import annotations

import copy
import math
import operator
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import mujoco
import numpy as np
import tensorflow as tf

from tfcaml import keys, nest
from tfcaml.errors import ConfigError
from tfcaml.types import Episodes, Film, Task

if TYPE_CHECKING:
    from tfcaml.environments.mujoco.simulation import Simulation

HEIGHT, WIDTH = 240, 320  # of a picture, in pixels
_LEAST_SECONDS = 0.04  # between pictures; what follows faster, many viewers show slower
_DRAW = pathlib.Path(__file__).with_name("draw.py")
_SECONDS_TO_START, _PICTURES_PER_SECOND = 60, 5  # at the least, before drawing is given up


def film(environment: Simulation, episodes: Sequence[Episodes], most_pictures: int) -> list[Film]:
    """See `TaskFamily.film`.

    Raises:
      ConfigError: nothing can be drawn here; or an episode that the family doesn't play again from
        its task, key and actions.
    """
    scenes, told = [], []
    for each in episodes:
        task = nest.map(lambda x: tf.convert_to_tensor(x)[:1], each.task)
        action, length = each.trajectory.action[:1, :1], int(np.sum(each.trajectory.mask[0, 0]))
        rows, rewards = (
            x[0, 0].numpy() for x in environment.replay(task, each.key[:1, :1], action)
        )
        measured = each.trajectory.reward[0, 0, :length]
        # In another graph TensorFlow may round a reward differently.
        if not np.allclose(rewards[:length], measured, rtol=1e-4, atol=1e-4, equal_nan=True):
            raise ConfigError(
                f"expected an episode that {type(environment).__name__} plays again from its task, "
                "key and actions, for a film; received one with other rewards"
            )
        seconds = environment.seconds_per_step
        apart = math.ceil(_LEAST_SECONDS / seconds - 1e-9)
        stride = max(apart, math.ceil(length / most_pictures), 1)
        shown = [*range(0, length, stride), length]
        told.append((np.array(shown) * seconds, _places(environment, rows[shown])))
        start, _ = environment.reset(task, keys.salted(each.key[:1, :1], keys.RESET))
        looks = {
            name: np.repeat(value[0], len(shown), axis=0)
            for name, value in environment.looks(task, start).items()
        }
        scenes.append((task, rows[shown], looks))
    return [Film(pictures, *both) for pictures, both in zip(drawn(environment, scenes), told)]


def replayed(
    environment: Simulation, task: Task, key: tf.Tensor, action: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    """Plays episodes again, in a graph as they were.

    Args:
      environment: the family.
      task: nest, leading [N].
      key: [N, E, 2].
      action: [N, E, T, A].

    Returns:
      (states of the engine [N, E, T + 1, S]; rewards [N, E, T]).
    """
    num_steps, noise = action.shape[2], tf.zeros([*action.shape[:2], environment.noise_size])
    start, _ = environment.reset(task, keys.salted(key, keys.RESET))
    array = lambda dtype, like: tf.TensorArray(dtype, num_steps, element_shape=like)
    arrays = array(tf.float64, start["row"].shape), array(tf.float32, action.shape[:2])

    def step(time: tf.Tensor, state: Any, rows: Any, rewards: Any) -> tuple[Any, ...]:
        state, _, reward, _ = environment.step(task, state, action[:, :, time], noise)
        return time + 1, state, rows.write(time, state["row"]), rewards.write(time, reward)

    goes_on = lambda time, *_: time < num_steps
    *_, rows, rewards = tf.while_loop(goes_on, step, (0, start, *arrays), parallel_iterations=1)
    every = tf.concat([start["row"][None], rows.stack()], axis=0)
    return tf.transpose(every, [1, 2, 0, 3]), tf.transpose(rewards.stack(), [1, 2, 0])


def drawn(
    environment: Simulation,
    scenes: Sequence[tuple[Task, np.ndarray, dict[str, np.ndarray]]],
    size: tuple[int, int] = (HEIGHT, WIDTH),
) -> list[np.ndarray]:
    """Pictures of states of the engine.

    Args:
      environment: the family.
      scenes: of (a task, leading [1]; states [F, S]; looks, fields of the model that differ between
        pictures, dict name -> [F, ...]). Without any, it is only found out whether something can be
        drawn.
      size: height and width of a picture, in pixels.

    Returns:
      for each scene, [F, height, width, 3] uint8.

    Raises:
      ConfigError: nothing can be drawn.
    """
    with tempfile.TemporaryDirectory() as directory:
        for index, (task, rows, looks) in enumerate(scenes):
            path = pathlib.Path(directory, f"{index:04}")
            mujoco.mj_saveModel(_model_of(environment, task), f"{path}.mjb")
            goal = environment.goal(task)
            told_looks: Any = {f"looks.{name}": value for name, value in looks.items()}
            np.savez(
                path.with_suffix(".npz"),
                positions=rows[:, : environment.model.nq],
                goal=np.zeros(0) if goal is None else np.asarray(goal)[0],
                size=size,
                **told_looks,
            )
        pictures = sum(len(rows) for _, rows, _ in scenes)
        _draw(directory, _SECONDS_TO_START + pictures / _PICTURES_PER_SECOND)
        return [np.load(path) for path in sorted(pathlib.Path(directory).glob("*.npy"))]


def _places(environment: Simulation, rows: np.ndarray) -> list[str]:
    """Where a robot that moves freely is, for each row; a camera that moves along hides it."""
    model, joints = environment.model, mujoco.mjtJoint
    slides = [kind == joints.mjJNT_SLIDE for kind in model.jnt_type[:2]]
    if model.jnt_type[0] == joints.mjJNT_FREE or (
        slides == [True, True] and model.jnt_axis[1, 1]  # along y, not upwards
    ):
        text = "({0:.1f}, {1:.1f}) m"
    elif slides[0]:
        text = "x = {0:.1f} m"
    else:
        return []
    places = np.round(rows[:, :2], 1) + 0.0  # without a minus sign before 0
    return [text.format(*place).replace("-", "\N{MINUS SIGN}") for place in places.tolist()]


def _model_of(environment: Simulation, task: Task) -> mujoco.MjModel:
    """The model of one task."""
    physics = environment.physics(task)
    if not physics:
        return environment.model
    model = copy.copy(environment.model)
    for name, value in physics.items():
        field = operator.attrgetter(name)(model)
        field[:] = np.reshape(np.asarray(value)[0], field.shape)
    mujoco.mj_setConst(model, mujoco.MjData(model))
    return model


def _draw(directory: str, seconds: float) -> None:
    """Runs draw.py with EGL, then with OSMesa, or as MUJOCO_GL says."""
    told = os.environ.get("MUJOCO_GL", "")
    ways = [told] if told or sys.platform != "linux" else ["egl", "osmesa"]
    failures = []
    for way in ways:
        names = {"MUJOCO_GL": way} if way else {}
        try:
            ended = subprocess.run(
                [sys.executable, str(_DRAW), directory],
                cwd=directory,  # where MuJoCo may leave a log
                env={**os.environ, "PYTHONSAFEPATH": "1", **names},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                text=True,
                errors="replace",
                timeout=seconds,
            )
        except subprocess.TimeoutExpired:
            failures.append(f"{way or 'the default'}: nothing within {seconds:.0f} s")
            continue
        if ended.returncode == 0:
            return
        failures.append(f"{way or 'the default'}: {_reason(ended)}")
    received = "; ".join(failures)
    raise ConfigError(
        "expected OpenGL that draws without a screen, EGL or OSMesa (on Debian, libegl1 or "
        f"libosmesa6), or MUJOCO_GL set to what there is, for a film; received {received}"
    )


def _reason(ended: subprocess.CompletedProcess) -> str:
    """Why a process failed, in one line."""
    if ended.returncode < 0:
        return f"ended by {signal.Signals(-ended.returncode).name}"
    lines = [line.strip() for line in ended.stderr.splitlines() if line.strip()]
    # The last line of a traceback that starts one.
    errors = [line for line in lines if line.split(":")[0].endswith(("Error", "Exception"))]
    return (errors or lines or ["no reason"])[-1]
