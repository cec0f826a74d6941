"""What pictures of a plane share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib import collections, patches

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def show_square(axes: Axes, low: np.ndarray, high: np.ndarray) -> None:
    """Has axes show the square from `low` [2] to `high` [2]."""
    axes.set_xlim(low[0], high[0])
    axes.set_ylim(low[1], high[1])
    axes.set_aspect("equal")


def square_around(
    paths: Sequence[np.ndarray], goal: Sequence[float] | np.ndarray, walls: Any
) -> tuple[np.ndarray, np.ndarray]:
    """The square that holds all there is to draw, with a margin: (lower left [2], upper right [2]).

    Args:
      paths: positions, each [..., 2] with nan where there is none. The start, (0, 0), is one too.
      goal: [2].
      walls: [W, 2], centres of squares with sides of length 1.
    """
    corners = [np.reshape(walls, [-1, 2]) + side for side in (-0.5, 0.5)]
    points = np.concatenate([*(np.reshape(x, [-1, 2]) for x in paths), *corners, [goal, (0, 0)]])
    low, high = np.nanmin(points, axis=0), np.nanmax(points, axis=0)
    reach = 0.54 * np.max(high - low) + 1e-6
    return (low + high) / 2 - reach, (low + high) / 2 + reach


def draw_walls(axes: Axes, walls: Any) -> None:
    """Squares with sides of length 1 around `walls` [W, 2]."""
    squares = [patches.Rectangle(centre - 0.5, 1, 1) for centre in np.asarray(walls, float)]
    axes.add_collection(collections.PatchCollection(squares, facecolor="#cfcfcf"))
    if squares:
        axes.grid(False)
