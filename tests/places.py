"""A tiny family with an expert: a point goes to that of two places whose colour is the task's."""

import numpy as np
import tensorflow as tf
from tf_agents.specs import tensor_spec

from tfcaml import keys, nest
from tfcaml.environments import Population, TaskFamily

PIXELS = 6
REACH = 0.25  # of a step, on each axis


class Places(TaskFamily):
    """A task is {"colours": [N, 2, 2]}, the wanted colour and another one, each of two numbers.

    A point starts near the middle of a square of sides 2, and the places, told in random order, are
    anywhere in it. An action in [-1, 1] moves the point by a quarter of it. The return is 1 if the
    point is within 0.2 of the wanted place after the last step, or, with `ends`, when it gets
    there, which ends the episode.

    Args:
      observes: "objects", {"objects": [2, 4], "point": [2]}; "image", {"image": [6, 6, 3] uint8,
        "point": [2]}; or "vector", [10], all in one.
      ends: whether episodes end once the point is there.
      discrete: whether actions are four moves along the axes.
      horizon: steps.
      num_train: training tasks.
    """

    noise_size = 0

    def __init__(self, observes="objects", ends=False, discrete=False, horizon=8, num_train=20):
        self.task_spec = {"colours": tf.TensorSpec([2, 2], tf.float32)}
        point = {"point": tf.TensorSpec([2], tf.float32)}
        self.observation_spec = {
            "objects": {"objects": tf.TensorSpec([2, 4], tf.float32), **point},
            "image": {"image": tf.TensorSpec([PIXELS, PIXELS, 3], tf.uint8), **point},
            "vector": tf.TensorSpec([10], tf.float32),
        }[observes]
        self.action_spec = tensor_spec.BoundedTensorSpec([2], tf.float32, -1, 1)
        if discrete:
            self.action_spec = tensor_spec.BoundedTensorSpec([], tf.int32, 0, 3)
        self.observes, self.ends, self.discrete, self.horizon = observes, ends, discrete, horizon
        self.num_train = num_train

    def population(self, seed, num_test=3):
        """Training tasks, and test tasks of other colours; in both, the two are opposites."""
        first, number = self.num_train, self.num_train + num_test
        turn = np.random.default_rng(seed).uniform(size=[number])
        angle = 2 * np.pi * np.stack([turn, turn + 0.5], axis=1)
        colours = np.stack([np.cos(angle), np.sin(angle)], axis=-1).astype(np.float32)
        task = {"colours": tf.constant(colours)}
        part = lambda first, last: nest.map(lambda x: x[first:last], task)
        group = lambda number: np.zeros(number, np.int64)
        return Population(part(0, first), part(first, number), group(first), group(num_test))

    def reset(self, task, key):
        unit = 2 * keys.uniform(key, [7]) - 1
        state = {
            "point": 0.1 * unit[..., :2],
            "places": tf.reshape(unit[..., 2:6], [*key.shape[:2], 2, 2]),
            "swapped": unit[..., 6] > 0,
            "time": tf.zeros(key.shape[:2], tf.int32),
        }
        return state, self._seen(task, state)

    def step(self, task, state, action, noise):
        if self.discrete:
            move = tf.gather([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [0.0, -1.0]], action)
        else:
            move = tf.clip_by_value(action, -1, 1)
        state = {**state, "point": state["point"] + REACH * move, "time": state["time"] + 1}
        there = tf.norm(state["point"] - state["places"][:, :, 0], axis=-1) < 0.2
        paid = there if self.ends else there & (state["time"] == self.horizon)
        ended = there if self.ends else tf.zeros_like(there)
        return state, self._seen(task, state), tf.cast(paid, tf.float32), ended

    def expert(self, task, state):
        away = state["places"][:, :, 0] - state["point"]
        if self.discrete:
            options = tf.concat([away, -away], axis=-1)  # right, up, left, down
            return tf.gather([0, 2, 1, 3], tf.argmax(options, axis=-1))
        return tf.clip_by_value(away / REACH, -1, 1)

    def _seen(self, task, state):
        shape = state["time"].shape
        colours = tf.broadcast_to(task["colours"][:, None], [*shape, 2, 2])
        told = tf.concat([state["places"], colours], axis=-1)
        told = tf.where(state["swapped"][..., None, None], told[:, :, ::-1], told)
        if self.observes == "objects":
            return {"objects": told, "point": state["point"]}
        if self.observes == "vector":
            return tf.concat([tf.reshape(told, [*shape, 8]), state["point"]], axis=-1)
        # Each place is a spot of its colour; the point is one in the third channel.
        spots = tf.concat([told[..., :2], state["point"][:, :, None]], axis=2)
        axis = tf.linspace(-1.0, 1.0, PIXELS)
        near = lambda x: tf.exp(-8 * (x[..., None] - axis) ** 2)
        light = near(spots[..., 0])[..., :, None] * near(spots[..., 1])[..., None, :]
        paint = tf.pad((told[..., 2:] + 1) / 2, [[0, 0], [0, 0], [0, 0], [0, 1]])
        paint = tf.concat([paint, tf.broadcast_to([[0.0, 0, 1]], [*shape, 1, 3])], axis=2)
        image = tf.einsum("nepij,nepc->neijc", light, paint)
        return {
            "image": tf.cast(255 * tf.clip_by_value(image, 0, 1), tf.uint8),
            "point": state["point"],
        }


class Untold(Places):
    """The same without anybody who could show it."""

    expert = TaskFamily.expert
