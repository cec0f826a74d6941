"""Sub-policies that take turns: where each of them acts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from matplotlib import collections, lines

from tfcaml.figures import plane, style

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_TYPE_SIZE = 8


class OptionEpisodes(NamedTuple):
    """Episodes in the plane.

    paths: positions [E, T, 2], nan after an episode's end
    options: [E, T] integers, which sub-policy acted
    goals: [G, 2]
    real: which of the goals is the task's
    walls: [W, 2], centres of squares with sides of length 1
    """

    paths: np.ndarray
    options: np.ndarray
    goals: np.ndarray
    real: int = 0
    walls: Sequence[Sequence[float]] | np.ndarray = ()


def option_paths(panels: dict[str, dict[str, OptionEpisodes]], title: str) -> Figure:
    """Paths of episodes, coloured by the sub-policy that acts; a ring is where they start.

    A star is the task's goal, and a cross another one in sight.

    Args:
      panels: dict row -> dict column -> `OptionEpisodes`, as many columns in every row.
      title: of the figure.
    """
    every = [episodes for row in panels.values() for episodes in row.values()]
    columns = max(map(len, panels.values()))
    number = 1 + max(int(np.max(each.options)) for each in every)
    low, high = _square(every)
    size = 2.4 * columns + 1.4, 2.5 * len(panels) + 0.4
    figure, grid = style.new(*size, len(panels), columns)
    grid = np.reshape(grid, [len(panels), columns])
    for axes_row, (row, found) in zip(grid, panels.items()):
        for axes, (column, episodes) in zip(axes_row, found.items()):
            plane.draw_walls(axes, episodes.walls)
            for path, options in zip(episodes.paths, episodes.options):
                pieces = np.stack([path[:-1], path[1:]], axis=1)
                shades = [style.distinct(int(k), number) for k in options[:-1]]
                axes.add_collection(
                    collections.LineCollection(list(pieces), colors=shades, lw=1.6, alpha=0.8)
                )
                axes.plot(*path[0], "o", color="black", fillstyle="none", ms=5)
            for index, goal in enumerate(episodes.goals):
                axes.plot(*goal, "*" if index == episodes.real else "x", color="black", ms=9)
            plane.show_square(axes, low, high)
            axes.set_title(", ".join(name for name in (row, column) if name), fontsize=_TYPE_SIZE)
            axes.tick_params(labelsize=_TYPE_SIZE)
    handles = [
        lines.Line2D([], [], color=style.distinct(k, number), label=f"sub-policy {k}", lw=2)
        for k in range(number)
    ]
    figure.legend(handles=handles, loc="outside right center", fontsize=_TYPE_SIZE)
    figure.suptitle(title)
    return figure


def _square(every: Sequence[OptionEpisodes]) -> tuple[np.ndarray, np.ndarray]:
    """What holds all that is drawn, with a margin: (lower left [2], upper right [2])."""
    walls = [np.reshape(each.walls, [-1, 2]) + side for each in every for side in (-0.5, 0.5)]
    parts = [*(each.paths for each in every), *(each.goals for each in every), *walls]
    points = np.concatenate([np.reshape(part, [-1, 2]) for part in parts])
    low, high = np.nanmin(points, axis=0), np.nanmax(points, axis=0)
    reach = 0.54 * np.max(high - low) + 1e-6
    return (low + high) / 2 - reach, (low + high) / 2 + reach
