"""Distances between policies from what they are and where they went, over pairs of policies.

What `tabular_metrics` computes from tables, estimated for `Policy` and `Trajectory` objects with
any states and actions. The leading axis [N] is of pairs: pair n is `one[n]` and `other[n]`, each a
`Behaviour`. All pairs of some policies:

    i, j = divergence.pairs(size)
    result = divergence.trajectory_divergence(policy, nest.take(all, i), nest.take(all, j))
    matrix = divergence.square(result.normalized, size)

  state_bank_distance    d_P, a metric on policies that differ somewhere in the bank
  visited_distance       d_E, no metric: its states change with the pair
  trajectory_divergence  P, no metric: each policy weighs by its own visits

P and d_E ignore differences in states that are never visited. This P is not the divergence of the
CAML paper (`policy_divergence_matrix`), which compares occupancies: P asks what the two would do in
the same states, however seldom both come there.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import tensorflow as tf

from tfcaml import keys, nest
from tfcaml.divergence.action_distance import action_distance
from tfcaml.divergence.density import KernelDensity
from tfcaml.divergence.policy_divergence import visited_states
from tfcaml.divergence.tabular_metrics import (
    PolicyDivergence,
    equivalence_distance,
    mean_over_states,
)
from tfcaml.errors import check, check_is, check_whole, checked_call
from tfcaml.policies.base import check_weights
from tfcaml.types import Nest, Params, Trajectory, check_trajectory

if TYPE_CHECKING:
    from tensorflow_probability import distributions as tfd

    from tfcaml.policies.base import Policy


class Behaviour(NamedTuple):
    """N policies and where each has been.

    params:     weights, each [N, ...]
    trajectory: `Trajectory` [N, E, T, ...], each policy's own
    """

    params: Params
    trajectory: Trajectory


@checked_call
def state_bank(
    trajectories: Trajectory, max_points: int = 100, cover: Nest | None = None, seed: int = 0
) -> tuple[Nest, tf.Tensor]:
    """Observations at which to compare all policies alike: visited by any, and `cover` besides.

    Args:
      trajectories: `Trajectory` with leading [N].
      max_points: at most this many of each policy's living steps.
      cover: nest of [C, ...], further observations, such as ones spread evenly, or None.
      seed: Python int, of the choice.

    Returns:
      (observation, nest of [M, ...]; weight [M], 0 for padding and 1 for states).
    """
    check_trajectory("trajectories", trajectories)
    max_points = check_whole("max_points", max_points, 1)
    key = keys.fold(keys.from_int(seed), keys.STATE_BANK)
    points, mask = visited_states(trajectories, False, max_points, key)
    points = tf.reshape(points, [-1, points.shape[-1]])
    bank, weight = nest.unvectors(points, trajectories.observation, 3), tf.reshape(mask, [-1])
    if cover is None:
        return bank, weight
    extra = tf.ones([nest.leading(cover)], weight.dtype)
    return nest.concat(bank, cover), tf.concat([weight, extra], axis=0)


@checked_call
def state_bank_distance(
    policy: Policy,
    one: Params,
    other: Params,
    bank: Nest,
    weight: tf.Tensor | None = None,
    distance: Callable[[tfd.Distribution, tfd.Distribution], tf.Tensor] = action_distance,
) -> tf.Tensor:
    """d_P of pairs over a bank of states, the same for all pairs.

    A metric on what policies do in the bank (a mean of metrics), so far as `distance` is exact.

    Args:
      policy: a `Policy` without memory.
      one, other: weights, each [N, ...].
      bank: nest of [M, ...], observations.
      weight: [M], or 1 for all; > 0 in every state that is to count.
      distance: (distribution, distribution) -> [N, M], such as `action_distance`.

    Returns:
      [N].

    Raises:
      ConfigError: a policy with memory.
    """
    check_weights("one", policy, one)
    check_weights("other", policy, other)
    sizes = [nest.leading(one), nest.leading(other)]
    check(sizes[0] == sizes[1], "the numbers of policies", sizes, "the same, in pairs")
    if policy.observation_spec is not None:
        found = nest.mismatches("bank", policy.observation_spec, bank, [None])
        check(not found, "bank", bank, "observations of the policy with an axis of states")
    observation = nest.repeat(bank, nest.leading(one))
    return mean_over_states(distance(policy(one, observation), policy(other, observation)), weight)


@checked_call
def visited_distance(
    policy: Policy,
    one: Behaviour,
    other: Behaviour,
    bandwidth: float | str | np.ndarray = 0.5,
    max_points: int = 100,
    distance: Callable[[tfd.Distribution, tfd.Distribution], tf.Tensor] = action_distance,
) -> tf.Tensor:
    """d_E of pairs: their mean distance over states that both visit.

    States visited by either are weighted by min(rho_one, rho_other) over the density of the pool,
    kernel density estimates all. Symmetric, >= 0, 0 of equivalent policies; not a metric.

    Args:
      policy: a `Policy` without memory.
      one, other: `Behaviour`s of leading [N].
      bandwidth: see `KernelDensity`, in units of the observations.
      max_points: at most this many of each policy's living steps.
      distance: as above.

    Returns:
      [N].

    Raises:
      ConfigError: a policy with memory, or an unusable bandwidth.
    """
    _check_behaviours(policy, one=one, other=other)
    max_points = check_whole("max_points", max_points, 1)
    key = keys.fold(keys.from_int(0), keys.STATE_BANK)
    points, masks = zip(
        *(visited_states(x.trajectory, False, max_points, key) for x in (one, other))
    )
    pool, mask = tf.concat(points, axis=1), tf.concat(masks, axis=1)  # [N, M, d], [N, M]
    log_one, log_other = (
        KernelDensity(x, bandwidth, m).log_prob_at(pool) for x, m in zip(points, masks)
    )
    # The pool holds a share of each: that mixture's density is what the points came from.
    share_one = tf.reduce_sum(masks[0], axis=1, keepdims=True) / tf.reduce_sum(
        mask, axis=1, keepdims=True
    )
    odds = tf.exp(tf.minimum(log_other - log_one, 0)), tf.exp(tf.minimum(log_one - log_other, 0))
    # min(p, q) / (a p + b q), each divided by max(p, q): nothing underflows.
    weight = mask * odds[0] * odds[1] / (share_one * odds[1] + (1 - share_one) * odds[0])
    observation = nest.unvectors(pool, one.trajectory.observation, 3)
    apart = distance(policy(one.params, observation), policy(other.params, observation))
    return equivalence_distance(apart, weight, weight)


@checked_call
def trajectory_divergence(
    policy: Policy,
    one: Behaviour,
    other: Behaviour,
    distance: Callable[[tfd.Distribution, tfd.Distribution], tf.Tensor] = action_distance,
) -> PolicyDivergence:
    """P of pairs, from episodes of both: `PolicyDivergence`, each [N].

    Symmetric, >= 0, 0 of policies that act alike wherever either went, whatever the sample; not a
    metric. An unbiased estimate of `tabular_divergence`'s P; the normalised one divides by the
    number of living steps.

    Args:
      policy: a `Policy`; one with memory lives through both sets of episodes.
      one, other: `Behaviour`s of leading [N], in environments of their own if need be.
      distance: as above.
    """
    _check_behaviours(policy, one=one, other=other)
    totals, means = zip(
        *(
            _sums(distances_along(policy, one, other, x.trajectory, distance), x.trajectory.mask)
            for x in (one, other)
        )
    )
    return PolicyDivergence(sum(totals), 0.5 * sum(means))


@checked_call
def distances_along(
    policy: Policy,
    one: Params,
    other: Params,
    trajectory: Trajectory,
    distance: Callable[[tfd.Distribution, tfd.Distribution], tf.Tensor] = action_distance,
) -> tf.Tensor:
    """How far two policies are apart at each step of some episodes, 0 on padded steps: [N, E, T].

    Args:
      policy: a `Policy`.
      one, other: `Behaviour`s of leading [N].
      trajectory: `Trajectory` with leading [N].
      distance: as above.
    """
    distributions = (policy.unroll(x.params, trajectory) for x in (one, other))
    return tf.reshape(distance(*distributions), trajectory.mask.shape) * trajectory.mask


def _check_behaviours(policy: Any, **named: Any) -> None:
    for name, value in named.items():
        check_is(name, value, Behaviour, "a Behaviour(params, trajectory)")
        check_weights(f"{name}.params", policy, value.params)
        check_trajectory(f"{name}.trajectory", value.trajectory)
    sizes = {name: nest.leading(value.params) for name, value in named.items()}
    check(len(set(sizes.values())) == 1, "the numbers of policies", sizes, "the same, in pairs")


def _sums(along: tf.Tensor, mask: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """An episode's sum, and a step's mean: [N, E, T] -> [N], [N]."""
    total = tf.reduce_sum(along, axis=[1, 2])
    return total / along.shape[1], total / tf.reduce_sum(mask, axis=[1, 2])
