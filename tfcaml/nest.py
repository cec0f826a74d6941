"""Arithmetic on nests of tensors (weights, gradients, optimiser slots)."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from tfcaml.errors import shown

# A nest in the sense of `tf.nest`: a tensor (or spec, or array), or tuples, named tuples, lists and
# dicts of nests, `()` among them. Python has no type that says so.
Nest = Any


def map(function: Callable[..., Any], *nests: Nest) -> Nest:
    """`function` on corresponding leaves of nests of one structure."""
    return tf.nest.map_structure(function, *nests)


def repeat(nest: Nest, num: int) -> Nest:
    """Each leaf [...] -> [num, ...], the same values in every row."""
    # Not `tf.repeat`: the derivatives of its tiles have eight axes, for which kernels are slow.
    broadcast = lambda x: tf.broadcast_to(x[None], [num, *x.shape])
    return map(lambda x: broadcast(tf.convert_to_tensor(x)), nest)


def take(nest: Nest, index: tf.Tensor | np.ndarray | Sequence[int]) -> Nest:
    """Rows `index` of each leaf's leading axis."""
    return map(lambda x: tf.gather(x, index), nest)


def concat(*nests: Nest) -> Nest:
    """Each leaf joined along its leading axis."""
    return map(lambda *leaves: tf.concat(leaves, axis=0), *nests)


def drawn(pool: Nest, key: tf.Tensor) -> Nest:
    """Rows of a pool, of which each leaf's is drawn by itself.

    Args:
      pool: leaves [P, ...].
      key: [N, 2].

    Returns:
      leaves [N, ...].
    """
    leaves, size = tf.nest.flatten(pool), leading(pool)
    draw = lambda own: tf.random.stateless_uniform([len(leaves)], own, 0, size, tf.int32)
    index = tf.map_fn(draw, key)
    rows = [tf.gather(leaf, index[:, i]) for i, leaf in enumerate(leaves)]
    return tf.nest.pack_sequence_as(pool, rows)


def stack(nests: Sequence[Nest]) -> Nest:
    """A list of nests -> one nest whose leaves carry a new leading axis."""
    return map(lambda *leaves: tf.stack(leaves), *nests)


def stop_gradient(nest: Nest) -> Nest:
    """`tf.stop_gradient` on each leaf."""
    return map(tf.stop_gradient, nest)


def expand(mask: tf.Tensor, like: tf.Tensor) -> tf.Tensor:
    """mask [N, ...] -> [N, ..., 1, ...], of the rank of `like`."""
    mask = tf.convert_to_tensor(mask)
    return tf.reshape(mask, [*sizes(mask.shape), *[1] * (len(like.shape) - mask.shape.rank)])


def sizes(shape: Iterable[int | None]) -> list[int]:
    """A static shape as `tf.reshape` takes it: one size may be unknown."""
    return [-1 if size is None else size for size in shape]


def where(condition: tf.Tensor, nest: Nest, other: Nest) -> Nest:
    """Rows of `nest` where `condition` holds, else those of `other`.

    Args:
      condition: [N] or [N, E, ...] bool.
      nest, other: leaves of these leading axes.
    """
    return map(lambda x, y: tf.where(expand(condition, x), x, y), nest, other)


def is_finite(nest: Nest) -> tf.Tensor:
    """Whether a row has neither NaN nor infinity in any leaf [N, ...]: [N] bool."""
    leaves = [x for x in tf.nest.flatten(nest) if x.dtype.is_floating]
    finite = [tf.reshape(tf.math.is_finite(x), [x.shape[0], -1]) for x in leaves]
    return tf.reduce_all(tf.concat(finite, axis=1), axis=1)


def leading(nest: Nest) -> int:
    """The static size of the leading axis (the number of tasks)."""
    return tf.nest.flatten(nest)[0].shape[0]


def num_rows(nest: Nest) -> int | tf.Tensor:
    """The size of the leading axis, as a number where it is known, else as a tensor."""
    first = tf.nest.flatten(nest)[0]
    return tf.shape(first)[0] if first.shape[0] is None else first.shape[0]


def axes(x: tf.Tensor, num_axes: int | None = None) -> list[int | tf.Tensor]:
    """Sizes of a tensor's axes, or the first of them: numbers where known, else tensors."""
    found = tf.shape(x)
    return [found[i] if n is None else n for i, n in enumerate(x.shape[:num_axes])]


def shape(nest: Nest) -> tf.TensorShape:
    """The static shape of the first leaf, for the axes that all leaves share."""
    return tf.nest.flatten(nest)[0].shape


def time_major(x: tf.Tensor) -> tf.Tensor:
    """[N, E, T, ...] -> [T, N, E, ...]."""
    return tf.transpose(x, [2, 0, 1, *range(3, x.shape.rank)])


def task_major(x: tf.Tensor) -> tf.Tensor:
    """[T, N, E, ...] -> [N, E, T, ...]."""
    return tf.transpose(x, [1, 2, 0, *range(3, x.shape.rank)])


def flat_steps(nest: Nest) -> Nest:
    """Each leaf [N, E, T, ...] -> [N, E * T, ...]."""
    flat = lambda x: tf.reshape(x, [num_rows(x), x.shape[1] * x.shape[2], *x.shape[3:]])
    return map(flat, nest)


