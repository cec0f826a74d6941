"""Moving bandits: two goals are in sight, and only the reward tells which of them is the real one.

Environment of K. Frans, J. Ho, X. Chen, P. Abbeel, J. Schulman, "Meta learning shared hierarchies"
(MLSH), ICLR 2018, with the numbers of its code. The goals lie elsewhere in each
episode, so that there are two things to be able to do, to go to the one and to go to the other, and
one to find out about a task: which of the two is paid for.
"""

import dataclasses

import tensorflow as tf

from tfcaml import settings
from tfcaml.environments.base import Population, TaskFamily, config_of
from tfcaml.environments.native import moving_point
from tfcaml.errors import check_positive, checked_call
from tfcaml.types import Nest, Task

NUM_GOALS = 2  # of an episode, one of which is real


@settings.checked
@dataclasses.dataclass(frozen=True)
class MovingBanditsConfig:
    """Options of the family; lengths are in the plane's units.

    Attributes:
      move: How far an action moves the point. Unit: of the plane. Source: MLSH's code: 20.
      radius: Distance to the real goal below which a step is paid for. Unit: of the plane. Source:
        MLSH's code: 50.
      observation_unit: What coordinates are divided by to be observed. Unit: of the plane. Source:
        MLSH's code: 400, the side of the square that goals are drawn from.
      horizon: Steps of an episode. Unit: steps. Source: MLSH's code: 50.
    """

    move: float = 20.0
    radius: float = 50.0
    observation_unit: float = 400.0
    horizon: int = 50

    def __post_init__(self) -> None:
        check_positive(
            move=self.move,
            radius=self.radius,
            observation_unit=self.observation_unit,
            horizon=self.horizon,
        )


class MovingBandits(TaskFamily):
    """A task is {"right": [N]}, 0 or 1: which of the two goals is the real one.

    A point starts at (200, 200), and both goals are drawn uniformly from [0, 400]^2 in each
    episode. Actions: 0 stays, 1 and 2 move to the right and to the left, 3 and 4 up and down.
    Observation: the coordinates of the point, of goal 0 and of goal 1, divided by 400. Reward: 1
    for each step that ends within the radius of the real goal, else 0. Episodes never end early.

    There are but two tasks, and both are learned from and adapted to.
    """

    holds_out = False

    @checked_call
    def __init__(self, config: MovingBanditsConfig | None = None) -> None:
        self.config = config_of(config, MovingBanditsConfig)
        self.horizon = self.config.horizon
        self.task_spec = {"right": tf.TensorSpec([], tf.int32)}
        size = 2 * (1 + NUM_GOALS)
        self.observation_spec = tf.TensorSpec([size], tf.float32, "observation")
        self.action_spec = moving_point.action_spec()

    @checked_call
    def population(self, seed: int, num_test: int = 2) -> Population:
        """Both tasks to learn from, and by turns to adapt to; their groups are 0 and 1."""
        return moving_point.two_tasks(seed, num_test)

    def reset(self, task: Task, key: tf.Tensor) -> tuple[Nest, tf.Tensor]:
        goals = moving_point.drawn_places(key, NUM_GOALS)
        state = {"position": moving_point.start(key), "goals": goals}
        return state, self._observation(state)

    def step(
        self, task: Task, state: Nest, action: tf.Tensor, noise: tf.Tensor
    ) -> tuple[Nest, tf.Tensor, tf.Tensor, tf.Tensor]:
        config = self.config
        position = moving_point.moved(state["position"], action, config.move)
        state = {"position": position, "goals": state["goals"]}
        real = moving_point.chosen(state["goals"], task["right"])
        reward = tf.cast(moving_point.is_near(position, real, config.radius), tf.float32)
        return state, self._observation(state), reward, tf.zeros(reward.shape, tf.bool)

    def _observation(self, state: Nest) -> tf.Tensor:
        places = tf.concat([state["position"][:, :, None], state["goals"]], axis=2)
        size = self.observation_spec.shape[0]
        return tf.reshape(places, [*places.shape[:2], size]) / self.config.observation_unit
