"""TF-Agents' and gymnasium's environments, called in one way.

Each class below has

  set_task(task): the task of the next episodes, a nest of NumPy values
  reset(seed) -> observation
  step(action) -> (observation, reward, terminated, truncated)
  close()
  observation_spec, action_spec: `TensorSpec`s; floats are float32
  time_limit: steps after which it cuts episodes short by itself, or None
"""

from __future__ import annotations

import contextlib
import functools
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf
from tf_agents.environments import py_environment, tf_environment, tf_py_environment, wrappers
from tf_agents.specs import tensor_spec

from tfcaml import nest
from tfcaml.errors import ConfigError, check
from tfcaml.types import Nest


def adapt(
    environment: Any, set_task: Callable[[Any, Any], object] | None = None
) -> GymnasiumEpisodes | PyEpisodes | TFEpisodes:
    """The class for an environment's kind.

    Args:
      environment: an unbatched `PyEnvironment`, a `TFEnvironment` of batch size 1 or a
        `gymnasium.Env`.
      set_task: function (environment, task) -> None; None: its own method `set_task(task)`.

    Raises:
      ConfigError: another kind of environment, or one that can't be given a task.
    """
    inner = environment
    if isinstance(inner, tf_py_environment.TFPyEnvironment):
        # Its Python environment is what runs; tensors would only come and go.
        envs = getattr(inner.pyenv, "envs", [inner.pyenv])
        check(len(envs) == 1, "batch_size of make()", len(envs), "1")
        inner = envs[0]
    if isinstance(inner, py_environment.PyEnvironment):
        adapted: PyEpisodes | TFEpisodes | GymnasiumEpisodes = PyEpisodes(inner)
    elif isinstance(inner, tf_environment.TFEnvironment):
        adapted = TFEpisodes(inner)
    elif "gymnasium" in sys.modules and isinstance(inner, sys.modules["gymnasium"].Env):
        adapted = GymnasiumEpisodes(inner)
    else:
        kinds = "a PyEnvironment, TFEnvironment or gymnasium.Env"
        raise ConfigError(f"expected make() to give {kinds}; received {type(inner).__name__}")
    own: Any = adapted.own_set_task()
    allowed = "a function, as the environment has no method set_task(task)"
    check(set_task or own, "set_task", set_task, allowed)
    adapted.set_task = functools.partial(set_task, environment) if set_task else own
    return adapted


class GymnasiumEpisodes:
    """A gymnasium environment."""

    set_task: Callable[[Any], object]

    def __init__(self, environment: Any) -> None:
        from tfcaml.environments.host import gym_adapter

        self._environment = environment
        spec = gym_adapter.spec_from_space
        self.observation_spec = _tensor_spec(spec(environment.observation_space, "observation"))
        self.action_spec = _tensor_spec(spec(environment.action_space, "action"))
        self.time_limit = getattr(environment.spec, "max_episode_steps", None)
        self._to_space = functools.partial(gym_adapter.to_space, environment.action_space)
        self._from_space: Callable[[Any], Nest] = functools.partial(
            gym_adapter.from_space, environment.observation_space
        )
        if isinstance(environment.observation_space, gym_adapter.spaces.Box):
            self._from_space = lambda observation: observation  # as it is; asked at each step

    def own_set_task(self) -> Callable[[Any], object] | None:
        """The environment's own method that makes it a task's, or None."""
        if self._environment.has_wrapper_attr("set_task"):
            return self._environment.get_wrapper_attr("set_task")
        return None

    def reset(self, seed: int) -> Nest:
        """Begins an episode: its first observation."""
        return self._from_space(self._environment.reset(seed=seed)[0])

    def step(self, action: Any) -> tuple[Nest, Any, bool, bool]:
        """Takes an action: (observation, reward, whether the task ended it, whether it was cut)."""
        outcome = self._environment.step(self._to_space(action))
        observation, reward, terminated, truncated, _ = outcome
        observation = self._from_space(observation)
        return observation, reward, terminated, truncated and not terminated

    def close(self) -> None:
        """Closes the environment."""
        self._environment.close()


