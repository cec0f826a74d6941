"""Exact distances between policies of finite MDPs, from tables.

Tables of N policies, S states and A actions: log-probabilities [N, S, A], transitions [N, S, A, S]
or [S, A, S]. Rows of a transition may add up to less than 1; what is missing ends the episode. N
counts pairs where two policies are compared; `pairs` lists all of N policies.

  mean_over_states     d_P, a metric if every state has weight, a pseudometric if not
  equivalence_distance d_E, no metric: its states change with the pair
  tabular_divergence   P, no metric: each policy weighs by its own visits

All are symmetric and >= 0. d_E and P are 0 exactly if the policies give the same trajectories from
the start; d_P, with weight everywhere, exactly if they are the same in all states. How d_E breaks
the triangle inequality: from a decision between two corridors, a goes left, c right and b either
way; all act alike in the corridors. Then d_E(a, c), over the first state, the only one that both
reach, is 0.833, but d_E(a, b) + d_E(b, c), over four states each, is 0.232.
"""

from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from tfcaml.divergence.action_distance import root_jensen_shannon
from tfcaml.divergence.arrays import float_tensors
from tfcaml.errors import check, check_whole, checked_call


class PolicyDivergence(NamedTuple):
    """P of pairs of policies, both [N], both not metrics.

    total: P = E_p[sum over an episode of sqrt(J)] + E_q[...], in [0, 2 H sqrt(ln 2)]
    normalized: P / (2 H), in [0, sqrt(ln 2)]. Where episodes end early H is each policy's own: each
      of the two sums is divided by the expected length of the episodes it is over.
    """

    total: tf.Tensor
    normalized: tf.Tensor


@checked_call
def pairs(size: int) -> tuple[np.ndarray, np.ndarray]:
    """Each two of `size` policies once: (i, j), i < j, each [size (size - 1) / 2] integers."""
    check_whole("size", size, 0)
    return np.triu_indices(size, 1)


@checked_call
def square(values: tf.Tensor, size: int) -> tf.Tensor:
    """Values of the `pairs` [size (size - 1) / 2] -> a symmetric matrix [size, size], 0 inside."""
    index = np.stack(pairs(size), axis=1)
    values = float_tensors(1, values=values)[0]
    rule = f"[{len(index)}], one for each pair of {size}"
    check(values.shape.is_compatible_with([len(index)]), "values", list(values.shape), rule)
    upper = tf.scatter_nd(index, values, [size, size])
    return upper + tf.transpose(upper)


@checked_call
def mean_over_states(distance: tf.Tensor, weight: tf.Tensor | None = None) -> tf.Tensor:
    """d_P: what `root_jensen_shannon` gives in states, averaged with fixed weights.

    A mean of metrics: itself a metric if all weights are > 0. With weight 0 in states where they
    differ it is 0 of policies that are not the same: a pseudometric. The states and their weights
    have to be the same for all pairs.

    Args:
      distance: [..., S].
      weight: [S], >= 0, or 1 for all.

    Returns:
      [...].
    """
    distance = float_tensors(1, distance=distance)[0]
    if weight is None:
        return tf.reduce_mean(distance, axis=-1)
    weight = tf.cast(float_tensors(1, weight=weight)[0], distance.dtype)
    float_tensors(1, distance=distance, weight=weight)  # they broadcast
    return tf.reduce_sum(distance * weight, axis=-1) / tf.reduce_sum(weight)


@checked_call
def equivalence_distance(
    distance: tf.Tensor, weight_p: tf.Tensor, weight_q: tf.Tensor
) -> tf.Tensor:
    """d_E: the mean distance over states that both policies reach, weighted by the lesser weight.

    Symmetric, >= 0, and 0 exactly if the policies are equivalent from the start; not a metric.

    Args:
      distance: [N, S], of `root_jensen_shannon`.
      weight_p, weight_q: [N, S]: `reachable` (then all states in common weigh the same) or
        `state_visits`; or densities, for states of a continuum.

    Returns:
      [N]; 0 where no state is reached by both.
    """
    distance = float_tensors(1, distance=distance)[0]
    cast = lambda x: tf.cast(float_tensors(1, weight=x)[0], distance.dtype)
    # They broadcast.
    float_tensors(1, distance=distance, weight_p=cast(weight_p), weight_q=cast(weight_q))
    weight = tf.minimum(cast(weight_p), cast(weight_q))
    total = tf.reduce_sum(weight * distance, axis=-1)
    return tf.math.divide_no_nan(total, tf.reduce_sum(weight, axis=-1))


