"""gymnasium beside TF-Agents: its environments as PyEnvironments, and families as gymnasium's.

TF-Agents' own `suite_gym` reads gym, gymnasium's forerunner, which does not tell an episode that
ended from one that was cut short. gymnasium does; here discount 0 stands for the first and discount
1 for the second, as in all of TF-Agents.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from tf_agents.environments import py_environment
from tf_agents.specs import ArraySpec, BoundedArraySpec
from tf_agents.trajectories import time_step as ts

from tfcaml import nest
from tfcaml.environments.tf_agents import FamilyPyEnvironment
from tfcaml.errors import ConfigError, check
from tfcaml.types import Nest, Task

if TYPE_CHECKING:
    import gymnasium

    from tfcaml.environments.base import TaskFamily

try:
    import gymnasium
    from gymnasium import spaces
except ImportError as error:
    raise ConfigError(
        "expected the package gymnasium to be installed; do: pip install 'tfcaml[gym]'"
    ) from error


class GymnasiumPyEnvironment(py_environment.PyEnvironment):
    """A gymnasium environment as TF-Agents' PyEnvironment.

    Args:
      environment: `gymnasium.Env`; of its spaces Box, Discrete, MultiDiscrete, MultiBinary, and
        Dict and Tuple of these.

    Raises:
      ConfigError: another space.
    """

    def __init__(self, environment: gymnasium.Env) -> None:
        super().__init__(handle_auto_reset=True)
        self._environment = environment
        self._observation_spec = spec_from_space(environment.observation_space, "observation")
        self._action_spec = spec_from_space(environment.action_space, "action")
        self._next_seed: int | None = None
        self._info: Any = None

    @property
    def gymnasium(self) -> gymnasium.Env:
        """The environment within."""
        return self._environment

    def observation_spec(self) -> Nest:
        """`ArraySpec`s of one observation."""
        return self._observation_spec

    def action_spec(self) -> Nest:
        """`BoundedArraySpec`s of one action."""
        return self._action_spec

    def seed(self, seed: int) -> None:
        """Seeds the next `reset`. `seed`: Python int, >= 0."""
        self._next_seed = seed

    def get_info(self) -> Any:
        """What the last `reset` or `step` told beside the observation."""
        return self._info

    def render(self, mode: str = "rgb_array") -> Any:
        """The environment's picture; `mode` is what `gymnasium.make` was given."""
        return self._environment.render()

    def close(self) -> None:
        """Closes gymnasium's environment."""
        self._environment.close()

    def _reset(self) -> ts.TimeStep:
        observation, self._info = self._environment.reset(seed=self._next_seed)
        self._next_seed = None
        return ts.restart(self._cast(observation))

    def _step(self, action: Any) -> ts.TimeStep:
        action = to_space(self._environment.action_space, action)
        observation, reward, terminated, truncated, self._info = self._environment.step(action)
        observation = self._cast(observation)
        if terminated:
            return ts.termination(observation, reward)
        if truncated:
            return ts.truncation(observation, reward)
        return ts.transition(observation, reward)

    def _cast(self, observation: Any) -> Nest:
        observation = from_space(self._environment.observation_space, observation)
        return nest.map(
            lambda spec, x: np.asarray(x, spec.dtype), self._observation_spec, observation
        )


