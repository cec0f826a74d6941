"""Mountain car: a car too weak for the slope has to swing to get to the top, all that is paid for.

A. Moore, "Efficient memory-based learning for robot control", 1990, with the continuous force and
the numbers of gymnasium's MountainCarContinuous-v0,

    v <- clip(v + power clip(a, -1, 1) - 0.0025 cos(3 x), -0.07, 0.07)     x <- clip(x + v)

Entities differ by the power of their engine: up to 0.0016 a car gets there by swinging alone; from
0.0017 on a steady push does from the left end of where episodes start. The reward is sparse as in
R. Houthooft et al., "VIME: Variational information maximizing exploration", NeurIPS 2016: 1 at the
top, where the episode ends, and 0 elsewhere; who has never been there has nothing to learn from.

Differences from gymnasium: no cost of the force, a reward of 1 in place of 100, and observations
that are scaled to between -1 and 1.
"""

import dataclasses

import numpy as np
import tensorflow as tf
from tf_agents.specs import tensor_spec

from tfcaml import keys, settings
from tfcaml.environments.base import Population, TaskFamily, config_of
from tfcaml.errors import check, check_positive, check_whole, checked_call
from tfcaml.types import Task

_LEFT, _RIGHT, TOP = -1.2, 0.6, 0.45  # of the valley: its ends, and where the reward is
_FASTEST = 0.07  # per step, to either side
_GRAVITY = 0.0025
_START = (-0.6, -0.4)  # around the bottom


@settings.checked
@dataclasses.dataclass(frozen=True)
class MountainCarConfig:
    """Options of the family; every power is below the 0.0025 that holds a car on any slope.

    Attributes:
      min_power: Smallest power of the cars to learn from. Unit: change of speed per step. Source:
        tfcaml, around gymnasium's 0.0015.
      max_power: Largest power of the cars to learn from. Unit: change of speed per step. Source:
        tfcaml, around gymnasium's 0.0015.
      min_test_power: Smallest power of held-out cars. Unit: change of speed per step. Source:
        tfcaml, wider than the cars to learn from.
      max_test_power: Largest power of held-out cars. Unit: change of speed per step. Source:
        tfcaml, wider than the cars to learn from.
      num_train: Cars to learn from. Source: tfcaml.
      horizon: Steps of an episode, at most. Unit: steps. Source: VIME's code: 500; gymnasium has
        999.
    """

    min_power: float = 0.0012
    max_power: float = 0.0018
    min_test_power: float = 0.001
    max_test_power: float = 0.002
    num_train: int = 20
    horizon: int = 500

    def __post_init__(self) -> None:
        check_positive(num_train=self.num_train, horizon=self.horizon)
        for kind in ("power", "test_power"):
            low, high = getattr(self, f"min_{kind}"), getattr(self, f"max_{kind}")
            check(0 < low < high, f"min_{kind}", low, f"> 0 and below max_{kind} = {high}")
            rule = f"below {_GRAVITY}, from where a car climbs any slope"
            check(high < _GRAVITY, f"max_{kind}", high, rule)


class MountainCar(TaskFamily):
    """The family. A task is {"power": [N]}. Observed are place and speed, each from -1 to 1."""

    @checked_call
    def __init__(self, config: MountainCarConfig | None = None) -> None:
        self.config = config_of(config, MountainCarConfig)
        self.horizon = self.config.horizon
        self.task_spec = {"power": tf.TensorSpec([], tf.float32)}
        self.observation_spec = tensor_spec.BoundedTensorSpec([2], tf.float32, -1, 1, "observation")
        self.action_spec = tensor_spec.BoundedTensorSpec([1], tf.float32, -1, 1, "action")

    @checked_call
    def population(self, seed: int, num_test: int = 10) -> Population:
        """`config.num_train` cars to learn from and `num_test` others, of uniform power.

        Car i of either set is the same however many there are.
        """
        config, seed = self.config, keys.as_int(seed)
        check_whole("num_test", num_test, 1)

        def cars(number: int, low: float, high: float, salt: int) -> Task:
            power = np.random.default_rng([seed, 0xCA5, salt]).uniform(low, high, number)
            return {"power": tf.constant(power, tf.float32)}

        return Population(
            cars(config.num_train, config.min_power, config.max_power, 1),
            cars(num_test, config.min_test_power, config.max_test_power, 2),
            np.zeros(config.num_train, np.int64),
            np.zeros(num_test, np.int64),
        )

    def reset(self, task: Task, key: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        low, high = _START
        place = low + (high - low) * keys.uniform(key, [1], task["power"].dtype)
        state = tf.concat([place, tf.zeros_like(place)], axis=-1)
        return state, _observation(state)

    def step(
        self, task: Task, state: tf.Tensor, action: tf.Tensor, noise: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor]:
        place, speed = state[..., 0], state[..., 1]
        force = task["power"][:, None] * tf.clip_by_value(action[..., 0], -1, 1)
        speed = tf.clip_by_value(speed + force - _GRAVITY * tf.cos(3 * place), -_FASTEST, _FASTEST)
        place = tf.clip_by_value(place + speed, _LEFT, _RIGHT)
        speed = tf.where((place <= _LEFT) & (speed < 0), 0.0, speed)  # stopped by the wall
        arrived = (place >= TOP) & (speed >= 0)
        state = tf.stack([place, speed], axis=-1)
        return state, _observation(state), tf.cast(arrived, state.dtype), arrived


def _observation(state: tf.Tensor) -> tf.Tensor:
    """Place and speed [..., 2] as fractions of how far they go from the middle."""
    middle, reach = (_LEFT + _RIGHT) / 2, (_RIGHT - _LEFT) / 2
    scaled = (state - [middle, 0.0]) / [reach, _FASTEST]
    return tf.clip_by_value(scaled, -1, 1)  # rounding
