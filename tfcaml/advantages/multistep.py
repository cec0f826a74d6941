"""Returns of several steps that bootstrap from values: n-step, lambda-returns and V-trace.

Time is the last axis of every tensor, and axes before it are free. `discount` and `lambda_` of a
step are those of the state it leads to, its *arrival*: a discount of 0 says that nothing follows.
Each may be a number, or a tensor that broadcasts to the rewards. All is differentiable in them, to
any order; what is not to be differentiated, such as values in a target, the caller stops.

The recursions g_t = x_t + c_t g_(t+1) are associative scans, so that long rows of steps take few
operations, each of them row by row.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from tfcaml.errors import check, check_whole


def n_step_returns(
    reward: tf.Tensor, discount: float | tf.Tensor, value_next: tf.Tensor, num_steps: int
) -> tf.Tensor:
    """n rewards and what follows by the values, with n at most the number of steps left:

        g_t = r_t + gamma_t r_(t+1) + ... + (gamma_t ... gamma_(t+n-1)) v_(t+n)

    R. S. Sutton, A. G. Barto, "Reinforcement learning: an introduction", 2nd edition, section 7.1.

    Args:
      reward: [..., T].
      discount: gamma of each step's arrival, in [0, 1]; broadcasts to `reward`.
      value_next: [..., T], values of what steps lead to.
      num_steps: n, at least 1; from T on no return bootstraps before the last step.

    Returns:
      [..., T].

    Raises:
      ConfigError: `num_steps` is not an integer from 1 on, or other shapes.
    """
    check_whole("num_steps", num_steps, 1)
    reward, discount, value_next = _alike(reward, discount, value_next)
    if num_steps >= reward.shape[-1]:
        return lambda_returns(reward, discount, value_next, 1.0)
    result = value_next
    for step in range(num_steps):
        following = tf.concat([result[..., 1:], value_next[..., -1:]], axis=-1)
        result = reward + discount * (following if step else value_next)
    return result


def lambda_returns(
    reward: tf.Tensor,
    discount: float | tf.Tensor,
    value_next: tf.Tensor,
    lambda_: float | tf.Tensor,
) -> tf.Tensor:
    """g_t = r_t + gamma_t ((1 - lambda_t) v_(t+1) + lambda_t g_(t+1)).

    The last step bootstraps fully, as if its lambda were 0.
    Z. Xu, H. van Hasselt, D. Silver, "Meta-gradient reinforcement learning", NeurIPS 2018, section
    1.1, with a gamma and a lambda for each arrival as in R. S. Sutton, "TD models", ICML 1995.

    Args:
      reward: [..., T].
      discount: gamma of each step's arrival, in [0, 1]; broadcasts to `reward`.
      value_next: [..., T], values of what steps lead to.
      lambda_: lambda of each step's arrival, in [0, 1]; broadcasts to `reward`. That of the last
        step is not used.

    Returns:
      [..., T].

    Raises:
      ConfigError: other shapes.
    """
    reward, discount, value_next, lambda_ = _alike(reward, discount, value_next, lambda_)
    goes_on = lambda_ * _all_but_last(reward)
    return _backwards(reward + discount * (1 - goes_on) * value_next, discount * goes_on)


def vtrace(
    log_ratio: tf.Tensor,
    discount: float | tf.Tensor,
    reward: tf.Tensor,
    value: tf.Tensor,
    bootstrap_value: tf.Tensor,
    clip_rho: float | None = 1.0,
    clip_c: float | None = 1.0,
    lambda_: float | tf.Tensor = 1.0,
) -> tuple[tf.Tensor, tf.Tensor]:
    """V-trace targets of values, and advantages of actions, from what another policy played.

    L. Espeholt et al., "IMPALA: scalable distributed deep-RL with importance weighted actor-learner
    architectures", ICML 2018, section 4.1 and remark 2. With pi / mu the ratio of probabilities,

        rho_t = min(clip_rho, pi / mu)         c_t = lambda_t min(clip_c, pi / mu)
        v_t + sum over u >= t of (gamma_t c_t ... gamma_(u-1) c_(u-1)) rho_u
            (r_u + gamma_u V_(u+1) - V_u)                                       targets, equation 1
        rho_t (r_t + gamma_t ((1 - lambda_t) V_(t+1) + lambda_t v_(t+1)) - V_t)          advantages

    where v_(t+1) is the target. Where pi = mu the targets are the `lambda_returns`, and with a
    lambda of 1 those of n steps.

    Args:
      log_ratio: [..., T], log pi - log mu of the actions played.
      discount: gamma of each step's arrival, in [0, 1]; broadcasts to `reward`.
      reward: [..., T].
      value: [..., T], V of the states that were left.
      bootstrap_value: [...], V of what the last step leads to.
      clip_rho: the most that a step's ratio counts; None: no bound.
      clip_c: the most that it counts in what follows; None: no bound.
      lambda_: lambda of each step's arrival, in [0, 1]; broadcasts to `reward`. That of the last
        step is not used.

    Returns:
      (targets [..., T], advantages [..., T]).

    Raises:
      ConfigError: other shapes, or a bound that is not positive.
    """
    for name, bound in (("clip_rho", clip_rho), ("clip_c", clip_c)):
        check(bound is None or bound > 0, name, bound, "> 0, or None for no bound")
    following = tf.concat([value[..., 1:], bootstrap_value[..., None]], axis=-1)
    reward, discount, value, following, lambda_, log_ratio = _alike(
        reward, discount, value, following, lambda_, log_ratio
    )
    log_bound = lambda bound: np.inf if bound is None else np.log(bound)
    clipped = lambda bound: tf.exp(tf.minimum(log_ratio, log_bound(bound)))
    rho, trace = clipped(clip_rho), clipped(clip_c)
    goes_on = lambda_ * _all_but_last(reward)
    error = rho * (reward + discount * following - value)
    excess = _backwards(error, discount * goes_on * trace)  # of targets over values
    ahead = tf.concat([excess[..., 1:], tf.zeros_like(excess[..., :1])], axis=-1)
    advantage = rho * (reward + discount * (following + goes_on * ahead) - value)
    return value + excess, advantage


def _alike(first: tf.Tensor, *others: float | tf.Tensor) -> list[tf.Tensor]:
    """Tensors of the first one's shape and dtype, numbers broadcast."""
    first = tf.convert_to_tensor(first)
    found = [first]
    for other in others:
        shape = getattr(other, "shape", ())
        fits = _broadcast(first.shape, shape) == tuple(first.shape)
        rule = f"one that broadcasts to that of the first argument, {first.shape}"
        check(fits, "shape of an argument", list(shape), rule)
        # Not `tf.cast` of a number, which would become one of 32 bits on the way.
        other = tf.cast(other, first.dtype) if tf.is_tensor(other) else np.asarray(other)
        found.append(tf.broadcast_to(tf.convert_to_tensor(other, first.dtype), first.shape))
    return found


def _broadcast(one: Sequence[int], other: Sequence[int]) -> tuple[int, ...] | None:
    """The shape that two broadcast to; None where they do not."""
    try:
        return np.broadcast_shapes(tuple(one), tuple(other))
    except ValueError:
        return None


def _all_but_last(like: tf.Tensor) -> tf.Tensor:
    """1 at all steps but the last, [T]."""
    return 1 - tf.one_hot(like.shape[-1] - 1, like.shape[-1], dtype=like.dtype)


def _backwards(x: tf.Tensor, c: tf.Tensor) -> tf.Tensor:
    """g_t = x_t + c_t g_(t+1), all [..., T]; c is 0 at the last step."""
    # Steps as maps g -> x + c g, composed from the last one on.
    after = lambda one, other: (one[0] * other[0], other[1] + other[0] * one[1])
    steps = tf.reverse(c, [-1]), tf.reverse(x, [-1])
    composed = tfp.math.scan_associative(after, steps, axis=-1)
    return tf.reverse(composed[1], [-1])
