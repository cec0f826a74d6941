"""What several families of robots share."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import tensorflow as tf

from tfcaml import keys
from tfcaml.environments.base import Population
from tfcaml.errors import check_whole

if TYPE_CHECKING:
    import mujoco

    from tfcaml.environments.mujoco.simulation import Simulation

# Points between 0 and 1 that training tasks are made of; test tasks have as many others.
GRID = 2**20


def sense_center_of_mass(spec: mujoco.MjSpec, body: str) -> None:
    """Adds sensors of the centre of mass of a body and all that hangs on it: place and velocity.

    Six numbers, in metres and metres per second.
    """
    import mujoco

    kinds = mujoco.mjtSensor
    for kind in (kinds.mjSENS_SUBTREECOM, kinds.mjSENS_SUBTREELINVEL):
        name = kind.name.removeprefix("mjSENS_").lower()
        spec.add_sensor(name=name, type=kind, objtype=mujoco.mjtObj.mjOBJ_BODY, objname=body)


def sense_axes(spec: mujoco.MjSpec, body: str) -> None:
    """Adds sensors of the three axes of a body in the world's frame: nine numbers."""
    import mujoco

    kinds = mujoco.mjtSensor
    for kind in (kinds.mjSENS_FRAMEXAXIS, kinds.mjSENS_FRAMEYAXIS, kinds.mjSENS_FRAMEZAXIS):
        name = kind.name.removeprefix("mjSENS_").lower()
        spec.add_sensor(name=name, type=kind, objtype=mujoco.mjtObj.mjOBJ_XBODY, objname=body)


def both_directions(family: Simulation, num_test: int, draw: Any) -> Population:
    """Forwards and backwards to learn from, and by turns to adapt to; their groups are 0 and 1.

    Args:
      family: its tasks are forwards of the number 0, and backwards of 0.5.
      num_test: Q.
      draw: as of `Population`.
    """
    turns = lambda num: np.arange(num) % 2
    tasks = lambda group: family.tasks(tf.constant(group[:, None] / 2, tf.float32))
    train_group, test_group = turns(2), turns(num_test)
    return Population(tasks(train_group), tasks(test_group), train_group, test_group, draw)


def few(family: Simulation, seed: int, num_kinds: int, num_test: int) -> Population:
    """All tasks of a family that has few: to learn from, and by turns to adapt to.

    Their groups are their numbers.

    Args:
      family: its task `kind` is that of numbers from `kind / num_kinds` on; see `kind_of`.
      seed: changes nothing, and is only checked.
      num_kinds: how many tasks there are.
      num_test: Q.
    """
    keys.as_int(seed)
    check_whole("num_test", num_test, 1)
    tasks = lambda kind: family.tasks(tf.constant((kind[:, None] + 0.5) / num_kinds, tf.float32))
    train, test = np.arange(num_kinds), np.arange(num_test) % num_kinds
    return Population(tasks(train), tasks(test), train, test)


def kind_of(unit: tf.Tensor, num_kinds: int) -> tf.Tensor:
    """Which of a few tasks numbers [N, 1] in [0, 1) stand for: [N] int32."""
    return tf.cast(num_kinds * unit[:, 0], tf.int32)


def on_grid(index: np.ndarray | tf.Tensor, of_tests: bool) -> tf.Tensor:
    """Numbers in [0, 1) that tasks are made of, exact: those of test tasks are never training's.

    Args:
      index: [...] integers from 0 to `GRID` - 1.
      of_tests: whether they are for test tasks, which have the odd points of a fine grid, or for
        training tasks, which have the even ones.
    """
    point = 2 * index + int(of_tests)
    return tf.cast(tf.cast(point, tf.float64) / (2 * GRID), tf.float32)


def on_circle(share: tf.Tensor) -> tf.Tensor:
    """Unit vectors [N, 2] at shares [N] of a whole turn from the first axis."""
    # In 64 bits, where what differs between batches of other sizes is lost in rounding.
    angle = 2 * math.pi * tf.cast(share, tf.float64)
    return tf.cast(tf.stack([tf.cos(angle), tf.sin(angle)], axis=-1), tf.float32)


def fingertip(angles: tf.Tensor, lengths: tf.Tensor | np.ndarray) -> tf.Tensor:
    """Where the end of an arm in a plane is, [..., 2].

    Args:
      angles: [..., L], of each joint against the link before it.
      lengths: [L] or broadcastable to [..., L], of each link.
    """
    heading = tf.cumsum(angles, axis=-1)
    along = [tf.reduce_sum(lengths * f(heading), axis=-1) for f in (tf.cos, tf.sin)]
    return tf.stack(along, axis=-1)
