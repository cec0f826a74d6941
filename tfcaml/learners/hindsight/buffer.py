"""A buffer of what went well: episodes, the tasks they were played in, and the weights that acted.

Entries are admitted by a running quantile of returns: those of the best share of the returns that
were offered of late. As the quantile rises, entries that no longer reach it are removed, so that
the buffer never holds one that it would not admit. When it is full the oldest make room.

Everything here is a function of a state, a nest of tensors of fixed shapes that the caller keeps,
such as in `learners.variables.Variables`: so it is checkpointed like weights.
"""

import dataclasses
from typing import NamedTuple

import tensorflow as tf

from tfcaml import nest, settings
from tfcaml.errors import check
from tfcaml.types import Nest, Params, Task, Trajectory, episode_return


class Hindsight(NamedTuple):
    """N policies that were adapted to a task each.

    trajectory: `Trajectory` [N, E, T, ...]: states, actions, rewards and the log-probabilities of
      what acted
    task:       nest, leading [N]
    params:     nest of [N, ...], the weights that acted
    mean_return: [N], undiscounted, over the episodes
    """

    trajectory: Trajectory
    task: Task
    params: Params
    mean_return: tf.Tensor


class Similar(NamedTuple):
    """Entries for each of N tasks, the most similar first.

    index: [N, K] rows of the buffer
    valid: [N, K] bool; False where no other entry is similar enough
    similarity: [N, K]
    """

    index: tf.Tensor
    valid: tf.Tensor
    similarity: tf.Tensor


def hindsight(trajectory: Trajectory, task: Task, params: Params) -> Hindsight:
    """`Hindsight` of a `Trajectory` [N, E, T, ...] that `params` [N, ...] made on `task` [N]."""
    mean_return = tf.reduce_mean(episode_return(trajectory), axis=1)
    return Hindsight(trajectory, task, params, mean_return)


@settings.checked
@dataclasses.dataclass(frozen=True)
class HindsightBufferConfig:
    """Settings of the buffer.

    Attributes:
      capacity: Entries that the buffer holds. Source: the study hindsight_maze.
      best: Share of the returns offered of late that is good enough. Source: the study
        hindsight_maze.
      window: Returns offered of late that the quantile is of. Source: the study hindsight_maze.
      floor: Returns up to this one are never good enough; 0 suits sparse rewards. Unit: of returns.
        Source: tfcaml; by default every return may be good enough.
    """

    capacity: int = 100
    best: float = 0.25
    window: int = 200
    floor: float = -1e30

    def __post_init__(self) -> None:
        for name in ("capacity", "window"):
            check(getattr(self, name) >= 1, name, getattr(self, name), ">= 1")
        check(0 < self.best <= 1, "best", self.best, "in (0, 1]")


class HindsightBuffer:
    """The buffer as functions of a state.

    A state is a dict:

    entries:  `Hindsight` of leading [capacity]
    order:    [capacity], which admission an entry was, from 1 on; 0 where there is none
    admitted: how many ever were
    returns:  [window], offered of late
    offered:  how many ever were
    """

    def __init__(self, config: HindsightBufferConfig | None = None) -> None:
        self.config = config or HindsightBufferConfig()

    def init(self, entry: Hindsight) -> dict[str, Nest]:
        """The empty state, for entries shaped like those of `entry`, a `Hindsight`."""
        size, window = self.config.capacity, self.config.window
        blank = lambda x: tf.zeros([size, *x.shape[1:]], x.dtype)
        return {
            "entries": nest.map(blank, entry),
            "order": tf.zeros([size], tf.int32),
            "admitted": tf.constant(0),
            "returns": tf.zeros([window]),
            "offered": tf.constant(0),
        }

    def held(self, state: dict[str, Nest]) -> tf.Tensor:
        """Which rows hold an entry, [capacity] bool."""
        return state["order"] > 0

    def threshold(self, state: dict[str, Nest]) -> tf.Tensor:
        """The least return that is good enough now: the quantile of those offered of late, []."""
        returns = state["returns"]
        count = tf.minimum(state["offered"], returns.shape[0])
        known = tf.range(returns.shape[0]) < count
        ordered = tf.sort(tf.where(known, returns, returns.dtype.min), direction="DESCENDING")
        # Less a rounding, so that 0.3 of 10 is 3 and not 4.
        last = tf.math.ceil(self.config.best * tf.cast(count, tf.float64) - 1e-9)
        return ordered[tf.maximum(tf.cast(last, tf.int32), 1) - 1]

    def good_enough(self, state: dict[str, Nest], mean_return: tf.Tensor) -> tf.Tensor:
        """Which returns [N] the buffer admits in this state, [N] bool."""
        return (mean_return >= self.threshold(state)) & (mean_return > self.config.floor)

    def add(self, state: dict[str, Nest], entries: Hindsight) -> dict[str, Nest]:
        """Offers entries, `Hindsight` of N <= capacity; the state after it.

        All returns count for the quantile first; then what does not reach it is removed, and what
        is offered and reaches it goes into empty rows, then over the oldest.

        Raises:
          ConfigError: more entries than the buffer holds, or than returns in its window.
        """
        num, size = entries.mean_return.shape[0], self.config.capacity
        allowed = min(size, self.config.window)
        check(num <= allowed, "entries offered at once", num, f"at most {allowed}")
        state = self._offered(state, entries.mean_return)
        old = state["entries"]
        order = tf.where(self.good_enough(state, old.mean_return), state["order"], 0)
        good = self.good_enough(state, entries.mean_return)
        count = tf.reduce_sum(tf.cast(good, tf.int32))
        # Row r of `rows` takes the r-th of the good ones.
        rows = tf.argsort(order, stable=True)[:num]
        chosen = tf.argsort(tf.cast(~good, tf.int32), stable=True)
        rank = tf.range(num)
        taken = rank < count
        admission = tf.where(taken, state["admitted"] + 1 + rank, tf.gather(order, rows))
        new = nest.where(taken, nest.take(entries, chosen), nest.take(old, rows))
        put = lambda x, value: tf.tensor_scatter_nd_update(x, rows[:, None], value)
        return {
            **state,
            "entries": nest.map(put, old, new),
            "order": put(order, admission),
            "admitted": state["admitted"] + count,
        }

    def retrieve(
        self, state: dict[str, Nest], similarity: tf.Tensor, num: int, threshold: tf.Tensor | float
    ) -> Similar:
        """The entries whose tasks are similar to given ones.

        Args:
          state: the buffer's.
          similarity: [N, capacity], of each task to the task of each row, such as
            `TaskSimilarity` gives.
          num: K, at most so many for each task.
          threshold: entries of this similarity or less are left out.

        Returns:
          `Similar`. `nest.take(state["entries"].params, similar.index)` are their weights,
          [N, K, ...].
        """
        possible = self.held(state) & (similarity > threshold)
        ranked = tf.where(possible, similarity, similarity.dtype.min)
        best, index = tf.math.top_k(ranked, num)
        return Similar(index, tf.gather(possible, index, batch_dims=1), best)

    def _offered(self, state: dict[str, Nest], mean_return: tf.Tensor) -> dict[str, Nest]:
        """The state with returns [N] put among those of late."""
        window = self.config.window
        rows = (state["offered"] + tf.range(mean_return.shape[0])) % window
        returns = tf.tensor_scatter_nd_update(state["returns"], rows[:, None], mean_return)
        return {**state, "returns": returns, "offered": state["offered"] + mean_return.shape[0]}
