"""Action distributions: as tensors and back, and as functions of noise.

Tensors can be stored, differentiated with respect to, and passed through a loop; distributions
can't.
"""

import numpy as np
import tensorflow as tf
from tf_agents.distributions import utils as distribution_utils

from tfcaml.errors import ConfigError, check

CONTINUOUS = ("Normal", "MultivariateNormalDiag")
WRAPPED = ("Independent", "TransformedDistribution", "SquashToSpecNormal")


def tensors(distribution):
    """The tensors a distribution was made of, as a nest of [N, B, ...]."""
    parameters = distribution_utils.get_parameters(distribution)
    return _tensors(distribution_utils.parameters_to_dict(parameters))


def rebuild(like, values):
    """A distribution of the kind of `like` made of `values`, a nest as `tensors` gives."""
    parameters = distribution_utils.get_parameters(like)
    merged = distribution_utils.merge_to_parameters_from_dict(parameters, values)
    return distribution_utils.make_from_parameters(merged)


def batched_tensors(distribution, batch_size):
    """`tensors` of a distribution of batch shape [B], each with the axis B.

    A network may give tensors without it, such as a constant scale. In the distributions that
    `check_supported` lets pass all tensors broadcast against each other.
    """
    values = tensors(distribution)
    rank = max(x.shape.rank for x in tf.nest.flatten(values))

    def batched(x):
        if x.shape.rank == rank and x.shape[0] != 1:
            return x
        ones = [1] * (rank - 1 - x.shape.rank)
        inner = x.shape[1:] if x.shape.rank == rank else [*ones, *x.shape]
        return tf.broadcast_to(x, [batch_size, *inner])

    return tf.nest.map_structure(batched, values)


def check_supported(distribution, action_spec, num_actions):
    """Refuses what actions can't be sampled from or scored by.

    Args:
      distribution: what a network gave for one observation, batch shape [1].
      action_spec: `BoundedTensorSpec`.
      num_actions: how many actions there are, or None when actions are continuous.

    Raises:
      ConfigError: not a distribution, one of an unknown kind, or of another shape than actions.
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
            f"action_spec={action_spec} from a {' of '.join(kinds)} (put it in a tfd.Independent?)"
        )
    actions = distribution.logits_parameter().shape[-1] if num_actions else None
    check(actions == num_actions, "number of logits", actions, f"{num_actions}, one per action")


def sample_discrete(distribution, noise, dtype):
    """Inverts the cumulative distribution at U(0, 1) `noise` [N, B, 1]: actions [N, B]."""
    # The last entry, 1 but for rounding, is left out.
    cumulative = tf.cumsum(distribution.probs_parameter(), axis=-1)[..., :-1]
    return tf.reduce_sum(tf.cast(noise >= cumulative, dtype), axis=-1)


def sample_continuous(distribution, noise):
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
    return distribution.mean() + distribution.stddev() * noise


def inside(action, action_spec):
    """Actions pulled off their bounds by a few roundings, so that squashing can be inverted."""
    low, high = action_spec.minimum.astype(float), action_spec.maximum.astype(float)
    largest = abs(high / 2 + low / 2) + (high / 2 - low / 2)
    margin = 4 * np.finfo(action_spec.dtype.as_numpy_dtype).eps * largest
    bound = lambda x: tf.constant(x, action_spec.dtype)
    return tf.clip_by_value(action, bound(low + margin), bound(high - margin))


def is_squashed(distribution):
    """Whether a bijector has the last word."""
    return _kind(distribution) in WRAPPED[1:]


def _tensors(parameters):
    """The tensors of a nested dictionary; branches stay, if only as empty ones."""
    branch = lambda x: _tensors(x) if isinstance(x, dict) else x
    keep = lambda x: isinstance(x, dict) or tf.is_tensor(x)
    return {key: branch(value) for key, value in parameters.items() if keep(value)}


def _kind(distribution):
    # By name: MultivariateNormalDiag is a subclass of TransformedDistribution; others have two
    # classes, one of them with an underscore.
    return type(distribution).__name__.lstrip("_")


def _kinds(distribution):
    """Kinds from the outside in: a squashed Gaussian is (SquashToSpecNormal, Normal)."""
    kind = _kind(distribution)
    if kind == "SquashToSpecNormal":
        return kind, *_kinds(distribution.input_distribution)
    if kind in WRAPPED:
        return kind, *_kinds(distribution.distribution)
    return (kind,)
