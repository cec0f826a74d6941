"""Tasks with dense rewards, finitely many to learn from, and with sparse ones to adapt to.

Which reward a task has is its entry "sparse".
"""

from typing import Any

import numpy as np
import tensorflow as tf

from tfcaml import keys
from tfcaml.environments.mujoco import parts
from tfcaml.errors import check_acts, check_one_of
from tfcaml.types import Task

# Whether a reward tells the distance to the goal everywhere, or near the goal only.
REWARDS = ("dense", "sparse")


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

    They are those of `parts.on_grid`. Fewer are the first of more.

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
        index = rng.integers(0, parts.GRID, [number, size])
        found.append(parts.on_grid(index, bool(odd)))
    return found[0], found[1]


def as_rewarded(config: Any, train: Task, test: Task) -> tuple[Task, Task]:
    """Training and test tasks with the rewards, in their entry "sparse", that options name."""
    rewarded = lambda task, reward: {
        **task,
        "sparse": tf.fill(task["sparse"].shape, float(reward == "sparse")),
    }
    return rewarded(train, config.train_reward), rewarded(test, config.test_reward)