@checked_call
def tabular_divergence(
    log_p: tf.Tensor, log_q: tf.Tensor, visits_p: tf.Tensor, visits_q: tf.Tensor
) -> PolicyDivergence:
    """P, exact: `PolicyDivergence` of pairs of policies, each acting in its own MDP.

    Args:
      log_p, log_q: [N, S, A] log-probabilities.
      visits_p, visits_q: [N, S], of `state_visits`.
    """
    distance = root_jensen_shannon(log_p, log_q)
    _, visits_p, visits_q = float_tensors(
        1, distance=distance, visits_p=visits_p, visits_q=visits_q
    )
    total_p = tf.reduce_sum(distance * visits_p, axis=-1)
    total_q = tf.reduce_sum(distance * visits_q, axis=-1)
    length_p = tf.reduce_sum(visits_p, axis=-1)
    length_q = tf.reduce_sum(visits_q, axis=-1)
    return PolicyDivergence(total_p + total_q, 0.5 * (total_p / length_p + total_q / length_q))


@checked_call
def state_distributions(
    log_policy: tf.Tensor, transition: tf.Tensor, start: tf.Tensor, horizon: int
) -> tf.Tensor:
    """The probability of acting in each state at each time, by forward recursion.

    Args:
      log_policy: [N, S, A].
      transition: [N, S, A, S] or [S, A, S].
      start: [S].
      horizon: H, actions of an episode.

    Returns:
      [N, H, S]; a time's sum is the probability that the episode still lasts.
    """
    log_policy, transition, start = _tables(log_policy, transition, start, horizon)
    move = tf.exp(log_policy)[..., None] * tf.cast(transition, log_policy.dtype)
    move = tf.reduce_sum(move, axis=-2)  # [N, S, S]
    now = tf.broadcast_to(tf.cast(start, move.dtype), move.shape[:-1])
    rows = [now]
    for _ in range(horizon - 1):
        rows.append(tf.linalg.matvec(move, rows[-1], transpose_a=True))
    return tf.stack(rows, axis=-2)


@checked_call
def state_visits(
    log_policy: tf.Tensor, transition: tf.Tensor, start: tf.Tensor, horizon: int
) -> tf.Tensor:
    """How often an episode acts in each state, expected; arguments as above. [N, S]"""
    return tf.reduce_sum(state_distributions(log_policy, transition, start, horizon), axis=-2)


@checked_call
def reachable(
    log_policy: tf.Tensor, transition: tf.Tensor, start: tf.Tensor, horizon: int
) -> tf.Tensor:
    """Where an episode acts with probability > 0, be it ever so small: [N, S] bool.

    Arguments as `state_distributions`. Follows the supports, so that nothing underflows.
    """
    log_policy, transition, start = _tables(log_policy, transition, start, horizon)
    possible = (tf.convert_to_tensor(log_policy) > -np.inf)[..., None]
    move = tf.reduce_any(possible & (tf.convert_to_tensor(transition) > 0), axis=-2)
    reached = tf.broadcast_to(tf.convert_to_tensor(start) > 0, move.shape[:-1])
    for _ in range(horizon - 1):
        reached |= tf.reduce_any(reached[..., None] & move, axis=-2)
    return reached


def _tables(log_policy: Any, transition: Any, start: Any, horizon: Any) -> list[tf.Tensor]:
    """The tables of an MDP, checked to fit each other: log_policy, transition, start."""
    check_whole("horizon", horizon, 1)
    log_policy = float_tensors(3, log_policy=log_policy)[0]
    transition = tf.cast(float_tensors(3, transition=transition)[0], log_policy.dtype)
    start = tf.cast(float_tensors(1, start=start)[0], log_policy.dtype)
    states, actions = log_policy.shape[-2:]
    sizes = [states, actions, states]
    fits, wanted = transition.shape[-3:].is_compatible_with(sizes), f"[..., {str(sizes)[1:]}"
    check(fits, "shape of transition", list(transition.shape), wanted)
    fits = start.shape.is_compatible_with([states])
    check(fits, "shape of start", list(start.shape), f"[{states}]")
    return [log_policy, transition, start]
