"""2D navigation to one of a finite number of goals; distances are paid in training alone."""

import dataclasses

import tensorflow as tf

from tfcaml import nest
from tfcaml.environments import Navigation, NavigationConfig


@dataclasses.dataclass(frozen=True)
class SemicircleGoalsConfig(NavigationConfig):
    """Options; `reward` is that of training."""

    goals: str = "semicircle"
    goal_range: float = 1.0
    termination_box: float = 0.0
    horizon: int = 30
    num_training: int = 100  # S
    paid_radius: float = 0.3  # on new tasks 1 - distance is paid within it, nothing beyond


class SemicircleGoals(Navigation):
    """A task is {"goal": [N, 2], "sparse": [N] bool}."""

    def __init__(self, config=None):
        super().__init__(config or SemicircleGoalsConfig())
        self.task_spec = {**self.task_spec, "sparse": tf.TensorSpec([], tf.bool)}

    def population(self, seed, num_test=40):
        num_training = self.config.num_training
        known, new = (
            super(SemicircleGoals, self).population(seed, n) for n in (num_training, num_test)
        )
        return new._replace(
            train={**known.train, "sparse": tf.fill([num_training], False)},
            test={**new.test, "sparse": tf.fill([num_test], True)},
            train_group=known.train_group,
            draw=None,
        )

    def step(self, task, state, action, noise):
        position, observation, reward, terminated = super().step(task, state, action, noise)
        paid = tf.where(reward >= -self.config.paid_radius, 1 + reward, 0)
        reward = tf.where(nest.expand(task["sparse"], reward), paid, reward)
        return position, observation, reward, terminated
