"""A policy that sees observations by how far they are from what it has seen so far."""

from __future__ import annotations

from typing import TYPE_CHECKING

import tensorflow as tf

from tfcaml import nest
from tfcaml.errors import check, check_is, checked_call
from tfcaml.policies.base import Policy
from tfcaml.types import Nest, Params, Trajectory

if TYPE_CHECKING:
    from tensorflow_probability import distributions as tfd

_FLOOR = 1e-4  # least variance that an observation is divided by the root of


class NormalizedPolicy(Policy):
    """A policy whose observations are brought to mean 0 and standard deviation 1, and clipped.

    params = {"policy": weights of the policy within, "seen": {"count", "mean", "square"}, how many
    observations there were, and means of them and of their squares}. What was seen changes by
    `counted` alone, so that a policy stays the same while it acts and is learned from. Before
    anything was seen, and where they are no floats, observations stay as they are.

    Args:
      policy: a `Policy` without memory that says what its observations are.
      clip: standard deviations beyond which observations are cut off; 0: observations stay as they
        are.

    Raises:
      ConfigError: an argument of another kind, or a policy with memory.
    """

    @checked_call
    def __init__(self, policy: Policy, clip: float = 5.0) -> None:
        check_is("policy", policy, Policy, "a Policy")
        rule = "a policy without memory that has an observation_spec"
        fits = not policy.has_memory and policy.observation_spec is not None
        check(fits, "policy", type(policy).__name__, rule)
        check(clip >= 0, "clip", clip, ">= 0")
        self.policy, self.clip = policy, clip
        self.observation_spec = policy.observation_spec
        self.action_spec, self.num_actions = policy.action_spec, policy.num_actions
        self.supports_xla = policy.supports_xla
        self.heads = getattr(policy, "heads", ())

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(nest.names(self.init(0)))

    def init(self, seed: int) -> Params:
        return {"policy": self.policy.init(seed), "seen": self.nothing_seen()}

    def nothing_seen(self) -> dict[str, Nest]:
        """Moments before any observation, without task axis."""
        zeros = nest.map(
            lambda spec: tf.zeros(spec.shape, _float(spec.dtype)), self.observation_spec
        )
        return {"count": tf.zeros([]), "mean": zeros, "square": zeros}

    def counted(self, seen: dict[str, Nest], observation: Nest, mask: tf.Tensor) -> dict[str, Nest]:
        """Moments with new observations among them.

        Args:
          seen: moments, each [N, ...].
          observation: nest of [N, E, T, ...].
          mask: [N, E, T], 1 for observations that count.
        """
        more = tf.reduce_sum(mask, axis=[1, 2])
        count = seen["count"] + more
        share = tf.math.divide_no_nan(more, count)

        def mixed(old: tf.Tensor, new: tf.Tensor) -> tf.Tensor:
            """The mean [N, ...] with those of `new` [N, E, T, ...]."""
            new = tf.cast(new, old.dtype)
            total = tf.reduce_sum(new * nest.expand(tf.cast(mask, old.dtype), new), axis=[1, 2])
            row = lambda x: nest.expand(tf.cast(x, old.dtype), old)
            return old + row(share) * (tf.math.divide_no_nan(total, row(more)) - old)

        squared = nest.map(lambda x, old: tf.cast(x, old.dtype) ** 2, observation, seen["mean"])
        return {
            "count": count,
            "mean": nest.map(mixed, seen["mean"], observation),
            "square": nest.map(mixed, seen["square"], squared),
        }

    def normalized(self, seen: dict[str, Nest], observation: Nest) -> Nest:
        """What the policy within sees.

        Args:
          seen: moments, each [N, ...].
          observation: nest of [N, B, ...].
        """
        if not self.clip:
            return observation

        def one(x: tf.Tensor, mean: tf.Tensor, square: tf.Tensor) -> tf.Tensor:
            if not x.dtype.is_floating:
                return x
            scale = tf.math.rsqrt(tf.maximum(square - mean**2, _FLOOR))
            scaled = (x - mean[:, None]) * scale[:, None]
            scaled = tf.clip_by_value(scaled, -self.clip, self.clip)
            return tf.where(nest.expand(seen["count"] > 0, x), scaled, x)

        return nest.map(one, observation, seen["mean"], seen["square"])

    def __call__(self, params: Params, observation: Nest) -> tfd.Distribution:
        return self.policy(params["policy"], self.normalized(params["seen"], observation))

    def noise(self, key: tf.Tensor, num_steps: int) -> tf.Tensor:
        return self.policy.noise(key, num_steps)

    def sample(self, distribution: tfd.Distribution, noise: tf.Tensor) -> tf.Tensor:
        return self.policy.sample(distribution, noise)

    def value(
        self, params: Params, trajectory: Trajectory, head: str = "value"
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """As of the policy within; see `Policy`."""
        seen, mask = params["seen"], trajectory.mask
        flat = self.normalized(seen, nest.flat_steps(trajectory.observation))
        scaled = nest.map(lambda x: tf.reshape(x, [*mask.shape, *x.shape[2:]]), flat)
        final = self.normalized(seen, trajectory.final_observation)
        known = trajectory._replace(observation=scaled, final_observation=final)
        return self.policy.value(params["policy"], known, head)


def _float(dtype: tf.DType) -> tf.DType:
    return dtype if dtype.is_floating else tf.float32
