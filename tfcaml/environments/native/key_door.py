"""Key and door: fetch a key, then go to the one of two doors that only the reward tells.

Environment of the code of K. Frans, J. Ho, X. Chen, P. Abbeel, J. Schulman, "Meta learning shared
hierarchies" (MLSH), ICLR 2018, with its numbers: `moving_bandits` with something to be done first.
Nothing is paid for the key, so that rewards are seldom.
"""

import dataclasses

import tensorflow as tf

from tfcaml import settings
from tfcaml.environments.base import Population, TaskFamily, config_of
from tfcaml.environments.native import moving_point
from tfcaml.errors import check_positive, checked_call
from tfcaml.types import Nest, Task

NUM_DOORS = 2  # of an episode, one of which is real
_NUM_PLACES = NUM_DOORS + 1  # the key is the last


@settings.checked
@dataclasses.dataclass(frozen=True)
class KeyDoorConfig:
    """Options of the family; lengths are in the plane's units.

    Attributes:
      move: How far an action moves the point. Unit: of the plane. Source: MLSH's code: 20.
      radius: Distance below which the key is taken, and to the real door below which a step with
        the key is paid for. Unit: of the plane. Source: MLSH's code: 50.
      observation_unit: What coordinates are divided by to be observed; 400 makes them numbers
        around 1, as networks without a normaliser need. Unit: of the plane. Source: MLSH's code: 1.
      horizon: Steps of an episode. Unit: steps. Source: MLSH's code: 100.
    """

    move: float = 20.0
    radius: float = 50.0
    observation_unit: float = 1.0
    horizon: int = 100

    def __post_init__(self) -> None:
        check_positive(
            move=self.move,
            radius=self.radius,
            observation_unit=self.observation_unit,
            horizon=self.horizon,
        )


class KeyDoor(TaskFamily):
    """A task is {"right": [N]}, 0 or 1: which of the two doors is the real one.

    A point starts at (200, 200), and the doors and the key are drawn uniformly from [0, 400]^2 in
    each episode. Actions: 0 stays, 1 and 2 move to the right and to the left, 3 and 4 up and down.
    A step that ends within the radius of the key takes it, for the rest of the episode. Reward: 1
    for each step that ends within the radius of the real door with the key, which may have been
    taken by this very step; else 0. Episodes never end early.

    Observation, 9 numbers: the coordinates of the point, of door 0, of door 1 and of the key, and 1
    if the key has been taken, else 0.

    There are but two tasks, and both are learned from and adapted to.
    """

    holds_out = False

    @checked_call
    def __init__(self, config: KeyDoorConfig | None = None) -> None:
        self.config = config_of(config, KeyDoorConfig)
        self.horizon = self.config.horizon
        self.task_spec = {"right": tf.TensorSpec([], tf.int32)}
        size = 2 * (1 + _NUM_PLACES) + 1
        self.observation_spec = tf.TensorSpec([size], tf.float32, "observation")
        self.action_spec = moving_point.action_spec()

    @checked_call
    def population(self, seed: int, num_test: int = 2) -> Population:
        """Both tasks to learn from, and by turns to adapt to; their groups are 0 and 1."""
        return moving_point.two_tasks(seed, num_test)

    def reset(self, task: Task, key: tf.Tensor) -> tuple[Nest, tf.Tensor]:
        state = {
            "position": moving_point.start(key),
            "places": moving_point.drawn_places(key, _NUM_PLACES),
            "has_key": tf.zeros(key.shape[:2], tf.bool),
        }
        return state, self._observation(state)

    def step(
        self, task: Task, state: Nest, action: tf.Tensor, noise: tf.Tensor
    ) -> tuple[Nest, tf.Tensor, tf.Tensor, tf.Tensor]:
        config, places = self.config, state["places"]
        position = moving_point.moved(state["position"], action, config.move)
        near = lambda place: moving_point.is_near(position, place, config.radius)
        has_key = state["has_key"] | near(places[:, :, NUM_DOORS])
        at_door = near(moving_point.chosen(places, task["right"]))
        state = {"position": position, "places": places, "has_key": has_key}
        reward = tf.cast(has_key & at_door, tf.float32)
        return state, self._observation(state), reward, tf.zeros(reward.shape, tf.bool)

    def _observation(self, state: Nest) -> tf.Tensor:
        places = tf.concat([state["position"][:, :, None], state["places"]], axis=2)
        shape = [*places.shape[:2], 2 * (1 + _NUM_PLACES)]
        coordinates = tf.reshape(places, shape) / self.config.observation_unit
        has_key = tf.cast(state["has_key"], tf.float32)[..., None]
        return tf.concat([coordinates, has_key], axis=-1)
