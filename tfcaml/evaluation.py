"""The meta-test protocol: how well a learner adapts to entities it has never seen."""

from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from tfcaml import keys, nest
from tfcaml.errors import RunError, check, from_python

_EVALUATION = 0xE7A1  # keeps the seeds of evaluation apart from those of training


class Evaluation(NamedTuple):
    """What adaptation brought.

    returns: [num_updates + 1, N, E], undiscounted return of E fresh episodes before any and after
      each update
    trajectories: `Trajectory` [N, E, T] before the first and after the last update
    trials: dict of [N] arrays, what the learner reports of choosing its start (CAML)
    bad_updates: [N], adaptation steps of each task that led to NaN or infinity and were taken back
    """

    returns: np.ndarray
    trajectories: tuple
    trials: dict[str, Any]
    bad_updates: np.ndarray


@from_python()
def evaluate(learner, task, *, num_updates=5, num_episodes=20, seed=0):
    """Starts the learner on each task, adapts it, and measures before and after every update.

    The episodes measured are fresh: none of them is learned from. The learner is not changed.

    Args:
      learner: a `MetaLearner`.
      task: nest, leading [N]; test entities.
      num_updates: adaptation steps, of `learner.config.episodes_per_update` episodes each.
      num_episodes: E, episodes per measurement.
      seed: Python int.

    Returns:
      `Evaluation`.

    Raises:
      RunError: a task whose episodes have returns that are not finite.
    """
    check(num_updates >= 0, "num_updates", num_updates, ">= 0")
    check(num_episodes >= 1, "num_episodes", num_episodes, ">= 1")
    check(nest.leading(task) >= 1, "num_tasks", nest.leading(task), ">= 1 (no task to evaluate)")
    key = keys.fold(keys.from_int(seed), _EVALUATION)
    fast, trials = learner.try_out(learner.meta.read(), task, keys.fold(key, 0))
    returns, trajectories = [], []
    before, bad_updates = fast, np.zeros(nest.leading(task), np.int64)
    for update in range(num_updates + 1):
        evaluated = lambda fast: learner.evaluate_update(
            fast, task, num_episodes, keys.fold(key, 1, update)
        )
        value, adapted, trajectory = evaluated(fast)
        finite = tf.reduce_all(tf.math.is_finite(value), axis=1)
        if not np.all(finite) and update > 0:  # weights too large to act with
            fast = nest.where(finite, fast, before)
            bad_updates += ~finite.numpy()
            value, adapted, trajectory = evaluated(fast)
        _check_finite(value.numpy(), update)
        finite = nest.is_finite(adapted)
        if update < num_updates:
            bad_updates += ~finite.numpy()
        before, fast = fast, nest.where(finite, adapted, fast)
        returns.append(value.numpy())
        trajectories.append(trajectory)
    ends = (trajectories[0], trajectories[-1])
    return Evaluation(np.stack(returns), ends, nest.map(np.asarray, trials), bad_updates)


def _check_finite(returns, update):
    """returns: [N, E] after so many updates."""
    bad = np.flatnonzero(~np.isfinite(returns).all(axis=1))
    if bad.size:
        raise RunError(
            f"expected finite returns; received {returns[bad[0]].tolist()} for task {bad[0]} after "
            f"{update} updates: the environment gives rewards that are not finite"
        )
