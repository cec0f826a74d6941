"""Tasks of Python environments: from what the user gave to tensors and back, unchanged.

A task is a dict. Its values are numbers, bools, strings, bytes, NumPy arrays, lists or tuples of
these, or dicts again. In tensors every value keeps all its digits: Python's integers become int64
and its floats float64, strings become UTF-8, and NumPy's values keep their dtype. An environment is
then told each value with the type that the user gave it.
"""

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from tfcaml import nest
from tfcaml.errors import ConfigError
from tfcaml.types import Nest, Task

_KINDS = "biufUS"  # of NumPy's dtypes
_TABLE = "a dict of arrays or lists with one row per task"
_VALUE = "a number, string or array, or a list or dict of these, alike in all tasks"


def to_rows(table: Any, name: str = "tasks") -> list[Any]:
    """The tasks of a table, one by one.

    Args:
      table: dict of arrays, lists or tensors of S rows each; or of such dicts.
      name: what to call it in errors.

    Returns:
      List of S dicts.

    Raises:
      ConfigError: the table is something else, or its columns have different numbers of rows.
    """
    if not isinstance(table, Mapping) or not table:
        raise _error(name, _TABLE, table)
    columns = {key: _column(values, f"{name}[{key!r}]") for key, values in table.items()}
    sizes = {key: len(rows) for key, rows in columns.items()}
    if len(set(sizes.values())) > 1 or 0 in sizes.values():
        raise _error(f"the numbers of rows of {name}", "equal and > 0", sizes)
    return [dict(zip(columns, values)) for values in zip(*columns.values())]


def _column(values: Any, name: str) -> Sequence[Any]:
    """One column of a table as a list of rows, or what has a length and rows just as well."""
    if isinstance(values, Mapping):
        return to_rows(values, name)
    if isinstance(values, (list, tuple)):
        return values
    array: Any = np.asarray(values)
    if array.ndim == 0:
        raise _error(name, _TABLE, values)
    return array


def to_tensors(rows: Sequence[Any], spec: Nest | None = None, name: str = "task") -> Task:
    """Tasks as one nest of tensors.

    Args:
      rows: list of N tasks.
      spec: nest of `TensorSpec`s that each task has to follow; None: whatever holds the values.
      name: what to call a task in errors.

    Returns:
      Nest of tensors, leading [N].

    Raises:
      ConfigError: a value of another kind than the head of this module lists; tasks that differ in
        their names, shapes or kinds of values; or a value that the tensor can't hold exactly.
    """
    for row in rows:
        if not isinstance(row, Mapping) or not all(isinstance(key, str) for key in row) or not row:
            raise _error(name, "a dict of named numbers, strings or arrays", row)
    keys = sorted(rows[0] if spec is None else spec)
    for row in rows:
        if sorted(row) != keys:
            raise _error(f"the names in {name}", f"the same for all tasks, {keys}", sorted(row))
    tensors = {}
    for key in keys:
        values, inner = [row[key] for row in rows], spec and spec[key]
        is_dict = isinstance(values[0] if spec is None else inner, Mapping)
        arguments = values, inner, f"{name}[{key!r}]"
        tensors[key] = to_tensors(*arguments) if is_dict else _to_tensor(*arguments)
    return tensors


def _to_tensor(values: Any, spec: tf.TensorSpec | None, name: str) -> tf.Tensor:
    """N values, one of each task, as a tensor [N, ...] that holds them exactly."""
    values = [x.numpy() if tf.is_tensor(x) else x for x in values]
    # TensorFlow gives strings as arrays of objects.
    is_objects = lambda x: isinstance(x, np.ndarray) and x.dtype == object
    values = [x.tolist() if is_objects(x) else x for x in values]
    try:
        array = np.asarray(values)
        floats = (isinstance(x, float) for value in values for x in _scalars(value))
        if array.dtype.kind not in _KINDS or (array.dtype.kind == "f" and not any(floats)):
            raise TypeError  # the second: NumPy makes floats of integers of 65 bits
        with np.errstate(invalid="ignore", over="ignore"):
            kept = array if spec is None else array.astype(_numpy_dtype(spec, array))
        tensor = tf.constant(kept)
    except (TypeError, ValueError, OverflowError):  # ragged, None, an integer of 65 bits, ...
        raise _error(name, _VALUE, values[0] if len(values) == 1 else values) from None
    for row, value in zip(kept, values):
        if not _same(value, row):
            kind = "string" if tensor.dtype == tf.string else tensor.dtype.name
            raise _error(name, f"exactly a {kind} in all tasks, as it is in others", value)
    if spec is not None and tensor.shape[1:] != spec.shape:
        raise _error(f"the shape of {name}", f"{tuple(spec.shape)} in all tasks", kept.shape[1:])
    return tensor


