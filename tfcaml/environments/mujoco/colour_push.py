"""Pushing: an arm is to push one of two objects, which a demonstration tells by its colour.

Family of the simulated pushing of C. Finn, T. Yu, T. Zhang, P. Abbeel, S. Levine, "One-shot visual
imitation learning via meta-learning" (MIL), CoRL 2017, section 6.2, with an expert to learn from.

Differences from the source: objects are round and plain, told by their colours, where the source
has shapes with textures; they are observed as places and colours, where the source has images. The
arm is that of `bodies.arm_pusher`, which lists its own differences. It starts with its hand over
the table, where the source's is stretched out, and the expert is scripted, where the source's is
learned.
"""

from __future__ import annotations

import dataclasses
import itertools
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import tensorflow as tf

from tfcaml import keys, settings
from tfcaml.environments.base import Population
from tfcaml.environments.mujoco.simulation import Robot, Simulation, SimulationConfig
from tfcaml.errors import check, check_one_of, check_positive, check_whole, checked_call
from tfcaml.types import Nest, Task

if TYPE_CHECKING:
    import mujoco

# What is paid: 1 once for success, or how near object and hand come at every step.
REWARDS = ("success", "distance")
_JOINTS = 7
_START = (0.0, -0.736, 0.0, 2.257, 0.0, 0.719, 0.0)  # the hand 0.4 m before the goal, and high

# Success, by the source's code: the squared distance of object and goal, in square metres, is less
# than this in so many steps.
_NEAR, _LONG = 0.017, 10
_CONTROL_COST, _HAND_COST = 0.1, 0.5

# Where objects start, in metres: by the source's code.
_X, _Y = (-0.3, 0.0), 0.2
_FROM_GOAL, _APART = 0.17, 0.1
_LAYOUTS = 64  # drawn for each episode, of which the first fit one counts; 37 % do
_LAYOUT_SALT, _ORDER_SALT = 32, 64  # of an episode's key

_LEVELS = np.linspace(0, 1, 6, dtype=np.float32)  # of red, green and blue
_UNLIKE = 0.5  # the least distance of the colours of a task
_HELD_OUT = 0.2  # the share of colours that only test tasks have

# The expert, in metres and metres per second.
_LOW, _HIGH = -0.27, -0.15  # of the hand, to push and to pass over objects
_TOUCH = 0.09  # distance of the hand from an object that it touches
_BEHIND = 0.12  # distance from the object at which the hand comes down
_ARRIVED = 0.04  # distance from the goal at which nothing is pushed any more
_FASTEST, _PUSHING, _RATE = 0.5, 0.35, 5.0


@settings.checked
@dataclasses.dataclass(frozen=True)
class ColourPushConfig(SimulationConfig):
    """Options of the family.

    Attributes:
      horizon: Steps of an episode, at most. Unit: steps. Source: MIL's code: 100.
      action_range: The policy's output that makes the whole torque of a joint, 2 N m. Source: MIL's
        code: 1.
      reset_noise: How far angles and velocities of the arm's joints are spread at the start, see
        `Simulation.start`. Unit: radians, and radians per second. Source: tfcaml.
      reward: "success" pays 1 once, when the object has been near the goal in ten steps, so that an
        episode's return is 1 for success and 0 else; "distance" pays at every step. Source: MIL's
        measure of success; MIL's code: distance.
      num_train: Tasks to learn from. Source: MIL's code: 693.
    """

    action_range: float = 1.0
    reset_noise: float = 0.05
    reward: str = "success"
    num_train: int = 693

    def __post_init__(self) -> None:
        super().__post_init__()
        check_one_of("reward", self.reward, REWARDS)
        check_positive(num_train=self.num_train)
        rule = f"at least {_LONG}, as success takes so many steps"
        check(self.reward != "success" or self.horizon >= _LONG, "horizon", self.horizon, rule)


class _Arm(NamedTuple):
    """Where the hand is, [N, E, 3], and how joints move it, [N, E, 3, 7]."""

    hand: tf.Tensor
    jacobian: tf.Tensor