def vectors(nest: Nest, num_axes: int) -> tf.Tensor:
    """Leaves of `num_axes` common axes joined to vectors: nest of [..., *] -> [..., O].

    Floats of one dtype keep it, and integers and booleans become of it; with no floats, or floats
    of several dtypes, all become float32. One floating leaf of vectors stays as it is.
    """
    leaves = tf.nest.flatten(nest)
    floating = {x.dtype for x in leaves if x.dtype.is_floating}
    dtype = floating.pop() if len(floating) == 1 else tf.float32
    flat = lambda x: tf.reshape(x, [*sizes(x.shape[:num_axes]), x.shape[num_axes:].num_elements()])
    rows = [tf.cast(flat(x), dtype) for x in leaves]
    return rows[0] if len(rows) == 1 else tf.concat(rows, axis=-1)


def unvectors(x: tf.Tensor, like: Nest, num_axes: int) -> Nest:
    """The nest whose `vectors` are x [..., O]; its leaves like those of `like`, [axes, ...].

    Integers are rounded, to the nearest that their dtype has; booleans are true from 1/2 on.

    Args:
      x: [..., O].
      like: nest of tensors.
      num_axes: how many axes of the leaves of `like` are not the vector's.
    """
    leaves = tf.nest.flatten(like)
    sizes = [leaf.shape[num_axes:].num_elements() for leaf in leaves]

    def cast(part: tf.Tensor, dtype: tf.DType) -> tf.Tensor:
        if dtype.is_bool:
            return part >= 0.5
        return tf.saturate_cast(tf.round(part), dtype) if dtype.is_integer else tf.cast(part, dtype)

    parts = [
        cast(tf.reshape(part, [*x.shape[:-1], *leaf.shape[num_axes:]]), leaf.dtype)
        for part, leaf in zip(tf.split(x, sizes, axis=-1), leaves)
    ]
    return tf.nest.pack_sequence_as(like, parts)


def assign(variables: Nest, values: Nest) -> None:
    """Writes a nest of tensors into a nest of `tf.Variable`s of the same structure."""
    map(lambda variable, value: variable.assign(value), variables, values)


def ravel(nest: Nest) -> tuple[tf.Tensor, Callable[[tf.Tensor], Nest]]:
    """A nest of tensors as one vector, and the function that undoes it.

    Returns:
      (vector [P], unravel: vector [P] -> nest).
    """
    leaves = tf.nest.flatten(nest)
    shapes = [leaf.shape for leaf in leaves]
    sizes = [shape.num_elements() for shape in shapes]

    def unravel(vector: tf.Tensor) -> Nest:
        parts = tf.split(vector, sizes)
        return tf.nest.pack_sequence_as(
            nest, [tf.reshape(part, shape) for part, shape in zip(parts, shapes)]
        )

    return tf.concat([tf.reshape(leaf, [-1]) for leaf in leaves], axis=0), unravel


def mismatches(name: str, spec: Nest, values: Nest, outer: Sequence[int | None] = ()) -> list[str]:
    """How values depart from their specs, as sentences of one line: empty where they do not.

    Args:
      name: what the values are, for the sentences.
      spec: nest of `TensorSpec`s.
      values: what should be a nest of tensors or NumPy arrays like it.
      outer: the sizes of the axes before those of the specs; None: any size.
    """
    try:
        tf.nest.assert_same_structure(spec, values)
        described = [(list(x.shape), tf.as_dtype(x.dtype)) for x in tf.nest.flatten(values)]
    except (TypeError, ValueError, AttributeError):
        wanted = shown(map(lambda x: _Words(_described(x.shape, x.dtype, outer)), spec))
        return [f"expected {name} to have the structure {wanted}; received {shown(values)}"]
    paths = [f"{name}{path and f'[{path!r}]'}" for path in names(spec)]
    return [
        f"expected {path} of shape {_sizes([*outer, *leaf.shape])} and dtype {leaf.dtype.name}; "
        f"received {_described(shape, dtype)}"
        for path, leaf, (shape, dtype) in zip(paths, tf.nest.flatten(spec), described)
        if not tf.TensorShape(shape).is_compatible_with([*outer, *leaf.shape])
        or dtype != leaf.dtype
    ]


class _Words(str):
    """Text that is shown as it is, without quotation marks."""

    def __repr__(self) -> str:
        return str(self)


def _described(shape: Iterable[int | None], dtype: tf.DType, outer: Sequence[Any] = ()) -> str:
    return f"{_sizes([*outer, *shape])} {dtype.name}"


def _sizes(shape: Iterable[int | None]) -> str:
    """A shape in words, with N for a size that is open."""
    return f"[{', '.join('N' if size is None else str(size) for size in shape)}]"


def names(nest: Nest) -> list[str]:
    """A name for each leaf, in the order of `tf.nest.flatten`.

    Keys, fields and positions that lead to it, joined by "/", such as "medoids/fast/params/0".
    """
    if isinstance(nest, Mapping):
        parts: Iterable[tuple[Any, Nest]] = [(key, nest[key]) for key in sorted(nest)]
    elif hasattr(nest, "_fields"):
        parts = zip(nest._fields, nest)
    elif isinstance(nest, (list, tuple)):
        parts = enumerate(nest)
    else:
        return [""]
    return [f"{key}/{name}".rstrip("/") for key, part in parts for name in names(part)]
