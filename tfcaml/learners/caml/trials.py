"""The rules of CAML's bandit one pull at a time, in TensorFlow, for a machine without tfcaml.

A table of trial returns [N, k, budget] holds nan where an arm was not pulled (so often).
"""

import tensorflow as tf

from tfcaml.errors import check_one_of
from tfcaml.learners.caml import bandit


def next_arm(rule: str, returns: tf.Tensor, key: tf.Tensor) -> tf.Tensor:
    """The arm to pull next.

    Args:
      rule: a name in `bandit.RULES`.
      returns: [N, k, budget].
      key: [2], the same for all pulls; for the rule that draws.

    Returns:
      [N] integers; -1 when the budget is spent.
    """
    check_one_of("rule", rule, tuple(bandit.RULES))
    num_tasks, (num_arms, budget) = tf.shape(returns)[0], returns.shape[1:]
    if rule == "uniform_best_episode":
        order = tf.random.stateless_uniform([num_tasks, budget], key, 0, num_arms, tf.int32)
    elif rule == "round_robin_mean":
        order = tf.tile(tf.range(budget)[None] % num_arms, [num_tasks, 1])
    elif rule == "oracle":
        order = tf.tile(tf.repeat(tf.range(num_arms), budget)[None], [num_tasks, 1])
    elif rule == "upper_confidence_bound":
        order = _confidence_order(returns)
    else:
        order = _halving_order(returns)
    pulls = tf.reduce_sum(tf.cast(_pulled(returns), tf.int32), axis=[1, 2])
    most = order.shape[1]
    arm = tf.gather(order, tf.minimum(pulls, most - 1), axis=1, batch_dims=1)
    return tf.where(pulls < most, arm, -1)


def best_arm(rule: str, returns: tf.Tensor) -> tf.Tensor:
    """The arm to take: `returns` [N, k, budget] -> [N] integers."""
    check_one_of("rule", rule, tuple(bandit.RULES))
    score = _best(returns) if rule == "uniform_best_episode" else _mean(returns)
    return tf.argmax(score, axis=1, output_type=tf.int32)


def next_arm_or_fallback(rule: str, returns: tf.Tensor, key: tf.Tensor) -> tf.Tensor:
    """`next_arm` where the last arm is a fallback, pulled once and first: [N, k + 1, budget]."""
    arm = next_arm(rule, returns[:, :-1, :-1], key)
    return tf.where(_pulled(returns[:, -1, 0]), arm, returns.shape[1] - 1)


def best_arm_or_fallback(
    rule: str, returns: tf.Tensor, home_return: tf.Tensor, min_transfer: float
) -> tf.Tensor:
    """`bandit.choose_or_fall_back`: returns [N, k + 1, budget], home_return [k] -> [N] integers."""
    fallback, tried = returns[:, -1, 0], returns[:, :-1]
    arm = best_arm(rule, tried)
    mean = tf.gather(_mean(tried), arm, axis=1, batch_dims=1)
    gain_at_home = tf.maximum(tf.gather(home_return, arm) - fallback, 0)
    transfers = mean - fallback >= min_transfer * gain_at_home
    return tf.where(transfers, arm, returns.shape[1] - 1)


def _halving_order(returns: tf.Tensor) -> tf.Tensor:
    """Arms in the order of `bandit.successive_halving`, [N, budget]; right up to the next pull.

    Every round pulls each arm still in the race once more; those with the better means go on.
    """
    num_tasks, (num_arms, budget) = tf.shape(returns)[0], returns.shape[1:]
    arms, order, pulls = tf.tile(tf.range(num_arms)[None], [num_tasks, 1]), [], 0
    while pulls < budget:
        order.append(arms)
        pulls += arms.shape[1]
        score = tf.gather(_mean(returns[:, :, : len(order)]), arms, axis=1, batch_dims=1)
        going_on = min(arms.shape[1], max(2, (arms.shape[1] + 1) // 2))
        best = tf.argsort(score, direction="DESCENDING", stable=True)[:, :going_on]
        arms = tf.gather(arms, best, axis=1, batch_dims=1)
    return tf.concat(order, axis=1)[:, :budget]


def _confidence_order(returns: tf.Tensor) -> tf.Tensor:
    """Arms in the order of `bandit.upper_confidence_bound`, [N, budget]; right at the next pull."""
    num_tasks, (num_arms, budget) = tf.shape(returns)[0], returns.shape[1:]
    pulled = _pulled(returns)
    count = tf.reduce_sum(tf.cast(pulled, returns.dtype), axis=-1)
    time = tf.reduce_sum(count, axis=1, keepdims=True)
    infinity = returns.dtype.max
    highest = tf.reduce_max(_best(returns), axis=1, keepdims=True)
    lowest = tf.reduce_min(tf.where(pulled, returns, infinity), axis=[1, 2])[:, None]
    bonus = (highest - lowest) * tf.sqrt(2 * tf.math.log(time) / count)
    arm = tf.argmax(_mean(returns) + bonus, axis=1, output_type=tf.int32)[:, None]
    first = tf.tile(tf.range(budget)[None], [num_tasks, 1])
    return tf.where(first < num_arms, first, arm)


def _pulled(returns: tf.Tensor) -> tf.Tensor:
    return ~tf.math.is_nan(returns)


def _mean(returns: tf.Tensor) -> tf.Tensor:
    """Mean return of each arm, -inf of one that was never pulled: [N, k, pulls] -> [N, k]."""
    pulled = _pulled(returns)
    count = tf.reduce_sum(tf.cast(pulled, returns.dtype), axis=-1)
    total = tf.reduce_sum(tf.where(pulled, returns, 0), axis=-1)
    return tf.where(count > 0, total / tf.maximum(count, 1), -float("inf"))


def _best(returns: tf.Tensor) -> tf.Tensor:
    """Best return of each arm, -inf of one that was never pulled: [N, k, pulls] -> [N, k]."""
    return tf.reduce_max(tf.where(_pulled(returns), returns, -float("inf")), axis=-1)
