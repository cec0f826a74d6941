"""Arithmetic on nests of tensors (weights, gradients, optimiser slots)."""

import tensorflow as tf


def map(function, *nests):
    """`function` on corresponding leaves of nests of one structure."""
    return tf.nest.map_structure(function, *nests)


def repeat(nest, num):
    """Each leaf [...] -> [num, ...], the same values in every row."""
    # Not `tf.repeat`: the derivatives of its tiles have eight axes, for which kernels are slow.
    broadcast = lambda x: tf.broadcast_to(x[None], [num, *x.shape])
    return map(lambda x: broadcast(tf.convert_to_tensor(x)), nest)


def take(nest, index):
    """Rows `index` of each leaf's leading axis."""
    return map(lambda x: tf.gather(x, index), nest)


def concat(*nests):
    """Each leaf joined along its leading axis."""
    return map(lambda *leaves: tf.concat(leaves, axis=0), *nests)


def stack(nests):
    """A list of nests -> one nest whose leaves carry a new leading axis."""
    return map(lambda *leaves: tf.stack(leaves), *nests)


def stop_gradient(nest):
    """`tf.stop_gradient` on each leaf."""
    return map(tf.stop_gradient, nest)


def leading(nest):
    """The static size of the leading axis (the number of tasks)."""
    return tf.nest.flatten(nest)[0].shape[0]


def assign(variables, values):
    """Writes a nest of tensors into a nest of `tf.Variable`s of the same structure."""
    map(lambda variable, value: variable.assign(value), variables, values)


def ravel(nest):
    """A nest of tensors as one vector, and the function that undoes it.

    Returns:
      (vector [P], unravel: vector [P] -> nest).
    """
    leaves = tf.nest.flatten(nest)
    shapes = [leaf.shape for leaf in leaves]
    sizes = [shape.num_elements() for shape in shapes]

    def unravel(vector):
        parts = tf.split(vector, sizes)
        return tf.nest.pack_sequence_as(
            nest, [tf.reshape(part, shape) for part, shape in zip(parts, shapes)]
        )

    return tf.concat([tf.reshape(leaf, [-1]) for leaf in leaves], axis=0), unravel