class PyEpisodes:
    """TF-Agents' PyEnvironment, without batch axis."""

    set_task: Callable[[Any], object]

    def __init__(self, environment: Any) -> None:
        check(not environment.batched, "batched of make()", True, "False (or a batch size of 1)")
        self._environment = environment
        self.observation_spec = _tensor_spec(environment.observation_spec())
        self.action_spec = _tensor_spec(environment.action_spec())
        self._action_dtype = getattr(environment.action_spec(), "dtype", None)
        self.time_limit = _time_limit(environment)

    def own_set_task(self) -> Callable[[Any], object] | None:
        """The environment's own method that makes it a task's, or None."""
        return getattr(self._environment, "set_task", None)

    def reset(self, seed: int) -> Nest:
        """Begins an episode: its first observation."""
        # What draws nothing has no `seed`; `check` finds out whether that is so.
        with contextlib.suppress(NotImplementedError):
            self._environment.seed(seed)
        return self._environment.reset().observation

    def step(self, action: Any) -> tuple[Nest, Any, bool, bool]:
        """Takes an action: (observation, reward, whether the task ended it, whether it was cut)."""
        step = self._environment.step(np.asarray(action, self._action_dtype))
        last = bool(step.is_last())
        terminated = last and step.discount == 0 and not self._was_cut_short()
        return step.observation, step.reward, terminated, last and not terminated

    def close(self) -> None:
        """Closes the environment."""
        self._environment.close()

    def _was_cut_short(self) -> bool:
        """gym's time limit ends episodes with discount 0, and says so beside them only."""
        try:
            info = self._environment.get_info()
        except NotImplementedError:
            return False
        return isinstance(info, dict) and info.get("TimeLimit.truncated", False)


class TFEpisodes:
    """TF-Agents' TFEnvironment with a batch of one row, stepped eagerly."""

    time_limit = None  # TensorFlow's environments don't tell

    set_task: Callable[[Any], object]

    def __init__(self, environment: Any) -> None:
        size = environment.batch_size
        check(size == 1, "batch_size of make()", size, "1")
        self._environment = environment
        self.observation_spec = _tensor_spec(environment.observation_spec())
        self.action_spec = _tensor_spec(environment.action_spec())
        self._action_dtype = getattr(environment.action_spec(), "dtype", None)

    def own_set_task(self) -> Callable[[Any], object] | None:
        """The environment's own method that makes it a task's, or None."""
        return getattr(self._environment, "set_task", None)

    def reset(self, seed: int) -> Nest:
        """Begins an episode: its first observation."""
        if hasattr(self._environment, "seed"):
            self._environment.seed(seed)
        return _row(self._environment.reset().observation)

    def step(self, action: Any) -> tuple[Nest, Any, bool, bool]:
        """Takes an action: (observation, reward, whether the task ended it, whether it was cut)."""
        step = self._environment.step(tf.constant(action[None], self._action_dtype))
        last = bool(step.is_last()[0])
        terminated = last and float(step.discount[0]) == 0
        reward = float(step.reward[0])
        return _row(step.observation), reward, terminated, last and not terminated

    def close(self) -> None:
        """Closes the environment."""
        if hasattr(self._environment, "close"):
            self._environment.close()


def _row(observation: Nest) -> Nest:
    return nest.map(lambda x: x.numpy()[0], observation)


def _tensor_spec(spec: Nest) -> Nest:
    """Specs as `TensorSpec`s, floats as float32."""

    def convert(leaf: Any) -> tf.TypeSpec:
        leaf = tensor_spec.from_spec(leaf)
        if leaf.dtype != tf.float64:
            return leaf
        if not isinstance(leaf, tensor_spec.BoundedTensorSpec):
            return tf.TensorSpec(leaf.shape, tf.float32, leaf.name)
        bounds = (np.float32(leaf.minimum), np.float32(leaf.maximum))
        return tensor_spec.BoundedTensorSpec(leaf.shape, tf.float32, *bounds, leaf.name)

    return nest.map(convert, spec)


def _time_limit(environment: Any) -> int | None:
    """The duration of the outermost TimeLimit wrapper, or None."""
    while isinstance(environment, wrappers.PyEnvironmentBaseWrapper):
        if isinstance(environment, wrappers.TimeLimit):
            return environment.duration
        environment = environment.wrapped_env()
    return None
