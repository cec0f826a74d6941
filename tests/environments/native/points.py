"""What tests of the families of `moving_point` play episodes with."""

import functools

import numpy as np
import tensorflow as tf

from tfcaml import keys

MOVES = 20.0 * np.array([[0, 0], [1, 0], [-1, 0], [0, 1], [0, -1]], np.float32)


def step(family, task, state, action):
    """One step of one episode of one task: (state, observation, reward, terminated) of it."""
    state = tf.nest.map_structure(lambda x: tf.constant(x)[None, None], state)
    found = family.step(task, state, tf.constant([[action]]), tf.zeros([1, 1, 0]))
    return tf.nest.map_structure(lambda x: x.numpy()[0, 0], found)


def greedy(state, target):
    """The action after which points are the closest to their targets: [N, E, 2] -> [N, E]."""
    after = state["position"][:, :, None] + MOVES
    distance = tf.reduce_sum((after - target[:, :, None]) ** 2, axis=-1)
    return tf.argmin(distance, axis=-1, output_type=tf.int32)


def played(family, act, task, episodes):
    """Episodes in one program of XLA: (state that each starts in, its return [N, E]).

    act: state -> actions [N, E].
    """

    @functools.partial(tf.function, autograph=False, jit_compile=True)
    def program(task):
        size = tf.nest.flatten(task)[0].shape[0]
        first, _ = family.reset(task, keys.per_episode(keys.from_int(0), size, episodes))
        noise = tf.zeros([size, episodes, 0])

        def body(time, state, total):
            state, _, reward, _ = family.step(task, state, act(state), noise)
            return time + 1, state, total + reward

        start = (0, first, tf.zeros([size, episodes]))
        last = tf.while_loop(lambda time, *_: time < family.horizon, body, start)
        return first, last[2]

    return tf.nest.map_structure(np.asarray, program(task))
