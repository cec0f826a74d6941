"""The training loop without anything around it."""

from tfcaml import seeds

_TRAINING = 0x7EA1  # keeps the seeds of training apart from those of evaluation


def draw(learner, population, seed):
    """What the learner's next iteration is of: support entities and random numbers.

    All random numbers of the iteration follow from `seed` and the iteration's number.

    Args:
      learner: a `MetaLearner`.
      population: a `Population`.
      seed: Python int.

    Returns:
      (task, nest with leading [N]; seed [2]).
    """
    key = seeds.fold(seeds.from_int(seed), _TRAINING, int(learner.iteration))
    task = learner.training_tasks(population, seeds.fold(key, 0))
    return task, seeds.fold(key, 1)


def train_iteration(learner, population, seed):
    """The learner's next iteration on support entities, as `draw` has it.

    Args:
      learner: a `MetaLearner`.
      population: a `Population`.
      seed: Python int.

    Returns:
      metrics, dict of floats.
    """
    return learner.train(*draw(learner, population, seed))


def train_all(learner, task, seed):
    """The learner's next iteration on `task` itself (independent policies, one per row)."""
    key = seeds.fold(seeds.from_int(seed), _TRAINING, int(learner.iteration))
    return learner.train(task, seeds.fold(key, 1))


def train(learner, population, *, seed=0, callback=lambda learner, population: None):
    """Trains until `learner.config.num_iterations`; returns the metrics of each iteration.

    Args:
      learner: a `MetaLearner`.
      population: a `Population`.
      seed: Python int.
      callback: called with learner and population after each iteration, such as a
        `DivergenceMonitor`.
    """
    history = []
    while int(learner.iteration) < learner.config.num_iterations:
        history.append(train_iteration(learner, population, seed))
        callback(learner, population)
    return history
