"""What several families of robots share."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import tensorflow as tf

from tfcaml.types import Task

if TYPE_CHECKING:
    import mujoco


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


def by_turns(num_tasks: int) -> tf.Tensor:
    """Numbers that stand for forwards and backwards, by turns: [N, 1] of 0, 0.5, 0, ..."""
    return tf.constant(np.resize([[0.0], [0.5]], [num_tasks, 1]), tf.float32)


def direction_group(task: Task) -> np.ndarray:
    """The latent group of tasks {"direction": [N] or [N, 2]}: [N], 1 where it is backwards."""
    first = np.reshape(task["direction"], [len(task["direction"]), -1])[:, 0]
    return (first < 0).astype(np.int64)
