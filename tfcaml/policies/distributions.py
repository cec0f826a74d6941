"""Action distributions: as tensors and back, and as functions of noise.

Tensors can be stored, differentiated with respect to, and passed through a loop; distributions
can't.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp
from tf_agents.distributions import utils as distribution_utils
from tf_agents.specs import tensor_spec

from tfcaml.errors import ConfigError, check
from tfcaml.types import Nest

if TYPE_CHECKING:
    from tensorflow_probability import distributions as tfd

# Distributions of actions that a policy may have, by the names of their classes.
CONTINUOUS = ("Normal", "MultivariateNormalDiag")
# Those that have one of them inside.
WRAPPED = ("Independent", "TransformedDistribution", "SquashToSpecNormal")


def tensors(distribution: tfd.Distribution) -> Nest:
    """The tensors a distribution was made of, as a nest of [N, B, ...]."""
    parameters = distribution_utils.get_parameters(distribution)
    return _tensors(distribution_utils.parameters_to_dict(parameters))


def rebuild(like: tfd.Distribution, values: Nest) -> tfd.Distribution:
    """A distribution of the kind of `like` made of `values`, a nest as `tensors` gives."""
    parameters = distribution_utils.get_parameters(like)
    merged = distribution_utils.merge_to_parameters_from_dict(parameters, values)
    return distribution_utils.make_from_parameters(merged)


def batched_tensors(distribution: tfd.Distribution, batch_size: int | tf.Tensor) -> Nest:
    """`tensors` of a distribution of batch shape [B], each with the axis B.

    A network may give tensors without it, such as a constant scale. In the distributions that
    `check_supported` lets pass all tensors broadcast against each other.
    """
    values = tensors(distribution)
    rank = max(x.shape.rank for x in tf.nest.flatten(values))

    def batched(x: tf.Tensor) -> tf.Tensor:
        if x.shape.rank == rank and x.shape[0] != 1:
            return x
        ones = [1] * (rank - 1 - x.shape.rank)
        inner = x.shape[1:] if x.shape.rank == rank else [*ones, *x.shape]
        return tf.broadcast_to(x, [batch_size, *inner])

    return tf.nest.map_structure(batched, values)


def check_supported(
    distribution: tfd.Distribution,
    action_spec: tensor_spec.BoundedTensorSpec,
    num_actions: int | None,
) -> None:
    """Refuses what actions can't be sampled from or scored by.

    Args:
      distribution: what a network gave for one observation, batch shape [1].
      action_spec: `BoundedTensorSpec`.
      num_actions: how many actions there are, or None when actions are continuous.

    Raises:
      ConfigError: not a distribution, one of an unknown kind, of another shape than actions, or
        one that is scaled to bounds whose difference is infinite.
    """
    kinds = _kinds(distribution)
    if num_actions:
        known, expected = kinds == ("Categorical",), "a Categorical"
    else:
        known = kinds[-1] in CONTINUOUS and all(kind in WRAPPED for kind in kinds[:-1])
        expected = f"a {' or '.join(CONTINUOUS)}, plain or in {', '.join(WRAPPED)}"
    expected += " (`NetworkPolicy.from_keras` takes models that give logits or means)"
    check(known, "output of the network", " of ".join(kinds), expected)
    shape = distribution.log_prob(tf.zeros([1, *action_spec.shape], action_spec.dtype)).shape
    if shape != [1]:
        raise ConfigError(
            f"expected one log-probability per action; received {tuple(shape[1:])} of them for "
            f"action_spec={one_line(action_spec)} from a {' of '.join(kinds)} (put it in a "
            "tfd.Independent?)"
        )
    actions = distribution.logits_parameter().shape[-1] if num_actions else None
    check(actions == num_actions, "number of logits", actions, f"{num_actions}, one per action")
    if not num_actions:
        _check_scale(distribution, action_spec)


def sample_discrete(distribution: tfd.Distribution, noise: tf.Tensor, dtype: tf.DType) -> tf.Tensor:
    """Inverts the cumulative distribution at U(0, 1) `noise` [N, B, 1]: actions [N, B]."""
    # The last entry, 1 but for rounding, is left out.
    cumulative = tf.cumsum(distribution.probs_parameter(), axis=-1)[..., :-1]
    return tf.reduce_sum(tf.cast(noise >= cumulative, dtype), axis=-1)


def sample_continuous(distribution: tfd.Distribution, noise: tf.Tensor) -> tf.Tensor:
    """What becomes of N(0, 1) `noise` [N, B, A] in a Gaussian and what it is wrapped in."""
    kind = _kind(distribution)
    if kind == "SquashToSpecNormal":
        squashed = tf.tanh(sample_continuous(distribution.input_distribution, noise))
        return distribution.action_means + distribution.action_magnitudes * squashed
    if kind == "TransformedDistribution":
        action = distribution.bijector.forward(sample_continuous(distribution.distribution, noise))
        # A copy: the bijector remembers the inverse of `action` itself, which later readers of the
        # trajectory can't know, and their log-probabilities are to be the same.
        return tf.identity(action)
    if kind == "Independent":
        return sample_continuous(distribution.distribution, noise)
    return distribution.mean() + distribution.stddev() * noise


def bijector(distribution: tfd.Distribution) -> tfp.bijectors.Bijector | None:
    """All that is between the Gaussian and the action as one `tfb.Bijector`, or None."""
    kind = _kind(distribution)
    if kind == "SquashToSpecNormal":
        return distribution._squashed_distribution.bijector
    if kind == "Independent":
        return bijector(distribution.distribution)
    if kind != "TransformedDistribution":
        return None
    inner = bijector(distribution.distribution)
    outer = distribution.bijector
    return outer if inner is None else tfp.bijectors.Chain([outer, inner])


def scorable(action: tf.Tensor, bijector: tfp.bijectors.Bijector) -> tf.Tensor:
    """Actions, those that rounding put where the density is not finite moved off that place.

    Rounding carries the hyperbolic tangent of 10 to 1, the exponential of -200 to 0 and that of 200
    to infinity, which have no finite inverse. A component of an action that is at such an end, or
    that two more roundings of its own would carry there, moves towards the bijector's value at 0:
    by four roundings of its own if that gives it an inverse, otherwise by four roundings of the
    bijector's scale. All other components stay as they are, so that small actions near a bound of 0
    are kept however far away the other bound is.

    Args:
      action: [N, B, A], or [N, B] of scalar actions. NaN stays NaN.
      bijector: `tfb.Bijector` of what the actions were made.

    Returns:
      As `action`.
    """
    number = np.finfo(action.dtype.as_numpy_dtype)
    eps, tiny, most = (tf.constant(x, action.dtype) for x in (number.eps, number.tiny, number.max))
    lower, centre, upper = (bijector.forward(x + tf.zeros_like(action)) for x in (-most, 0, most))
    drawn = tf.clip_by_value(action, -most, most)
    size, scale, inwards = tf.abs(drawn), tf.abs(centre), tf.sign(centre - drawn)
    # Compilers round differently, and some take numbers below `tiny` for 0: what has an inverse
    # here must have one elsewhere.
    stays = _is_finite(*_inverse(bijector, drawn - inwards * 2 * eps * size))
    stays &= (drawn != lower) & (drawn != upper)
    near = 4 * eps * size + 16 * tiny * (1 + scale)
    far = 4 * eps * size + 4 * eps * scale
    quarter = _inverse(bijector, drawn + inwards * near / 4)
    is_enough = _is_finite(*quarter) & (quarter[0] != _inverse(bijector, drawn)[0])
    return tf.where(stays, drawn, drawn + inwards * tf.where(is_enough, near, far))


def _inverse(bijector: tfp.bijectors.Bijector, action: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """The inverse of each component and the logarithm of its derivative, both of its shape."""
    # A copy: the bijector knows the inverse of what it has made itself.
    action = tf.identity(action)
    coupled = bijector.inverse_min_event_ndims
    log_derivative = bijector.inverse_log_det_jacobian(action, event_ndims=coupled)
    return bijector.inverse(action), log_derivative[(..., *[None] * coupled)]


def _is_finite(x: tf.Tensor, y: tf.Tensor) -> tf.Tensor:
    return tf.math.is_finite(x) & tf.math.is_finite(y)


def _check_scale(
    distribution: tfd.Distribution, action_spec: tensor_spec.BoundedTensorSpec
) -> None:
    """Refuses a network that scales its actions to bounds it can't be scaled to."""
    if not isinstance(action_spec, tensor_spec.BoundedTensorSpec):
        return
    with np.errstate(over="ignore", invalid="ignore"):
        width = np.asarray(action_spec.maximum - action_spec.minimum)
    action = sample_continuous(distribution, tf.zeros([1, *action_spec.shape], action_spec.dtype))
    if not np.isfinite(width).all() and not np.isfinite(action).all():
        raise ConfigError(
            "expected bounds of a finite difference, as the network scales its actions to them; "
            f"received action_spec={one_line(action_spec)}"
        )


def one_line(spec: Nest) -> str:
    """A spec for an error message."""
    return " ".join(repr(spec).split())


def _tensors(parameters: dict[str, Any]) -> Nest:
    """The tensors of a nested dictionary; branches stay, if only as empty ones."""
    branch = lambda x: _tensors(x) if isinstance(x, dict) else x
    keep = lambda x: isinstance(x, dict) or tf.is_tensor(x)
    return {key: branch(value) for key, value in parameters.items() if keep(value)}


def _kind(distribution: tfd.Distribution) -> str:
    # By name: MultivariateNormalDiag is a subclass of TransformedDistribution; others have two
    # classes, one of them with an underscore.
    return type(distribution).__name__.lstrip("_")


def _kinds(distribution: tfd.Distribution) -> tuple[str, ...]:
    """Kinds from the outside in: a squashed Gaussian is (SquashToSpecNormal, Normal)."""
    kind = _kind(distribution)
    if kind == "SquashToSpecNormal":
        return kind, *_kinds(distribution.input_distribution)
    if kind in WRAPPED:
        return kind, *_kinds(distribution.distribution)
    return (kind,)
