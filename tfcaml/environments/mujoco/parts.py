"""What several families of robots share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import tensorflow as tf

from tfcaml import keys
from tfcaml.errors import check_acts, check_one_of
from tfcaml.types import Task

if TYPE_CHECKING:
    import mujoco

# Whether a reward tells the distance to the goal everywhere, or near the goal only.
REWARDS = ("dense", "sparse")
_GRID = 2**20  # numbers between 0 and 1 on which training and test tasks alternate


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


def check_rewards(config: Any) -> None:
    """Checks the options `train_reward`, `test_reward` and `sparse_radius` of a family."""
    for name in ("train_reward", "test_reward"):
        check_one_of(name, getattr(config, name), REWARDS)
    sparse = "sparse" in (config.train_reward, config.test_reward)
    check_acts(config, ("sparse_radius",), sparse, "with a sparse reward")


def told(
    sparse: tf.Tensor, distance: tf.Tensor, near: tf.Tensor, elsewhere: tf.Tensor
) -> tf.Tensor:
    """The distance that a reward tells, [N, E]: a sparse one tells it near the goal only.

    Args:
      sparse: [N], 1 of tasks whose reward is sparse, else 0.
      distance: [N, E].
      near: [N, E] bool, whether the goal is near.
      elsewhere: [N], what a sparse reward has in place of the distance where it is not.
    """
    hidden = (sparse > 0)[:, None] & ~near
    return tf.where(hidden, elsewhere[:, None], distance)


def apart(seed: int, num_train: int, num_test: int, size: int) -> tuple[tf.Tensor, tf.Tensor]:
    """U(0, 1) numbers that training tasks are made of, and others that test tasks are made of.

    The former lie on the even points of a fine grid, the latter on the odd ones. Fewer are the
    first of more.

    Args:
      seed: an integer from 0 to 2**62 - 1.
      num_train, num_test: how many tasks.
      size: how many numbers a task has.

    Returns:
      ([num_train, size], [num_test, size]).
    """
    found = []
    for odd, number in enumerate((num_train, num_test)):
        rng = np.random.default_rng([keys.as_int(seed), 0x60A3, odd])
        point = 2 * rng.integers(0, _GRID, [number, size]) + odd
        found.append(tf.constant(point / (2 * _GRID), tf.float32))  # exact
    return found[0], found[1]


def as_rewarded(config: Any, train: Task, test: Task) -> tuple[Task, Task]:
    """Training and test tasks with the rewards, in their entry "sparse", that options name."""
    rewards = (config.train_reward, config.test_reward)
    value = lambda task, reward: tf.fill(task["sparse"].shape, float(reward == "sparse"))
    return tuple(
        {**task, "sparse": value(task, reward)} for task, reward in zip((train, test), rewards)
    )


def fingertip(angles: tf.Tensor, lengths: tf.Tensor | np.ndarray) -> tf.Tensor:
    """Where the end of an arm in a plane is, [..., 2].

    Args:
      angles: [..., L], of each joint against the link before it.
      lengths: [L] or broadcastable to [..., L], of each link.
    """
    heading = tf.cumsum(angles, axis=-1)
    along = [tf.reduce_sum(lengths * f(heading), axis=-1) for f in (tf.cos, tf.sin)]
    return tf.stack(along, axis=-1)
