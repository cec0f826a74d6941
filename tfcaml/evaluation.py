"""The meta-test protocol: how well a learner adapts to entities it has never seen."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from tfcaml import keys, nest
from tfcaml.environments.base import check_task
from tfcaml.errors import RunError, check_whole, checked_call, from_python
from tfcaml.learners.base import check_learner
from tfcaml.types import Episodes, Task, Trajectory, episode_return

if TYPE_CHECKING:
    from tfcaml.learners.base import MetaLearner


class Evaluation(NamedTuple):
    """What adaptation brought.

    returns: [num_updates + 1, N, E], undiscounted return of E fresh episodes before any and after
      each update
    trajectories: `Trajectory` [N, E, T] before the first and after the last update
    shown: num_updates + 1 `Episodes` [1, E, T] of each measurement on one task, to be looked at
    trials: dict of [N] arrays, what the learner reports of choosing its start (CAML)
    bad_updates: [N], adaptation steps of each task that led to NaN or infinity and were taken back
    """

    returns: np.ndarray
    trajectories: tuple
    shown: tuple[Episodes, ...]
    trials: dict[str, Any]
    bad_updates: np.ndarray


@checked_call
@from_python()
def evaluate(
    learner: MetaLearner,
    task: Task,
    *,
    num_updates: int = 5,
    num_episodes: int = 20,
    seed: int = 0,
    shown_task: int = 0,
) -> Evaluation:
    """Starts the learner on each task, adapts it, and measures before and after every update.

    The episodes measured are fresh: none of them is learned from. The learner is not changed.

    Args:
      learner: a `MetaLearner`.
      task: nest, leading [N]; test entities, with the dtypes of the family's `task_spec`.
      num_updates: adaptation steps, of `learner.config.episodes_per_update` episodes each.
      num_episodes: E, episodes per measurement.
      seed: Python int.
      shown_task: number of the task, from 0, whose episodes are kept.

    Returns:
      `Evaluation`.

    Raises:
      ConfigError: an argument of another kind, or tasks that are not of the learner's family; see
        `environments.base.check_task`.
      RunError: a task whose episodes have returns that are not finite.
    """
    check_learner(learner)
    check_task(learner.environment, task)
    num_updates = check_whole("num_updates", num_updates, 0)
    num_episodes = check_whole("num_episodes", num_episodes, 1)
    shown_task = check_whole("shown_task", shown_task, 0, nest.leading(task) - 1)
    key = keys.fold(keys.from_int(seed), keys.EVALUATION)
    fast, trials = learner.choose_start(learner.meta.read(), task, keys.fold(key, 0))
    returns, trajectories, shown = [], [], []
    one = lambda x: x[shown_task : shown_task + 1]
    before, bad_updates = fast, np.zeros(nest.leading(task), np.int64)
    for update in range(num_updates + 1):
        now, own = learner.task_at(task, update), keys.fold(key, 1, update)
        trajectory = learner.measure(fast, now, num_episodes, keys.fold(own, 0))
        finite = _finite(trajectory)
        if not np.all(finite) and update > 0:  # weights too large to act with
            fast = nest.where(finite, fast, before)
            bad_updates += ~finite
            trajectory = learner.measure(fast, now, num_episodes, keys.fold(own, 0))
        value = episode_return(trajectory).numpy()
        _check_finite(value, update)
        returns.append(value)
        trajectories.append(trajectory)
        own_keys = keys.per_episode(keys.fold(own, 0), shown_task + 1, num_episodes)
        shown.append(nest.map(one, Episodes(now, own_keys, trajectory)))
        if update < num_updates:
            adapted = learner.adapt_to(fast, now, keys.fold(own, 1))
            finite = nest.is_finite(adapted).numpy()
            bad_updates += ~finite
            before, fast = fast, adapted if finite.all() else nest.where(finite, adapted, fast)
    ends = (trajectories[0], trajectories[-1])
    trials = nest.map(np.asarray, trials)
    return Evaluation(np.stack(returns), ends, tuple(shown), trials, bad_updates)


def _finite(trajectory: Trajectory) -> np.ndarray:
    """Which tasks' returns are all finite, [N] bool."""
    return np.isfinite(episode_return(trajectory)).all(axis=1)


def _check_finite(returns: np.ndarray, update: int) -> None:
    """returns: [N, E] after so many updates."""
    bad = np.flatnonzero(~np.isfinite(returns).all(axis=1))
    if bad.size:
        raise RunError(
            f"expected finite returns; received {returns[bad[0]].tolist()} for task {bad[0]} after "
            f"{update} updates: the environment gives rewards that are not finite"
        )
