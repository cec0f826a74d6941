"""The meta-test protocol: how well a learner adapts to entities it has never seen."""

from typing import Any, NamedTuple

import numpy as np

from tfcaml import nest, seeds
from tfcaml.errors import check, from_python

_EVALUATION = 0xE7A1  # keeps the seeds of evaluation apart from those of training


class Evaluation(NamedTuple):
    """What adaptation brought.

    returns: [num_updates + 1, N, E], undiscounted return of E fresh episodes before any and after
      each update
    trajectories: `Trajectory` [N, E, T] before the first and after the last update
    trials: dict of [N] arrays, what the learner reports of choosing its start (CAML)
    """

    returns: np.ndarray
    trajectories: tuple
    trials: dict[str, Any]


@from_python()
def evaluate(learner, task, *, num_updates=5, num_episodes=20, seed=0):
    """Starts the learner on each task, adapts it, and measures before and after every update.

    The episodes measured are fresh: none of them is learned from. The learner is not changed.

    Args:
      learner: a `MetaLearner`.
      task: nest, leading [N]; query entities.
      num_updates: adaptation steps, of `learner.config.episodes_per_update` episodes each.
      num_episodes: E, episodes per measurement.
      seed: Python int.

    Returns:
      `Evaluation`.
    """
    check(num_updates >= 0, "num_updates", num_updates, ">= 0")
    check(num_episodes >= 1, "num_episodes", num_episodes, ">= 1")
    check(nest.leading(task) >= 1, "num_tasks", nest.leading(task), ">= 1 (no task to evaluate)")
    key = seeds.fold(seeds.from_int(seed), _EVALUATION)
    fast, trials = learner.try_out(learner.meta.read(), task, seeds.fold(key, 0))
    returns, trajectories = [], []
    for update in range(num_updates + 1):
        value, fast, trajectory = learner.evaluate_update(
            fast, task, num_episodes, seeds.fold(key, 1, update)
        )
        returns.append(value.numpy())
        trajectories.append(trajectory)
    ends = (trajectories[0], trajectories[-1])
    return Evaluation(np.stack(returns), ends, nest.map(np.asarray, trials))