class FamilyGymnasiumEnvironment(gymnasium.Env):
    """One task of a family as a gymnasium environment.

    After `reset(seed=s)` its episodes are those of `FamilyPyEnvironment(environment, task, s)`, and
    so those of `rollouts.sampling.sample` with that seed. An episode that reaches the family's
    horizon is truncated.

    Args:
      environment: a `TaskFamily` whose observation is a tensor, or dicts and tuples of tensors.
      task: nest, leading [1].
    """

    metadata = {"render_modes": []}
    render_mode = None

    def __init__(self, environment: TaskFamily, task: Task) -> None:
        self._family = environment, task
        self._episodes = FamilyPyEnvironment(environment, task)
        self.observation_space = _space(self._episodes.observation_spec())
        self.action_space = _space(self._episodes.action_spec())
        self._seeded = False

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        """Starts an episode: (observation, {})."""
        super().reset(seed=seed)
        if seed is None and not self._seeded:
            seed = int(self.np_random.integers(2**31))
        if seed is not None:
            self._episodes = FamilyPyEnvironment(*self._family, seed)
            self._seeded = True
        return self._episodes.reset().observation, {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """One step: (observation, reward, terminated, truncated, {})."""
        step = self._episodes.step(action)
        last = bool(step.is_last())
        terminated = last and float(step.discount) == 0
        return step.observation, float(step.reward), terminated, last and not terminated, {}


def spec_from_space(space: Any, name: str | None = None) -> Nest:
    """`BoundedArraySpec`s of a gymnasium space.

    Actions and states of a Discrete and a MultiDiscrete count from 0, whatever their `start`: see
    `to_space` and `from_space`. Floats become float32, which networks are made of; booleans have an
    `ArraySpec` without bounds.

    Raises:
      ConfigError: a space that has no such spec.
    """
    if isinstance(space, spaces.Box):
        kind = np.dtype(space.dtype).kind
        if kind == "b":
            return ArraySpec(space.shape, space.dtype, name)
        dtype: Any = np.float32 if kind == "f" else space.dtype
        low, high = space.low.astype(dtype), space.high.astype(dtype)
        return BoundedArraySpec(space.shape, dtype, low, high, name)
    if isinstance(space, spaces.Discrete):
        return BoundedArraySpec((), space.dtype, 0, int(space.n) - 1, name)
    if isinstance(space, spaces.MultiDiscrete):
        zeros = np.zeros(space.shape, space.dtype)
        return BoundedArraySpec(space.shape, space.dtype, zeros, space.nvec - 1, name)
    if isinstance(space, spaces.MultiBinary):
        return BoundedArraySpec(space.shape, space.dtype, 0, 1, name)
    if isinstance(space, spaces.Dict):
        return {key: spec_from_space(value, key) for key, value in space.spaces.items()}
    if isinstance(space, spaces.Tuple):
        return tuple(spec_from_space(value, name) for value in space.spaces)
    allowed = "a Box, Discrete, MultiDiscrete, MultiBinary, or a Dict or Tuple of these"
    raise ConfigError(f"expected {name or 'space'} to be {allowed}; received {space!r}")


def to_space(space: gymnasium.Space, action: Any) -> Any:
    """An action that follows `spec_from_space(space)` as `space` has it."""
    if isinstance(space, spaces.Discrete):
        return int(action) + int(space.start)
    if isinstance(space, spaces.MultiDiscrete):
        return np.asarray(action, space.dtype) + space.start
    return np.asarray(action, space.dtype)


def from_space(space: gymnasium.Space, observation: Any) -> Nest:
    """An observation of `space` as `spec_from_space(space)` has it."""
    if isinstance(space, spaces.Dict):
        return {key: from_space(value, observation[key]) for key, value in space.spaces.items()}
    if isinstance(space, spaces.Tuple):
        return tuple(map(from_space, space.spaces, observation))
    if isinstance(space, (spaces.Discrete, spaces.MultiDiscrete)):
        # Without a start it stays what it is, whatever it is, for the checks to see.
        return np.asarray(observation) - space.start if np.any(space.start) else observation
    return observation


def _space(spec: Nest) -> gymnasium.Space:
    """The space of a nest of `ArraySpec`s: of dicts and tuples a Dict and a Tuple."""
    if isinstance(spec, Mapping):
        return spaces.Dict({name: _space(own) for name, own in spec.items()})
    if isinstance(spec, tuple):
        return spaces.Tuple(map(_space, spec))
    bounded = isinstance(spec, BoundedArraySpec)
    if bounded and spec.dtype.kind in "iu" and spec.shape == () and spec.minimum == 0:
        return spaces.Discrete(int(spec.maximum) + 1)
    check(hasattr(spec, "shape"), "spec", spec, "a tensor's, or dicts and tuples of them")
    if bounded:
        low, high = spec.minimum, spec.maximum
    elif spec.dtype.kind == "b":
        low, high = False, True
    elif spec.dtype.kind in "iu":
        low, high = np.iinfo(spec.dtype).min, np.iinfo(spec.dtype).max
    else:
        low, high = -np.inf, np.inf
    broadcast = lambda bound: np.broadcast_to(bound, spec.shape).astype(spec.dtype)
    return spaces.Box(broadcast(low), broadcast(high), dtype=spec.dtype)
