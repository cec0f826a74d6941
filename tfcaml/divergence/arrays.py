"""What a user gives as distances, logarithms and weights, as arrays that can be computed with."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from tfcaml.errors import ConfigError, NotFiniteError, check, shown


def distance_matrix(name: str, value: Any) -> np.ndarray:
    """Distances as a float64 array [n, n] of its own.

    Raises:
      ConfigError: something else than numbers, another shape, NaN or infinity, negative distances,
        or a matrix that is not symmetric.
    """
    matrix = _numbers(name, value, "[n, n] numbers").astype(np.float64)
    square = matrix.ndim == 2 and matrix.shape[0] == matrix.shape[1] >= 1
    if not square:
        raise ConfigError(f"expected {name} to be [n, n]; received shape {matrix.shape}")
    if not np.isfinite(matrix).all() or (matrix < 0).any():
        raise ConfigError(f"expected {name} to be finite and >= 0; received {shown(value)}")
    if not np.allclose(matrix, matrix.T, rtol=1e-4, atol=1e-6):
        raise ConfigError(f"expected {name} to be symmetric; received {shown(value)}")
    return matrix


def row_labels(name: str, value: Any, size: int) -> np.ndarray:
    """The groups or clusters of `size` rows as an array [n].

    Raises:
      ConfigError: something else than one number or name of each row.
    """
    try:
        labels = np.asarray(value)
    except (TypeError, ValueError):
        labels = np.empty(0)
    fits = labels.shape == (size,) and labels.dtype.kind in "biufUS"
    check(fits, name, value, f"one number or name for each of {size} rows")
    return labels


def float_tensors(num_axes: int, **named: Any) -> list[tf.Tensor]:
    """Named values as tensors of floats, which broadcast against each other; others are cast.

    Args:
      num_axes: how many axes each has at least.
      **named: tensors, or what becomes one.

    Raises:
      ConfigError: something else than numbers, fewer axes, floats of several dtypes, or shapes that
        do not go together.
    """
    found = [_float_tensor(name, value, num_axes) for name, value in named.items()]
    dtypes = sorted({x.dtype.name for x in found})
    check(len(dtypes) <= 1, f"the dtypes of {' and '.join(named)}", dtypes, "the same")
    shape = found[0].shape
    for tensor in found[1:]:
        try:
            shape = tf.broadcast_static_shape(shape, tensor.shape)
        except ValueError:
            shapes = {name: list(x.shape) for name, x in zip(named, found)}
            rule = "ones that broadcast against each other"
            check(False, f"the shapes of {' and '.join(named)}", shapes, rule)
    return found


def _float_tensor(name: str, value: Any, num_axes: int) -> tf.Tensor:
    if tf.is_tensor(value) and (value.dtype.is_floating or value.dtype.is_bool):
        tensor = value if value.dtype.is_floating else tf.cast(value, tf.float32)
        tensor = tf.convert_to_tensor(tensor)
    else:
        numbers = _numbers(name, value, "an array of numbers")
        keeps = isinstance(value, np.ndarray) and numbers.dtype.kind == "f"
        with np.errstate(over="ignore"):  # what float32 does not have is infinite
            tensor = tf.constant(numbers if keeps else numbers.astype(np.float32))
    rank = tensor.shape.rank
    check(rank is None or rank >= num_axes, f"the number of axes of {name}", rank, f">= {num_axes}")
    return tensor


def _numbers(name: str, value: Any, allowed: str) -> np.ndarray:
    try:
        array = np.asarray(value)
    except (TypeError, ValueError):  # ragged
        array = np.empty(0, object)
    check(array.dtype.kind in "biuf", name, value, allowed)
    return array


def check_finite(name: str, value: Any) -> None:
    """Raises `NotFiniteError` where an eager tensor or array has NaN or infinity."""
    if tf.executing_eagerly() and not np.isfinite(value).all():
        raise NotFiniteError(f"expected {name} to be finite; received nan or inf among its numbers")
