"""Goals of a grid by how alike their solutions are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from tfcaml.figures import style

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def goal_similarity(
    cells: np.ndarray,
    start: Sequence[int],
    shown: int,
    exact: np.ndarray,
    learned: np.ndarray,
    title: str,
) -> Figure:
    """How far the solutions of goals are apart, exactly, and how similar a network thinks they are.

    Above: the grid, a colour for each goal by its distance from one of them. Below: all pairs,
    goals sorted by their distance from that one. A cross marks where episodes start.

    Args:
      cells: [G, 2], row and column of each goal.
      start: row and column.
      shown: index of the goal that the grids are about.
      exact: [G, G], divergences; less is more alike.
      learned: [G, G], similarities; more is more alike. Minus the divergence as predicted.
    """
    figure, grid = style.new(8.4, 7.4, rows=2, columns=2)
    order = np.argsort(exact[shown], kind="stable")
    columns = (
        ("exact policy divergence", exact, "viridis_r"),
        ("learned similarity (minus divergence)", learned, "viridis"),
    )
    for column, (label, matrix, colors) in enumerate(columns):
        places = np.full(np.max(cells, axis=0) + 1, np.nan)
        places[tuple(np.transpose(cells))] = matrix[shown]
        bounds = {"vmin": np.min(matrix), "vmax": np.max(matrix), "cmap": colors}
        axes = grid[0, column]
        axes.set_facecolor("lightgrey")
        image = axes.imshow(places, **bounds)
        axes.plot(*cells[shown][::-1], "*", color="black", ms=11)
        axes.plot(*start[::-1], "+", color="black", ms=9)
        axes.set_title(f"{label} to the goal *")
        figure.colorbar(image, ax=axes)
        axes = grid[1, column]
        image = axes.imshow(matrix[np.ix_(order, order)], **bounds)
        axes.set_xlabel("goals, nearest to * first")
        axes.set_title(f"{label}, all pairs")
        figure.colorbar(image, ax=axes)
        for axes in grid[:, column]:
            axes.grid(False)
            axes.set_xticks([])
            axes.set_yticks([])
    figure.suptitle(title)
    return figure
