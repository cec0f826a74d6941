"""Half-cheetah: a flat runner with six motors that is to run at a speed, or in a direction."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import numpy as np
import tensorflow as tf

from tfcaml import settings
from tfcaml.environments.base import Population
from tfcaml.environments.mujoco.simulation import Body, Simulation, SimulationConfig
from tfcaml.errors import check, check_one_of, checked_call
from tfcaml.types import Task

if TYPE_CHECKING:
    import mujoco

_CONTROL_COST = 0.05


class _HalfCheetah(Simulation):
    """Observation: positions but the first, and velocities (17)."""

    def spec(self) -> mujoco.MjSpec:
        from tfcaml.environments.mujoco.bodies.half_cheetah import half_cheetah

        return half_cheetah()

    def observe(self, task: Task, body: Body) -> tf.Tensor:
        return tf.concat([body.qpos[..., 1:], body.qvel], axis=-1)


class HalfCheetahDirection(_HalfCheetah):
    """A task is {"direction": [N]}, 1 or -1."""

    holds_out = False

    def tasks(self, unit: tf.Tensor) -> Task:
        return {"direction": tf.where(unit[:, 0] < 0.5, 1.0, -1.0)}

    @checked_call
    def population(self, seed: int, num_test: int = 2) -> Population:
        found = super().population(seed, num_test)
        both = self.tasks(tf.constant([[0.0], [0.99]]))
        turns = {"direction": tf.constant(np.resize([1.0, -1.0], num_test), tf.float32)}
        group = lambda task: (np.asarray(task["direction"]) < 0).astype(np.int64)
        return Population(both, turns, group(both), group(turns), found.draw)

    def reward(self, task, before, after, velocity, control):
        cost = _CONTROL_COST * tf.reduce_sum(control**2, axis=-1)
        return velocity[..., 0] * task["direction"][:, None] - cost
