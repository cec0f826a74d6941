"""CAML's bandit: which arm to pull next, and which to take after a few pulls; rules by name.

A table of returns [N, k, budget] says what each pull of each of the k arms brought in each of N
tasks, and holds nan where an arm was not pulled (so often). Nothing else is known to a rule, so
that no episode need be played that does not count. All is written in TensorFlow, for exports too.

Means are taken in 64 bits, in which the order of the returns does not matter to them: arms that did
equally well are equal, and the first of them is taken.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tensorflow as tf

from tfcaml import keys, nest
from tfcaml.errors import check_one_of


def play(
    next_arm: Callable[[tf.Tensor], tf.Tensor],
    pull: Callable[[tf.Tensor, tf.Tensor], tf.Tensor],
    num_tasks: int,
    num_arms: int,
    budget: int,
    num_pulls: int,
) -> tf.Tensor:
    """Pulls one arm of each task after the other.

    Args:
      next_arm: table [N, k, budget] -> the arms to pull, [N].
      pull: (arm [N], how often it was pulled before [N]) -> its returns, [N].
      num_tasks, num_arms, budget: N, k and the budget.
      num_pulls: of each task, see `num_pulls`.

    Returns:
      The table; a return that was nan, an error of the environment, is -inf in it.
    """

    def step(time: tf.Tensor, table: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        arm = next_arm(table)
        before = tf.gather(_num_pulled(table), arm, axis=1, batch_dims=1)
        returns = pull(arm, before)
        returns = tf.where(tf.math.is_nan(returns), -float("inf"), returns)
        place = tf.stack([tf.range(num_tasks), arm, before], axis=1)
        return time + 1, tf.tensor_scatter_nd_update(table, place, returns)

    table = tf.fill([num_tasks, num_arms, budget], float("nan"))
    _, table = tf.while_loop(
        lambda time, table: time < num_pulls,
        step,
        (0, table),
        maximum_iterations=num_pulls,
        parallel_iterations=1,
    )
    return table


def num_pulls(rule: str, num_arms: int, budget: int, falls_back: bool) -> int:
    """How many pulls a rule makes; the arguments are those of `next_arm` and the sizes."""
    check_one_of("rule", rule, tuple(RULES))
    if falls_back:
        return 1 + num_pulls(rule, num_arms - 1, budget - 1, False)
    return num_arms * budget if rule == "oracle" else budget


def next_arm(rule: str, returns: tf.Tensor, key: tf.Tensor, falls_back: bool) -> tf.Tensor:
    """The arm to pull next.

    Args:
      rule: a name in `RULES`.
      returns: [N, k, budget].
      key: [2], the same for all pulls; for the rule that draws.
      falls_back: whether the last arm is a fallback, pulled once and first, while the rule spends
        the rest of the budget on the others.

    Returns:
      [N] integers; -1 when the budget is spent.
    """
    check_one_of("rule", rule, tuple(RULES))
    if falls_back:
        arm = next_arm(rule, returns[:, :-1, :-1], key, False)
        return tf.where(_is_pulled(returns[:, -1, 0]), arm, returns.shape[1] - 1)
    order = RULES[rule](tf.cast(returns, tf.float64), key)
    pulls, most = tf.reduce_sum(_num_pulled(returns), axis=1), order.shape[1]
    arm = tf.gather(order, tf.minimum(pulls, most - 1), axis=1, batch_dims=1)
    return tf.where(pulls < most, arm, -1)


def best_arm(rule: str, returns: tf.Tensor) -> tf.Tensor:
    """The arm to take: returns [N, k, budget] -> [N] integers."""
    check_one_of("rule", rule, tuple(RULES))
    score = _best if rule == "uniform_best_episode" else _mean
    return tf.argmax(score(tf.cast(returns, tf.float64)), axis=1, output_type=tf.int32)


def best_arm_or_fallback(
    rule: str, returns: tf.Tensor, home_return: tf.Tensor, min_transfer: float
) -> tf.Tensor:
    """The arm to take if it also does here most of what it does at home, or else the last arm.

    The best of the others is taken if its mean exceeds the fallback's return by at least
    `min_transfer` of how far its home return does.

    Args:
      rule: a name in `RULES`.
      returns: [N, k + 1, budget]; the last arm is the fallback.
      home_return: [k], of the other arms where they come from.
      min_transfer: a share, 0 or more.

    Returns:
      [N] integers.
    """
    returns, home_return = tf.cast(returns, tf.float64), tf.cast(home_return, tf.float64)
    fallback, tried = returns[:, -1, 0], returns[:, :-1]
    arm = best_arm(rule, tried)
    mean = tf.gather(_mean(tried), arm, axis=1, batch_dims=1)
    gain_at_home = tf.maximum(tf.gather(home_return, arm) - fallback, 0)
    transfers = mean - fallback >= min_transfer * gain_at_home
    return tf.where(transfers, arm, returns.shape[1] - 1)


# The rules: (returns [N, k, budget] in 64 bits, key [2]) -> the arms in the order in which they are
# pulled, [N, pulls], which need be right up to the next pull only.


def uniform_best_episode(returns: tf.Tensor, key: tf.Tensor) -> tf.Tensor:
    """Arms drawn uniformly; the arm of the best single episode (CAML paper, Algorithm 2)."""
    num_tasks, num_arms, budget = _sizes(returns)
    drawn = keys.uniform(keys.per_task(key, num_tasks), [budget])
    return tf.cast(num_arms * drawn, tf.int32)


def round_robin_mean(returns: tf.Tensor, key: tf.Tensor) -> tf.Tensor:
    """Arms in turn; the arm of the best mean."""
    num_tasks, num_arms, budget = _sizes(returns)
    return nest.repeat(tf.range(budget) % num_arms, num_tasks)


def successive_halving(returns: tf.Tensor, key: tf.Tensor) -> tf.Tensor:
    """One pull each, then only the better half, and so on to the last two; the best mean.

    After Karnin, Koren & Somekh (2013), with pulls carried over between rounds. Those with the
    better means are pulled first.
    """
    num_tasks, num_arms, budget = _sizes(returns)
    arms = nest.repeat(tf.range(num_arms), num_tasks)
    order, pulls = [arms], num_arms
    while pulls < budget:
        score = tf.gather(_mean(returns[:, :, : len(order)]), arms, axis=1, batch_dims=1)
        going_on = min(arms.shape[1], max(2, (arms.shape[1] + 1) // 2))
        best = tf.argsort(score, direction="DESCENDING", stable=True)[:, :going_on]
        arms = tf.gather(arms, best, axis=1, batch_dims=1)
        order.append(arms)
        pulls += going_on
    return tf.concat(order, axis=1)[:, :budget]


def upper_confidence_bound(returns: tf.Tensor, key: tf.Tensor) -> tf.Tensor:
    """UCB1 (Auer, Cesa-Bianchi & Fischer 2002), returns scaled by the range seen; the best mean."""
    num_arms, budget = returns.shape[1:]
    pulls = tf.cast(_num_pulled(returns), returns.dtype)
    time = tf.reduce_sum(pulls, axis=1, keepdims=True)
    highest = tf.reduce_max(_best(returns), axis=1, keepdims=True)
    lowest = -tf.reduce_max(_best(-returns), axis=1, keepdims=True)
    bonus = (highest - lowest) * tf.sqrt(2 * tf.math.log(time) / pulls)
    arm = tf.argmax(_mean(returns) + bonus, axis=1, output_type=tf.int32)
    first = tf.range(budget)  # each arm once
    return tf.where(first < num_arms, first, arm[:, None])


def oracle(returns: tf.Tensor, key: tf.Tensor) -> tf.Tensor:
    """Every arm `budget` times, and the best mean: what choosing would gain with more trials."""
    num_tasks, num_arms, budget = _sizes(returns)
    return nest.repeat(tf.repeat(tf.range(num_arms), budget), num_tasks)


# How trials are spent on medoids and one is chosen, by name.
RULES = {
    "uniform_best_episode": uniform_best_episode,
    "round_robin_mean": round_robin_mean,
    "successive_halving": successive_halving,
    "upper_confidence_bound": upper_confidence_bound,
    "oracle": oracle,
}


def _sizes(returns: tf.Tensor) -> tuple[Any, int, int]:
    """N, which may be a tensor, k and the budget."""
    return nest.num_rows(returns), *returns.shape[1:]


def _is_pulled(returns: tf.Tensor) -> tf.Tensor:
    return ~tf.math.is_nan(returns)


def _num_pulled(returns: tf.Tensor) -> tf.Tensor:
    """How often each arm was pulled: [N, k, pulls] -> [N, k] integers."""
    return tf.reduce_sum(tf.cast(_is_pulled(returns), tf.int32), axis=-1)


def _mean(returns: tf.Tensor) -> tf.Tensor:
    """Mean return of each arm, -inf of one that was never pulled: [N, k, pulls] -> [N, k]."""
    pulls = tf.cast(_num_pulled(returns), returns.dtype)
    total = tf.reduce_sum(tf.where(_is_pulled(returns), returns, 0), axis=-1)
    return tf.where(pulls > 0, total / tf.maximum(pulls, 1), -float("inf"))


def _best(returns: tf.Tensor) -> tf.Tensor:
    """Best return of each arm, -inf of one that was never pulled: [N, k, pulls] -> [N, k]."""
    return tf.reduce_max(tf.where(_is_pulled(returns), returns, -float("inf")), axis=-1)
