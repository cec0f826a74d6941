"""Weights in two parts, those that are adapted to a task and those that all tasks share.

What is not adapted is not differentiated in an inner step either: `FastState.params` holds the
first part only, and `join` puts it beside the second one.
"""

from collections.abc import Sequence

import tensorflow as tf

from tfcaml import nest
from tfcaml.errors import check
from tfcaml.types import Params


def positions(name: str, value: str, names: Sequence[str]) -> tuple[int, ...]:
    """The positions of the weights whose names contain one of some parts.

    Args:
      name: of the setting, for messages.
      value: text, the parts with commas between them, such as "means,bias_layer".
      names: of all weights, in their order.

    Returns:
      tuple of Python ints, ascending.

    Raises:
      ConfigError: a part that is in no name.
    """
    parts = [part.strip() for part in value.split(",")]
    for part in parts:
        fits = part and any(part in each for each in names)
        check(fits, name, value, f"parts of names with commas between them, of {', '.join(names)}")
    return tuple(i for i, each in enumerate(names) if any(part in each for part in parts))


def take(params: Params, chosen: Sequence[int]) -> tuple[tf.Tensor, ...]:
    """The chosen weights: nest, positions -> tuple of tensors."""
    leaves = tf.nest.flatten(params)
    return tuple(leaves[i] for i in chosen)


def join(params: Params, chosen: Sequence[int], adapted: Sequence[tf.Tensor]) -> Params:
    """Each task's weights: the adapted ones where they are chosen, the shared ones elsewhere.

    Args:
      params: weights without task axis, which all tasks share.
      chosen: positions of the adapted ones among them.
      adapted: tuple of these, each [N, ...].

    Returns:
      nest like `params`, each [N, ...].
    """
    own, num_tasks = dict(zip(chosen, adapted)), nest.num_rows(adapted)
    leaves = [
        own[i] if i in own else nest.repeat(leaf, num_tasks)
        for i, leaf in enumerate(tf.nest.flatten(params))
    ]
    return tf.nest.pack_sequence_as(params, leaves)