class ColourPush(Simulation):
    """A task is {"colours": [N, 2, 3]}, red, green and blue from 0 to 1 of the object that is to be
    pushed and of the other one.

    The goal is (0, 0). An episode's key decides where objects are, and which one is observed first.
    Observation: {"robot": angles of the joints and their velocities [14], "effector": place of the
    hand [3], "objects": x, y, red, green and blue of each [2, 5]}. Reward: see
    `ColourPushConfig.reward`; the one of distances is minus that of object and goal, less 0.5 times
    that of object and hand, less 0.1 times the squares of the controls, as shares of the largest.

    A state has, besides those of a simulation, "order" [N, E], 1 where the object that is to be
    pushed is observed second, and "near" [N, E], the number of steps in which it was near.
    """

    Config = ColourPushConfig
    config: ColourPushConfig
    task_size = 6

    @checked_call
    def __init__(
        self, config: ColourPushConfig | None = None, *, num_threads: int | None = None
    ) -> None:
        super().__init__(config, num_threads=num_threads)
        numbers = lambda shape: tf.TensorSpec(shape, tf.float32)
        self.observation_spec = {
            "robot": numbers([2 * _JOINTS]),
            "effector": numbers([3]),
            "objects": numbers([2, 5]),
        }

    def spec(self) -> mujoco.MjSpec:
        from tfcaml.environments.mujoco.bodies.pushers import arm_pusher

        return arm_pusher()

    def pose(self) -> np.ndarray:
        return np.concatenate([_START, self.model.qpos0[_JOINTS:]])

    def tasks(self, unit: tf.Tensor) -> Task:
        return {"colours": tf.reshape(unit, [-1, 2, 3])}

    @checked_call
    def population(self, seed: int, num_test: int = 74) -> Population:
        """As many tasks to learn from as an option says, and `num_test` tasks of other colours.

        Colours are those of a coarse palette, those of a task far apart. None of the colours of
        test tasks is in a training task.

        Raises:
          ConfigError: there are fewer tasks of different colours.
        """
        rng = np.random.default_rng([keys.as_int(seed), 0x60A4])
        palette = rng.permutation(list(itertools.product(_LEVELS, repeat=3)))
        num_held_out = round(_HELD_OUT * len(palette))
        pairs = [_pairs(each) for each in np.split(palette, [len(palette) - num_held_out])]
        train, test = (rng.permutation(each) for each in pairs)
        check_whole("num_test", num_test, 1, len(test))
        num_train = check_whole("num_train", self.config.num_train, 1, len(train))
        train, test = train[:num_train], test[:num_test]
        group = lambda each: np.zeros(len(each), np.int64)
        task = lambda each: {"colours": tf.constant(each)}
        return Population(task(train), task(test), group(train), group(test))

    def physics(self, task: Task) -> dict[str, tf.Tensor]:
        """The colours of objects, which films show."""
        colours = tf.pad(task["colours"], [[0, 0], [0, 0], [0, 1]], constant_values=1.0)
        first = self.model.geom("target").id  # the distractor's is the next one
        before, _, after = np.split(self.model.geom_rgba, [first, first + 2])
        repeated = lambda rows: tf.tile(rows[None], [colours.shape[0], 1, 1])
        return {"geom_rgba": tf.concat([repeated(before), colours, repeated(after)], axis=1)}

    def start(self, task: Task, key: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        position, velocity = super().start(task, key)
        x, y, x_other, y_other = tf.unstack(
            keys.uniform(keys.salted(key, _LAYOUT_SALT), [_LAYOUTS, 4]), axis=-1
        )
        y = _Y * (2 * y - 1)
        other = -tf.sign(y) * _Y * y_other
        across = lambda unit: _X[0] + (_X[1] - _X[0]) * unit
        both = tf.stack([across(x), y, across(x_other), other], axis=-1)
        target, distractor = both[..., :2], both[..., 2:]
        fit = tf.norm(target - distractor, axis=-1) > _APART
        for each in (target, distractor):
            fit &= tf.norm(each, axis=-1) > _FROM_GOAL
        first = tf.argmax(tf.cast(fit, tf.int32), axis=-1)
        place = tf.gather(both, first, batch_dims=2) - self.model.qpos0[_JOINTS:].astype(np.float32)
        rest = tf.zeros_like(place)
        return (
            tf.concat([position[..., :_JOINTS], place], axis=-1),
            tf.concat([velocity[..., :_JOINTS], rest], axis=-1),
        )

    def observe(self, task: Task, body: Robot) -> tf.Tensor:
        """All that is observed but colours, with the object that is to be pushed first."""
        angles, places = tf.split(body.qpos, [_JOINTS, 4], axis=-1)
        hand = self._arm(angles).hand
        return tf.concat([angles, body.qvel[..., :_JOINTS], hand, places], axis=-1)

    def reset(self, task: Task, key: tf.Tensor) -> tuple[dict[str, tf.Tensor], Nest]:
        state, seen = super().reset(task, key)
        second = keys.uniform(keys.salted(key, _ORDER_SALT), []) < 0.5
        state["order"] = tf.cast(second, tf.int32)
        state["near"] = tf.zeros_like(state["order"])
        return state, _as_nest(task, state, seen)

    def step(
        self, task: Task, state: dict[str, tf.Tensor], action: tf.Tensor, noise: tf.Tensor
    ) -> tuple[dict[str, tf.Tensor], Nest, tf.Tensor, tf.Tensor]:
        later, seen, reward, ended = super().step(task, state, action, noise)
        near = tf.reduce_sum(seen[..., -4:-2] ** 2, axis=-1) < _NEAR
        later["order"] = state["order"]
        later["near"] = state["near"] + tf.cast(near & ~later["cut"], tf.int32)
        if self.config.reward == "success":
            done = (later["near"] == _LONG) & (state["near"] < _LONG)
            reward += tf.cast(done, tf.float32)
        return later, _as_nest(task, later, seen), reward, ended

    def reward(
        self, task: Task, before: Robot, after: Robot, velocity: tf.Tensor, control: tf.Tensor
    ) -> tf.Tensor:
        """What is paid but for success, for which `step` does."""
        if self.config.reward == "success":
            return tf.zeros(control.shape[:2])
        angles, places = tf.split(after.qpos, [_JOINTS, 4], axis=-1)
        target = places[..., :2]
        height = tf.fill([*target.shape[:2], 1], np.float32(self.model.body("target").pos[2]))
        away = tf.norm(tf.concat([target, height], axis=-1) - self._arm(angles).hand, axis=-1)
        return -tf.norm(target, axis=-1) - _HAND_COST * away - self.control_cost(control)

    def control_cost(self, control: tf.Tensor) -> tf.Tensor:
        weight = _CONTROL_COST if self.config.reward == "distance" else 0.0
        return weight * tf.reduce_sum((control / self._half) ** 2, axis=-1)

    def goal(self, task: Task) -> tf.Tensor:
        place = self.model.body("goal").pos.astype(np.float32)
        return tf.tile(place[None], [task["colours"].shape[0], 1])

    def expert(self, task: Task, state: dict[str, tf.Tensor]) -> tf.Tensor:
        """Goes over the objects to where the one to be pushed is between hand and goal, and pushes.

        The hand's velocity follows from where hand and object are; joints are moved as it takes, by
        damped least squares, and tend to their angles at the start.
        """
        body = self._body(state["row"], state["sensors"])
        angles, places = tf.split(body.qpos, [_JOINTS, 4], axis=-1)
        hand, jacobian = self._arm(angles)
        wanted = _hand_velocity(hand, places[..., :2])
        back = tf.linalg.matrix_transpose(jacobian)
        damped = jacobian @ back + 1e-3 * tf.eye(3)
        home = np.array(_START, np.float32) - angles
        rest = wanted - tf.linalg.matvec(jacobian, home)
        speed = home + tf.linalg.matvec(back, tf.linalg.solve(damped, rest[..., None])[..., 0])
        each = (self.model.dof_damping, self.model.dof_M0)
        damping, inertia = (x[:_JOINTS].astype(np.float32) for x in each)
        missing = speed - body.qvel[..., :_JOINTS]
        torque = damping * speed + inertia * missing / (2 * self.seconds_per_step)
        bound = self.config.action_range
        return tf.clip_by_value(bound * torque / self._half, -bound, bound)

    def _arm(self, angles: tf.Tensor) -> _Arm:
        """The arm with its joints at angles [N, E, 7]."""
        model = self.model
        numbers = lambda x: tf.constant(np.asarray(x, np.float32))
        turn = tf.eye(3, batch_shape=angles.shape[:2])
        place, anchors, axes = tf.zeros([*angles.shape[:2], 3]), [], []
        for joint in range(_JOINTS):
            place += tf.linalg.matvec(turn, numbers(model.body(model.jnt_bodyid[joint]).pos))
            axis = model.jnt_axis[joint]
            anchors.append(place)
            axes.append(tf.linalg.matvec(turn, numbers(axis)))
            cross = np.cross(np.eye(3), axis)  # of the axis with what it is multiplied by
            sine, cosine = (f(angles[..., joint, None, None]) for f in (tf.sin, tf.cos))
            turn @= tf.eye(3) + sine * numbers(cross) + (1 - cosine) * numbers(cross @ cross)
        hand = place + tf.linalg.matvec(turn, numbers(model.site("hand").pos))
        columns = [tf.linalg.cross(axis, hand - anchor) for axis, anchor in zip(axes, anchors)]
        return _Arm(hand, tf.stack(columns, axis=-1))


def _hand_velocity(hand: tf.Tensor, target: tf.Tensor) -> tf.Tensor:
    """How the expert wants to move its hand, [N, E, 3], with an object to push at [N, E, 2].

    What it does changes gradually with where it is, so that it can be imitated.
    """
    share = lambda x, low, high: tf.clip_by_value((x - low) / (high - low), 0, 1)
    distance = tf.norm(target, axis=-1, keepdims=True)
    forward = -target / tf.maximum(distance, 1e-6)
    place, height = hand[..., :2], hand[..., 2:]
    along = tf.reduce_sum((place - target) * forward, axis=-1, keepdims=True)
    aside = place - target - along * forward
    beyond = tf.maximum(along + _TOUCH - 0.01, 0) + tf.maximum(-along - _BEHIND - 0.02, 0)
    off = tf.sqrt(tf.reduce_sum(aside**2, axis=-1, keepdims=True) + beyond**2 + 1e-12)
    up = share(off, 0.015, 0.045)  # 0 behind the object, 1 elsewhere
    low = 1 - share(height, _LOW + 0.03, _LOW + 0.06)
    pushing = (1 - up) * low
    push = _PUSHING * share(distance, _ARRIVED, 2 * _ARRIVED) * forward - _RATE * aside
    # What is low has to rise before it goes anywhere else.
    free = 1 - up * (1 - share(height, _HIGH - 0.06, _HIGH - 0.02))
    go = free * _limited(_RATE * (target - _BEHIND * forward - place), _FASTEST)
    done = 1 - share(distance, _ARRIVED, 2 * _ARRIVED)
    across = (1 - done) * (pushing * push + (1 - pushing) * go)
    rise = _limited(_RATE * (_LOW + up * (1 - done) * (_HIGH - _LOW) - height), _FASTEST)
    return tf.concat([across, rise * (1 - done)], axis=-1)


def _limited(velocity: tf.Tensor, most: float) -> tf.Tensor:
    """A velocity [..., 2] or [..., 1] that is no faster than `most`."""
    speed = tf.norm(velocity, axis=-1, keepdims=True)
    return velocity * most / tf.maximum(speed, most)


def _as_nest(task: Task, state: dict[str, tf.Tensor], seen: tf.Tensor) -> Nest:
    """The observation, with objects in the episode's order, of what `observe` gives."""
    robot, hand, places = tf.split(seen, [2 * _JOINTS, 3, 4], axis=-1)
    shape = places.shape[:2]
    colours = tf.broadcast_to(task["colours"][:, None], [*shape, 2, 3])
    objects = tf.concat([tf.reshape(places, [*shape, 2, 2]), colours], axis=-1)
    second = (state["order"] == 1)[..., None, None]
    objects = tf.where(second, objects[..., ::-1, :], objects)
    return {"robot": robot, "effector": hand, "objects": objects}


def _pairs(palette: np.ndarray) -> np.ndarray:
    """All ordered pairs [P, 2, 3] of colours [C, 3] that are far enough apart."""
    apart = np.linalg.norm(palette[:, None] - palette, axis=-1) >= _UNLIKE
    return palette[np.argwhere(apart)]
