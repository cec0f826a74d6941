"""What the families of a point that moves by whole steps share.

The plane of the small environments of K. Frans, J. Ho, X. Chen, P. Abbeel, J. Schulman, "Meta
learning shared hierarchies" (MLSH), ICLR 2018, with the numbers of its code. A point starts at
(200, 200), and an action leaves it where it is or moves it along one axis. There are no walls.
Places such as goals are drawn from a square with sides of 400, whose middle the start is.
"""

import numpy as np
import tensorflow as tf
from tf_agents.specs import tensor_spec

from tfcaml import keys, nest
from tfcaml.environments.base import Population
from tfcaml.errors import check_whole

SIDE = 400.0  # of the square that places are drawn from
START = (200.0, 200.0)  # where the point starts
# What each action does, in moves: stay, and one to the right, to the left, up and down.
DIRECTIONS = ((0.0, 0.0), (1.0, 0.0), (-1.0, 0.0), (0.0, 1.0), (0.0, -1.0))


def action_spec() -> tensor_spec.BoundedTensorSpec:
    """One of the five actions of `DIRECTIONS`, by its number."""
    return tensor_spec.BoundedTensorSpec([], tf.int32, 0, len(DIRECTIONS) - 1, "action")


def start(key: tf.Tensor) -> tf.Tensor:
    """Where the points of episodes with keys [N, E, 2] start: [N, E, 2]."""
    return tf.broadcast_to(tf.constant(START), key.shape)


def drawn_places(key: tf.Tensor, number: int) -> tf.Tensor:
    """Places from all of the square, drawn by the keys of episodes: [N, E, 2] -> [N, E, P, 2]."""
    return SIDE * keys.uniform(key, [number, 2])


def moved(position: tf.Tensor, action: tf.Tensor, move: float) -> tf.Tensor:
    """Where points [N, E, 2] are after actions [N, E] that move by `move`."""
    return position + move * tf.gather(tf.constant(DIRECTIONS), action)


def is_near(position: tf.Tensor, place: tf.Tensor, radius: float) -> tf.Tensor:
    """Whether points [N, E, 2] are closer than `radius` to places [N, E, 2]: [N, E] bool."""
    return tf.reduce_sum((position - place) ** 2, axis=-1) < radius**2


def chosen(places: tf.Tensor, index: tf.Tensor) -> tf.Tensor:
    """The place of each task, by its index [N], out of places [N, E, P, 2]: [N, E, 2]."""
    return tf.gather(places, index, axis=2, batch_dims=1)


def two_tasks(seed: int, num_test: int) -> Population:
    """Both tasks {"right": [N]} to learn from, and by turns to adapt to; their groups are 0 and 1.

    For a family with `holds_out = False`. `seed` changes nothing.

    Raises:
      ConfigError: a negative seed, or `num_test` < 1.
    """
    keys.as_int(seed)
    check_whole("num_test", num_test, 1)
    group = np.arange(2)
    both = {"right": tf.constant(group, tf.int32)}
    turns = np.arange(num_test) % 2
    return Population(both, nest.take(both, turns), group, turns)
