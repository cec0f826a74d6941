"""Pictures of flat scenes as tensor operations: squares on a floor, and rods over them.

Edges are smooth: a pixel that is covered in part is a mixture. A batch of pictures is one compiled
computation, hundreds of times as fast as drawing by OpenGL, and what a picture shows does not
depend on those beside it.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import tensorflow as tf


def pixel_size(height: int, width: int, half_height: float, half_width: float) -> float:
    """Metres that a pixel shows, so that all from minus to plus the halves is in a picture."""
    return 2 * max(half_height / height, half_width / width)


def picture(
    height: int,
    width: int,
    pixel: float,
    floor: Sequence[float],
    squares: tf.Tensor,
    colours: tf.Tensor,
    half_side: float,
    joints: tf.Tensor,
    rods: Sequence[Sequence[float]],
    radius: float,
) -> tf.Tensor:
    """Pictures from straight above, with (0, 0) in the middle, x to the right and y upwards.

    Args:
      height, width: of a picture, in pixels.
      pixel: what one shows, in metres; at most the side of a square.
      floor: [3], its colour.
      squares: [..., S, 2], middles of squares, which do not overlap.
      colours: [..., S, 3], theirs.
      half_side: of a square, in metres.
      joints: [..., R + 1, 2], ends of rods, each of which starts where the one before it ends.
      rods: [R, 3], their colours; later ones are above earlier ones.
      radius: of rods, whose ends are round, in metres.

    Returns:
      [..., height, width, 3] uint8.
    """
    # Numbers that are added and multiplied one by one come out the same in batches of any size. A
    # plane [..., height, width] for each of red, green and blue takes half the time of one array.
    x = ((np.arange(width) - (width - 1) / 2) * pixel).astype(np.float32)
    y = (((height - 1) / 2 - np.arange(height)) * pixel).astype(np.float32)[:, None]
    ground = 255 * np.asarray(floor, np.float32)
    planes = [tf.constant(value) for value in ground]
    for square, colour in zip(tf.unstack(squares, axis=-2), tf.unstack(colours, axis=-2)):
        # The shares of a pixel's width and height that are covered.
        across = _share(half_side - tf.abs(x - square[..., None, None, 0]), pixel)
        along = _share(half_side - tf.abs(y - square[..., None, None, 1]), pixel)
        change = tf.unstack((255 * colour - ground)[..., None, None, :], axis=-1)
        planes = [plane + along * (across * each) for plane, each in zip(planes, change)]
    ends = tf.unstack(joints[..., None, None, :], axis=-4)
    for start, end, colour in zip(ends, ends[1:], rods, strict=False):
        run, rise = tf.unstack(end - start, axis=-1)
        right, up = x - start[..., 0], y - start[..., 1]
        squared = tf.maximum(run**2 + rise**2, 1e-12)
        nearest = tf.clip_by_value(right * (run / squared) + up * (rise / squared), 0, 1)
        distance = tf.sqrt((right - nearest * run) ** 2 + (up - nearest * rise) ** 2)
        cover = _share(radius - distance, pixel)
        planes = [plane + cover * (255 * each - plane) for plane, each in zip(planes, colour)]
    return tf.stack([tf.cast(tf.round(plane), tf.uint8) for plane in planes], axis=-1)


def _share(inside: tf.Tensor, pixel: float) -> tf.Tensor:
    """The share of a pixel, in one direction, whose middle is so far inside an edge, in metres."""
    return tf.clip_by_value(0.5 + inside / pixel, 0, 1)