def _numpy_dtype(spec: tf.TensorSpec, array: np.ndarray) -> Any:
    """The dtype that the spec asks for; strings stay as they are."""
    if (spec.dtype == tf.string) != (array.dtype.kind in "US"):
        raise TypeError
    return array.dtype if spec.dtype == tf.string else spec.dtype.as_numpy_dtype


def _same(value: Any, kept: Any) -> bool:
    """Whether an array or NumPy scalar holds what a user's value holds, to the last digit."""
    if isinstance(value, np.ndarray) and value.dtype == kept.dtype:
        return True
    given, kept = _scalars(value), np.ravel(kept).tolist()
    same = lambda x, y: (x == y or x != x) and isinstance(x, bool) == isinstance(y, bool)
    return len(given) == len(kept) and all(map(same, given, kept))


def _scalars(value: Any) -> list[Any]:
    """All single values in a value, as Python objects, in order."""
    if isinstance(value, (list, tuple)):
        return [scalar for part in value for scalar in _scalars(part)]
    return np.ravel(value).tolist() if isinstance(value, (np.ndarray, np.generic)) else [value]


def leaves(task: Task, spec: Nest, num_tasks: int, name: str = "task") -> list[tf.Tensor]:
    """The tensors of tasks that are given to an environment, with all their digits.

    Args:
      task: nest like `spec`, leading [N]: tensors, arrays or lists, as from JSON.
      spec: nest of `TensorSpec`s of one task.
      num_tasks: N.
      name: what to call a task in errors.

    Returns:
      List of tensors [N, ...], in the order of `tf.nest.flatten(spec)`.

    Raises:
      ConfigError: names, shapes or kinds of values that are not those of `spec`.
    """
    if isinstance(spec, Mapping):
        if not isinstance(task, Mapping) or sorted(task, key=str) != sorted(spec):
            received = sorted(task, key=str) if isinstance(task, Mapping) else task
            raise _error(f"the names in {name}", sorted(spec), received)
        parts = [
            leaves(task[key], spec[key], num_tasks, f"{name}[{key!r}]") for key in sorted(spec)
        ]
        return [leaf for part in parts for leaf in part]
    if not tf.is_tensor(task):
        task = _to_tensor(_column(task, name), None, name)
    if not task.shape.is_compatible_with([num_tasks, *spec.shape]):
        allowed = f"{(num_tasks, *spec.shape)}, one row per task"
        raise _error(f"the shape of {name}", allowed, tuple(task.shape))
    if (task.dtype == tf.string) != (spec.dtype == tf.string):
        raise _error(f"the dtype of {name}", spec.dtype.name, task.dtype.name)
    return [task]


def to_python(values: Any, example: Any) -> Any:
    """One task as the user gave it, in new objects.

    Args:
      values: nest of one task's values, as NumPy has them.
      example: any task of the user's; the result has the same types.
    """
    if isinstance(example, Mapping):
        return {key: to_python(values[key], part) for key, part in example.items()}
    if isinstance(example, (list, tuple)):
        parts = [to_python(*pair) for pair in zip(values, example)]
        return type(example)(*parts) if hasattr(example, "_fields") else type(example)(parts)
    if isinstance(values, bytes):
        return values.decode() if isinstance(example, str) else values
    if isinstance(values, np.ndarray) and values.dtype == object:  # strings
        parts = [x.decode() if example.dtype.kind == "U" else x for x in values.ravel()]
        return np.array(parts).reshape(values.shape)
    if isinstance(example, (np.ndarray, np.generic)) or tf.is_tensor(example):
        return values.copy()
    return values.item()


def _error(name: str, allowed: Any, received: Any) -> ConfigError:
    """`ConfigError` of one line, however long what was received is."""
    received = textwrap.shorten(repr(received), 100, placeholder=" ...")
    return ConfigError(f"expected {name} to be {allowed}; received {received}")


def specs(tensors: Nest) -> Nest:
    """The `TensorSpec`s of one task: nest of [N, ...] -> nest of [...]."""
    return nest.map(lambda x: tf.TensorSpec(x.shape[1:], x.dtype), tensors)
