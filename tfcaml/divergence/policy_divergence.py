"""Algorithm 1 of the CAML paper: the divergence between every pair of policies.

Policy i is represented by its state-marginal occupancy rho_i(s, a) = pi_i(a | s) q_i(s), where q_i
is a kernel density estimate of the states it visited. Over states s_1 ... s_M drawn from the
mixture q of all q_i,

    D_ij = 1/M sum_m w(s_m) sum_a [rho_i ln(2 rho_i / (rho_i + rho_j)) + rho_j ln(2 rho_j / (...))]

which is the paper's Eq. 2. With w = 1/q (`inverse_density`, the default) D is an unbiased estimate
of the integral, at most 2 ln 2 but for sampling noise; the paper's w = q (`density`) counts the
density twice, and w = 1 (`uniform`) lies between. What decides whether the groups of entities can
be seen in D is the bandwidth of the kernels: wide enough to make q_i nearly constant over the
states in question (0.5 where start and goal are 1 apart), not the data-driven rules.

Differences from the paper: continuous actions, which it does not treat, are drawn from the mixture
of the policies and weighted like states.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import tensorflow as tf

from tfcaml import keys, nest
from tfcaml.divergence.density import KernelDensity, kernel_covariance, log_mask
from tfcaml.divergence.jensen_shannon import FORMS, hellinger_matrix, jensen_shannon_matrix
from tfcaml.errors import (
    ConfigError,
    NotFiniteError,
    check,
    check_one_of,
    check_whole,
    checked_call,
)
from tfcaml.policies.base import check_weights
from tfcaml.types import Nest, Params, Trajectory, check_trajectory

if TYPE_CHECKING:
    from tfcaml.policies.base import Policy

# What the sampled states are weighted by; the density is that of all policies together.
WEIGHTS = ("inverse_density", "uniform", "density")
# What of two policies is compared: how often they are in a state and act, are there, or act.
OCCUPANCIES = ("state_action", "state", "action")
_LARGE = 200  # policies
_XLA_IS_FASTER = tuple(map(int, tf.__version__.split(".")[:2])) >= (2, 19)  # on CPUs
_CHUNK_ELEMENTS = 16_000_000  # floats of the largest intermediate tensor of a chunk


class Occupancy(NamedTuple):
    """Occupancies of N policies at M common places, with A actions at each.

    log_occupancy: [N, M, A], log rho_i(s, a)
    log_weight:    [M, A], log of w / M (with continuous actions A = 1 and w covers the action)
    """

    log_occupancy: tf.Tensor
    log_weight: tf.Tensor


@checked_call
def policy_divergence_matrix(
    policy: Policy,
    params: Params,
    trajectories: Trajectory,
    *,
    bandwidth: float | str | np.ndarray = 0.5,
    weight: str = "inverse_density",
    form: str = "jensen_shannon",
    num_states: int = 500,
    seed: int = 0,
    occupancy: str = "state_action",
    time_indexed: bool = False,
    max_points: int = 300,
) -> tf.Tensor:
    """Divergence between every pair of N policies.

    Args:
      policy: a `Policy`.
      params: the policies' weights, each [N, ...].
      trajectories: `Trajectory` with leading [N]: what each policy visited.
      bandwidth: of the kernels, in units of the observations (see `KernelDensity`).
      weight: of the sampled states: "inverse_density", "uniform" or "density" (the paper's).
      form: "jensen_shannon" (Eq. 2), "normalized_jensen_shannon" (the textbook form of occupancies
        normalised over the sample, at most ln 2) or "hellinger" (squared; by matrix products).
      num_states: M, states drawn from the mixture.
      seed: Python int, for the states.
      occupancy: "state_action" (rho), "state" (q alone) or "action" (pi alone), as controls.
      time_indexed: add t / T to the states of the density, so that it tells when a policy is where.
      max_points: at most this many visited states per policy carry kernels.

    Returns:
      [N, N] tensor: symmetric, >= 0, 0 on the diagonal.

    Raises:
      ConfigError: an unknown name, a number out of range, a policy without a valid step, or values
        that are not finite.
    """
    check_one_of("form", form, FORMS)
    check_one_of("weight", weight, WEIGHTS)
    check_one_of("occupancy", occupancy, OCCUPANCIES)
    num_states = check_whole("num_states", num_states, 1)
    max_points = check_whole("max_points", max_points, 1)
    check(isinstance(time_indexed, bool), "time_indexed", time_indexed, "True or False")
    check_weights("params", policy, params)
    check_trajectory("trajectories", trajectories)
    if nest.leading(params) != trajectories.mask.shape[0]:
        raise ConfigError(
            f"expected as many policies as trajectories; received {nest.leading(params)} and "
            f"{trajectories.mask.shape[0]}"
        )
    num_steps = tf.reduce_sum(trajectories.mask, axis=[1, 2]).numpy()
    check((num_steps > 0).all(), "valid steps", num_steps.tolist(), ">= 1 of every policy")
    _check_bandwidth(bandwidth)
    # Hashable, for the cache.
    known = bandwidth if isinstance(bandwidth, str) else tuple(np.ravel(bandwidth).tolist())
    compiled = _compiled(
        policy, known, weight, form, num_states, occupancy, time_indexed, max_points
    )
    matrix = compiled(params, trajectories, keys.from_int(seed))
    if not np.isfinite(matrix).all():
        raise NotFiniteError(
            "policy divergence is not finite: check params and observations for NaN"
        )
    return matrix


def _check_bandwidth(bandwidth: Any) -> None:
    """One number, a square of them, or a text."""
    try:
        array = np.asarray(bandwidth)
    except (TypeError, ValueError):  # ragged
        array = np.empty(0, object)
    square = array.ndim in (0, 2) and len(set(array.shape)) <= 1 and array.size > 0
    fits = array.dtype.kind in "iuf" and square
    rule = "a number, a covariance, or the name of a rule"
    check(isinstance(bandwidth, str) or fits, "bandwidth", bandwidth, rule)


@functools.lru_cache(maxsize=32)
def _compiled(
    policy: Policy,
    bandwidth: str | tuple[float, ...],
    weight: str,
    form: str,
    num_states: int,
    occupancy: str,
    time_indexed: bool,
    max_points: int,
) -> Callable[..., Any]:
    """The whole matrix as one graph per set of options; weights come in as arguments."""
    rule: float | str | np.ndarray
    if isinstance(bandwidth, str):
        rule = bandwidth
    else:
        side = math.isqrt(len(bandwidth))
        rule = bandwidth[0] if side == 1 else np.reshape(bandwidth, [side, side])

    def matrix(params: Params, trajectories: Trajectory, key: tf.Tensor) -> tf.Tensor:
        places = occupancies(
            policy,
            params,
            trajectories,
            bandwidth=rule,
            weight=weight,
            num_states=num_states,
            key=key,
            occupancy=occupancy,
            time_indexed=time_indexed,
            max_points=max_points,
        )
        return pairwise(places, form)

    return tf.function(matrix, autograph=False)


def occupancies(
    policy: Policy,
    params: Params,
    trajectories: Trajectory,
    *,
    bandwidth: float | str | np.ndarray,
    weight: str,
    num_states: int,
    key: tf.Tensor,
    occupancy: str = "state_action",
    time_indexed: bool = False,
    max_points: int = 300,
) -> Occupancy:
    """The `Occupancy` of N policies at common places.

    Arguments as `policy_divergence_matrix`, but for `key` in the place of `seed`: [2].
    """
    points, mask, covariance, states = sampled_states(
        trajectories, bandwidth, num_states, key, time_indexed, max_points
    )
    observations = _observations(states, trajectories, time_indexed)
    log_q = _in_chunks(
        lambda rows: KernelDensity(
            tf.gather(points, rows), tf.gather(covariance, rows), tf.gather(mask, rows)
        ).log_prob_at(states[None]),
        points.shape[0],
        num_states * points.shape[1],
    )
    log_pi, log_action_mixture = _action_log_probs(
        policy, params, observations, keys.fold(key, keys.OCCUPANCY, 2)
    )
    log_state_mixture = _log_mean_exp(log_q)[:, None]
    log_mixture = log_state_mixture + log_action_mixture
    log_weight = {"inverse_density": -1.0, "uniform": 0.0, "density": 1.0}[weight] * log_mixture
    if policy.num_actions is None:
        # The sampled action already stands for an integral over actions: divide by its density.
        log_weight = log_weight - (0.0 if weight == "inverse_density" else log_action_mixture)
    log_weight = log_weight - tf.math.log(tf.cast(num_states, log_q.dtype))
    # The controls are occupancies too: of policies that differ in one of the two factors only.
    log_any_action = (
        -tf.math.log(float(policy.num_actions)) if policy.num_actions else log_action_mixture
    )
    log_rho = {
        "state_action": log_q[..., None] + log_pi,
        "state": log_q[..., None] + tf.broadcast_to(log_any_action, log_pi.shape),
        "action": log_state_mixture + log_pi,
    }[occupancy]
    return Occupancy(log_rho, tf.broadcast_to(log_weight, log_rho.shape[1:]))


def sampled_states(
    trajectories: Trajectory,
    bandwidth: float | str | np.ndarray,
    num_states: int,
    key: tf.Tensor,
    time_indexed: bool = False,
    max_points: int = 300,
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor]:
    """The states at which occupancies are compared, and the densities they are drawn from.

    Returns:
      (points [N, n, d], mask [N, n], the kernels' covariance [N, d, d], states [M, d]).
    """
    key = keys.fold(key, keys.OCCUPANCY)
    points, mask = visited_states(trajectories, time_indexed, max_points, keys.fold(key, 0))
    covariance = kernel_covariance(points, bandwidth, mask)
    states = _sample_mixture(points, mask, covariance, num_states, keys.fold(key, 1))
    return points, mask, covariance, states


def visited_states(
    trajectories: Trajectory, time_indexed: bool, max_points: int, key: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    """The states before each action of living steps, at most `max_points` per policy.

    Returns:
      (points [N, n, d], mask [N, n]).
    """
    states = nest.vectors(trajectories.observation, 3)
    size, episodes, steps = states.shape[:3]
    if time_indexed:
        time = tf.range(steps, dtype=states.dtype) / steps
        time = tf.broadcast_to(time[:, None], [size, episodes, steps, 1])
        states = tf.concat([states, time], axis=-1)
    states = tf.reshape(states, [size, episodes * steps, -1])
    mask = tf.reshape(trajectories.mask, [size, episodes * steps])
    if states.shape[1] > max_points:
        # Living steps first, in an order that is random but the same for all policies.
        order = tf.random.stateless_uniform([1, states.shape[1]], key)
        chosen = tf.math.top_k(mask + order, max_points).indices
        states = tf.gather(states, chosen, batch_dims=1)
        mask = tf.gather(mask, chosen, batch_dims=1)
    return states, mask


def _sample_mixture(
    points: tf.Tensor, mask: tf.Tensor, covariance: tf.Tensor, num_states: int, key: tf.Tensor
) -> tf.Tensor:
    """[M, d] states from the mixture of all densities: policy, one of its states, kernel noise."""
    size, _, dimension = points.shape
    which = tf.random.stateless_uniform([num_states], keys.fold(key, 0), 0, size, tf.int32)
    index = tf.random.stateless_categorical(tf.gather(log_mask(mask), which), 1, keys.fold(key, 1))
    chosen = tf.gather(tf.gather(points, which), index, batch_dims=1)[:, 0]
    scale = tf.linalg.cholesky(tf.gather(covariance, which))
    noise = tf.random.stateless_normal([num_states, dimension], keys.fold(key, 2))
    return chosen + tf.linalg.matvec(scale, tf.cast(noise, chosen.dtype))


def _observations(states: tf.Tensor, trajectories: Trajectory, time_indexed: bool) -> Nest:
    """States of the density as observations for the policies: [M, d] -> nest of [M, ...]."""
    if time_indexed:
        states = states[:, :-1]
    return nest.unvectors(states, trajectories.observation, 3)


def _action_log_probs(
    policy: Policy, params: Params, observations: Nest, key: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    """log pi_i(a | s) at all actions, or at one action per state drawn from the policies' mixture.

    Returns:
      ([N, M, A], log of the mixture density of the drawn actions [M, 1], 0 for discrete actions).
    """
    size, num_states = nest.leading(params), nest.leading(observations)
    everywhere = lambda n: nest.map(lambda x: tf.repeat(x[None], n, axis=0), observations)
    if policy.num_actions:
        log_pi = _in_chunks(
            lambda rows: tf.nn.log_softmax(
                policy(nest.take(params, rows), everywhere(rows.shape[0])).logits_parameter()
            ),
            size,
            num_states * 256,
        )
        return log_pi, tf.zeros([1, 1], log_pi.dtype)
    own_key = tf.stack([keys.fold(key, 0)])[None]
    noise = policy.noise(own_key, num_states)[0]  # [1, M, A]
    which = tf.random.stateless_uniform([num_states], keys.fold(key, 1), 0, size, tf.int32)
    distribution = policy(nest.take(params, which), nest.map(lambda x: x[:, None], observations))
    action = policy.sample(distribution, tf.transpose(noise, [1, 0, 2]))[:, 0]
    log_pi = _in_chunks(
        lambda rows: policy(nest.take(params, rows), everywhere(rows.shape[0])).log_prob(
            tf.repeat(action[None], rows.shape[0], axis=0)
        ),
        size,
        num_states * 256,
    )[..., None]
    return log_pi, _log_mean_exp(log_pi)


def pairwise(places: Occupancy, form: str) -> tf.Tensor:
    """[N, N] divergences of an `Occupancy` in one of `FORMS`, of its dtype."""
    dtype = places.log_occupancy.dtype
    # In float64, so that no sum of logarithms hides a small difference of policies.
    log_occupancy, log_weight = (tf.cast(x, tf.float64) for x in places)
    weighted = log_occupancy + log_weight
    weighted = tf.reshape(weighted, [weighted.shape[0], -1])
    if form == "hellinger":
        return tf.cast(hellinger_matrix(weighted), dtype)
    if form == "normalized_jensen_shannon":
        weighted -= tf.reduce_logsumexp(weighted, axis=1, keepdims=True)
        return 0.5 * _jensen_shannon_matrix(weighted, dtype)
    return _jensen_shannon_matrix(weighted, dtype)


def _jensen_shannon_matrix(log_density: tf.Tensor, dtype: tf.DType) -> tf.Tensor:
    matrix = functools.partial(jensen_shannon_matrix, dtype=dtype)
    # XLA fuses the terms of a pair: a third of the time, where that is worth compiling for.
    if log_density.shape[0] < _LARGE or not _XLA_IS_FASTER:
        return matrix(log_density)
    return tf.function(matrix, autograph=False, jit_compile=True)(log_density)


def _in_chunks(
    function: Callable[[tf.Tensor], tf.Tensor], size: int, elements_per_row: int
) -> tf.Tensor:
    """`function(rows)` over all rows, in chunks that keep the memory of 1,000 policies small."""
    chunk = max(1, min(size, _CHUNK_ELEMENTS // elements_per_row))
    parts = [function(tf.range(i, min(i + chunk, size))) for i in range(0, size, chunk)]
    return tf.concat(parts, axis=0)


def _log_mean_exp(x: tf.Tensor) -> tf.Tensor:
    return tf.reduce_logsumexp(x, axis=0) - tf.math.log(tf.cast(x.shape[0], x.dtype))
