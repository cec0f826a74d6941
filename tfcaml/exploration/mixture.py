"""Exploring where others succeeded: episodes by a policy and by a mixture of others, beside it.

The behaviour is (1 - kappa) pi + kappa (mean of the others), a mixture of whole episodes: each is
played by one of the policies from start to end, and its log-probabilities are those of the mixture,
given what came before,

    log beta(a_t | past) = log beta(a_1 .. a_t) - log beta(a_1 .. a_(t - 1))
    beta(a_1 .. a_t) = sum_c share_c prod_(u <= t) pi_c(a_u | s_u)

(the balance heuristic; E. Veach, L. Guibas, "Optimally combining sampling techniques for Monte
Carlo rendering", 1995). Rewards weighted by them, `losses.per_decision_weights`, are unbiased, and
weights at most 1 / (1 - kappa) for any horizon; a mixture drawn anew in every step has weights up
to 1 / (1 - kappa)^T. Unbiased also means that what only the others would ever do counts for next to
nothing, however good it is. Weights of a step alone, `losses.per_step_weights`, count that; they
have no bound but their clipping, as the past may tell that another policy plays.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

import tensorflow as tf

from tfcaml import losses, nest
from tfcaml.rollouts import sampling
from tfcaml.types import Params, Task, Trajectory

if TYPE_CHECKING:
    from tfcaml.environments.base import TaskFamily
    from tfcaml.policies.base import Policy


class Players(NamedTuple):
    """Who explores each of N tasks: C policies, the own one first.

    params: weights, each [N, C, ...]
    share:  [N, C], of the episodes; with sum 1
    """

    params: Params
    share: tf.Tensor


def shares(valid: tf.Tensor, kappa: tf.Tensor) -> tf.Tensor:
    """How often each policy plays: the own one first, then the others.

    Args:
      valid: [N, K] bool, which others there are.
      kappa: [N], in [0, 1): what the others have together; nothing where there are none.

    Returns:
      [N, K + 1], with sum 1.
    """
    each = tf.cast(valid, kappa.dtype)
    others = tf.math.divide_no_nan(each, tf.reduce_sum(each, axis=1, keepdims=True))
    others *= kappa[:, None]
    own = 1 - tf.reduce_sum(others, axis=1, keepdims=True)
    return tf.concat([own, others], axis=1)


def sample(
    policy: Policy,
    environment: TaskFamily,
    players: Players,
    task: Task,
    num_episodes: int,
    key: tf.Tensor,
    sampler: Callable[..., Trajectory] = sampling.sample,
) -> tuple[Trajectory, tf.Tensor]:
    """Episodes of several policies on each task.

    Which policy plays is not drawn but dealt out, so that each plays its share of the episodes, to
    the next whole number; the mixture is of the shares dealt.

    Args:
      policy: a `Policy`.
      environment: an `TaskFamily`.
      players: `Players`.
      task: nest, leading [N].
      num_episodes: E.
      key: [2].
      sampler: what plays episodes, like `rollouts.sampling.sample`.

    Returns:
      (`Trajectory` [N, E, T, ...], its `log_prob` that of the mixture; player [N, E] integers).
    """
    num_tasks, num_players = players.share.shape
    player = _dealt(players.share, num_episodes)
    acting = nest.map(lambda x: tf.gather(x, player, batch_dims=1), players.params)
    acting = nest.map(lambda x: tf.reshape(x, [-1, *x.shape[2:]]), acting)
    each_task = nest.map(lambda x: tf.repeat(x, num_episodes, axis=0), task)
    trajectory = sampler(policy, environment, acting, each_task, 1, key)
    gathered = lambda x: tf.reshape(x, [num_tasks, num_episodes, *x.shape[2:]])
    trajectory = nest.map(gathered, trajectory)
    dealt = tf.reduce_mean(tf.one_hot(player, num_players), axis=1)
    log_prob = mixture_log_prob(policy, players._replace(share=dealt), trajectory)
    return trajectory._replace(log_prob=log_prob), player


def mixture_log_prob(policy: Policy, players: Players, trajectory: Trajectory) -> tf.Tensor:
    """log beta(a_t | past) of a mixture of whole episodes, [N, E, T]; 0 on padded steps.

    No gradient leaves it.

    Args:
      policy: a `Policy`.
      players: `Players`; shares may be 0.
      trajectory: `Trajectory` [N, E, T, ...].
    """
    num_tasks, num = players.share.shape
    flat = nest.map(lambda x: tf.reshape(x, [-1, *x.shape[2:]]), players.params)
    repeated = nest.map(lambda x: tf.repeat(x, num, axis=0), trajectory)
    log_prob = losses.action_log_prob(policy, flat, repeated) * repeated.mask
    so_far = tf.reshape(tf.cumsum(log_prob, axis=-1), [num_tasks, num, *log_prob.shape[1:]])
    log_share = tf.math.log(players.share)[:, :, None, None]
    mixed = tf.reduce_logsumexp(so_far + log_share, axis=1)  # [N, E, T]
    before = tf.concat([tf.zeros_like(mixed[..., :1]), mixed[..., :-1]], axis=-1)
    return tf.stop_gradient((mixed - before) * trajectory.mask)


def _dealt(share: tf.Tensor, num_episodes: int) -> tf.Tensor:
    """Policies dealt out by their shares [N, C]: [N, E] integers, in order."""
    upper = tf.cumsum(share, axis=1)[:, :-1]
    place = (tf.range(num_episodes, dtype=share.dtype) + 0.5) / num_episodes
    return tf.reduce_sum(tf.cast(place[None, :, None] > upper[:, None], tf.int32), axis=-1)
