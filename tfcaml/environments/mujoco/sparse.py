"""Tasks with dense rewards, finitely many to learn from, and with sparse ones to adapt to.

Which reward a task has is its entry "sparse".
"""

from typing import Any

import numpy as np
import tensorflow as tf

from tfcaml import keys
from tfcaml.errors import check_acts, check_one_of
from tfcaml.types import Task

# Whether a reward tells the distance to the goal everywhere, or near the goal only.
REWARDS = ("dense", "sparse")
_GRID = 2**20  # numbers between 0 and 1 on which training and test tasks alternate


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
