"""Simulations that are put somewhere, stepped and looked at; for tests of families of robots."""

import numpy as np
import tensorflow as tf

from tfcaml import keys, nest


def start(family, task, seed=3):
    """The state of one episode of each task: (state, observation)."""
    key = keys.per_episode(keys.from_int(seed), nest.leading(task), 1)
    return family.reset(task, keys.salted(key, keys.RESET))


def put(family, state, positions=None, velocities=None):
    """A state in which episodes are at `positions` [nq] or [N, nq], with `velocities` [nv]."""
    row, size = state["row"].numpy(), family.model.nq
    if positions is not None:
        row[:, 0, :size] = positions
    if velocities is not None:
        row[:, 0, size : size + family.model.nv] = velocities
    return {**state, "row": tf.constant(row)}


def step(family, task, state, action=0.0):
    """One step: (state, observation, reward, ended) as arrays [N, ...], or nests of them.

    Args:
      action: of all actuators, [A] or [N, A].
    """
    shape = [nest.leading(task), 1, *family.action_spec.shape]
    each = np.broadcast_to(np.asarray(action, np.float32), [shape[0], shape[2]])
    state, *rest = family.step(task, state, tf.constant(each[:, None]), tf.zeros([*shape[:2], 0]))
    return state, *(nest.map(lambda x: np.asarray(x)[:, 0], each) for each in rest)


def positions(family, state):
    """[N, nq] in float64."""
    return state["row"].numpy()[:, 0, : family.model.nq]


def velocities(family, state):
    """[N, nv] in float64."""
    size = family.model.nq
    return state["row"].numpy()[:, 0, size : size + family.model.nv]
