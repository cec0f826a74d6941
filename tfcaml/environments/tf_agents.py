"""Families of environments as TF-Agents environments, for its drivers, buffers and agents.

Both classes give episodes of the same random numbers as `rollouts.sampling.sample` with the key
`keys.from_int(seed)`: the k-th episode of a task there is its k-th episode here. Following
TF-Agents, an episode that terminates ends with discount 0 and one that is truncated, by the horizon
or before, ends with discount 1, as its `TimeLimit` has it; the step after the last ignores its
action and restarts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import tensorflow as tf
from tf_agents.environments import py_environment, tf_environment
from tf_agents.specs import tensor_spec
from tf_agents.trajectories import time_step as ts

from tfcaml import keys, nest
from tfcaml.errors import check
from tfcaml.types import Nest, Task

if TYPE_CHECKING:
    from tfcaml.environments.base import TaskFamily


class FamilyPyEnvironment(py_environment.PyEnvironment):
    """One task of a family, one episode at a time, in NumPy arrays without batch axis.

    Args:
      environment: an `TaskFamily`.
      task: nest, leading [1].
      seed: Python int; episode k has its own numbers whatever came before.

    Raises:
      ConfigError: `task` holds more than one task.
    """

    def __init__(self, environment: TaskFamily, task: Task, seed: int = 0) -> None:
        super().__init__(handle_auto_reset=True)
        check(nest.leading(task) == 1, "number of tasks", nest.leading(task), "1")
        self._environment = environment
        self._task = task
        self._key = keys.from_int(seed)
        self._episode = -1

    def observation_spec(self) -> Nest:
        """`ArraySpec` of one observation."""
        return tensor_spec.to_nest_array_spec(self._environment.observation_spec)

    def action_spec(self) -> Nest:
        """`BoundedArraySpec` of one action."""
        return tensor_spec.to_nest_array_spec(self._environment.action_spec)

    def _reset(self) -> ts.TimeStep:
        self._episode += 1
        self._time = 0
        self._state, observation, self._noise = _start_episodes(
            self._environment, self._task, self._key, tf.constant([[self._episode]])
        )
        return ts.restart(nest.map(_single, observation))

    def _step(self, action: Any) -> ts.TimeStep:
        action = np.asarray(action, self.action_spec().dtype)[None, None]
        # Not compiled: a `tf.function` called by TFPyEnvironment inside a compiled driver waits for
        # ever where TensorFlow has a single thread for operations.
        self._state, observation, reward, terminated = self._environment.step(
            self._task, self._state, tf.constant(action), self._noise[:, :, self._time]
        )
        self._time += 1
        observation, reward = nest.map(_single, observation), _single(reward)
        if _single(terminated):
            return ts.termination(observation, reward)
        if self._time == self._environment.horizon or self._environment.truncated(self._state):
            return ts.truncation(observation, reward)
        return ts.transition(observation, reward)


class FamilyTFEnvironment(tf_environment.TFEnvironment):
    """N tasks of a family, E episodes of each side by side: a batch of N * E rows.

    Rows n * E to (n + 1) * E - 1 belong to task n. A row restarts on the step after its last one,
    whatever the others do. Row e of a task plays the episodes e, e + E, e + 2 E, ... of that task.

    Args:
      environment: an `TaskFamily`.
      task: nest, leading [N].
      num_episodes: E.
      seed: Python int.

    Raises:
      ConfigError: `num_episodes` is not positive.
    """

    def __init__(
        self, environment: TaskFamily, task: Task, num_episodes: int, seed: int = 0
    ) -> None:
        check(num_episodes >= 1, "num_episodes", num_episodes, ">= 1")
        self._environment = environment
        self._task = task
        self._key = keys.from_int(seed)
        self._shape = [nest.leading(task), num_episodes]
        super().__init__(
            ts.time_step_spec(environment.observation_spec),
            environment.action_spec,
            batch_size=self._shape[0] * num_episodes,
        )
        rows = lambda value, dtype: tf.fill(self._shape, tf.constant(value, dtype))
        # All rows wait for a restart, which makes them the first E episodes of their task.
        episode = tf.repeat(tf.range(num_episodes)[None] - num_episodes, self._shape[0], axis=0)
        state, observation, noise = _start_episodes(environment, task, self._key, episode)
        values = {
            "episode": episode,
            "time": rows(0, tf.int32),  # steps since the episode's start
            "state": state,
            "noise": noise,
            "time_step": ts.TimeStep(
                rows(ts.StepType.LAST, tf.int32),
                rows(0, tf.float32),
                rows(1, tf.float32),
                observation,
            ),
        }
        self._variables = nest.map(lambda x: tf.Variable(x, trainable=False), values)

    def _current_time_step(self) -> ts.TimeStep:
        unstarted = tf.reduce_any(self._variables["episode"] < 0)
        return tf.cond(unstarted, self._reset, lambda: self._rows(self._read()["time_step"]))

    def _reset(self) -> ts.TimeStep:
        values = self._read()
        return self._write(self._restart(values, tf.ones(self._shape, tf.bool)))

    def _step(self, action: Any) -> ts.TimeStep:
        values = self._read()
        ended = values["time_step"].step_type == ts.StepType.LAST
        action = tf.reshape(action, self._shape + self._environment.action_spec.shape)
        moved = self._move(values, action)
        restart = lambda: self._restart(moved, ended)
        return self._write(tf.cond(tf.reduce_any(ended), restart, lambda: moved))

    def _move(self, values: dict[str, Nest], action: Any) -> dict[str, Nest]:
        """All rows one step on."""
        # The rows that are about to restart may be past the end.
        time = tf.minimum(values["time"], self._environment.horizon - 1)
        noise = tf.gather(values["noise"], time, axis=2, batch_dims=2)
        state, observation, reward, terminated = self._environment.step(
            self._task, values["state"], action, noise
        )
        time = values["time"] + 1
        truncated = (time == self._environment.horizon) | self._environment.truncated(state)
        last = terminated | truncated
        step_type = tf.where(last, ts.StepType.LAST, ts.StepType.MID)
        discount = 1 - tf.cast(terminated, tf.float32)
        time_step = ts.TimeStep(step_type, tf.cast(reward, tf.float32), discount, observation)
        return {**values, "time": time, "state": state, "time_step": time_step}

    def _restart(self, values: dict[str, Nest], which: tf.Tensor) -> dict[str, Nest]:
        """`values` with new episodes in the rows `which` [N, E]."""
        episode = values["episode"] + self._shape[1]
        state, observation, noise = _start_episodes(
            self._environment, self._task, self._key, episode
        )
        zeros = tf.zeros(self._shape)
        step_type = tf.fill(self._shape, tf.constant(ts.StepType.FIRST, tf.int32))
        fresh = {
            "episode": episode,
            "time": tf.zeros(self._shape, tf.int32),
            "state": state,
            "noise": noise,
            "time_step": ts.TimeStep(step_type, zeros, zeros + 1, observation),
        }
        return nest.map(lambda new, old: tf.where(nest.expand(which, new), new, old), fresh, values)

    def _read(self) -> dict[str, Nest]:
        return nest.map(tf.convert_to_tensor, self._variables)

    def _write(self, values: dict[str, Nest]) -> ts.TimeStep:
        writes = nest.map(lambda variable, x: variable.assign(x), self._variables, values)
        with tf.control_dependencies(tf.nest.flatten(writes) if tf.inside_function() else []):
            return self._rows(nest.map(tf.identity, values["time_step"]))

    def _rows(self, time_step: ts.TimeStep) -> ts.TimeStep:
        """[N, E, ...] -> [N * E, ...]."""
        return nest.map(lambda x: tf.reshape(x, [self.batch_size, *x.shape[2:]]), time_step)


def _start_episodes(
    environment: TaskFamily, task: Task, key: tf.Tensor, episode: tf.Tensor
) -> tuple[Nest, Nest, tf.Tensor]:
    """Episodes by number, with the random numbers that `sampling.sample` would give them.

    Args:
      environment: an `TaskFamily`.
      task: nest, leading [N].
      key: [2].
      episode: [N, E] integers.

    Returns:
      (state, nest of [N, E, ...]; observation, nest of [N, E, ...]; noise [N, E, T, noise_size]).
    """
    key = keys.of_episodes(key, episode)
    state, observation = environment.reset(task, keys.salted(key, keys.RESET))
    size = [environment.horizon, environment.noise_size]
    return state, observation, keys.uniform(keys.salted(key, keys.STEPS), size)


def _single(x: tf.Tensor) -> np.ndarray:
    """The one episode of the one task: [1, 1, ...] -> NumPy array [...]."""
    return x.numpy()[0, 0]
