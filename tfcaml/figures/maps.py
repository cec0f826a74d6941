"""Policies by their divergence, and what episodes do in the plane."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from tfcaml import divergence
from tfcaml.figures import plane, style

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def divergence_matrix(
    matrix: np.ndarray, labels: np.ndarray, title: str = "Policy divergence"
) -> Figure:
    """A distance matrix [n, n] as an image, rows sorted by cluster, with lines between clusters."""
    figure, axes = style.new(4.8, 4.2)
    order = np.argsort(labels, kind="stable")
    image = axes.imshow(np.asarray(matrix)[np.ix_(order, order)], cmap="viridis")
    borders = np.cumsum(np.bincount(labels))[:-1] - 0.5
    for border in borders:
        axes.axhline(border, color="white", lw=1)
        axes.axvline(border, color="white", lw=1)
    axes.grid(False)
    axes.set_xlabel("policies, sorted by cluster")
    axes.set_title(title)
    figure.colorbar(image, ax=axes, label="nats")
    return figure


def policy_map(
    matrix: np.ndarray,
    labels: np.ndarray,
    medoids: Sequence[int] | np.ndarray = (),
    groups: np.ndarray | None = None,
    seed: int = 0,
    title: str = "Policies by divergence",
) -> Figure:
    """t-SNE map of a distance matrix: colour = cluster, marker = latent group, ring = medoid."""
    figure, axes = style.new(4.8, 4.2)
    points = divergence.t_sne(matrix, seed)
    groups = np.zeros(len(points), int) if groups is None else np.asarray(groups)
    markers = "os^Dv*PX"
    for group in np.unique(groups):
        chosen = groups == group
        axes.scatter(
            *points[chosen].T,
            c=[style.color(label) for label in np.asarray(labels)[chosen]],
            marker=markers[group % len(markers)],
            s=45,
            label=f"group {group}",
        )
    medoids = np.asarray(medoids, int)
    axes.scatter(*points[medoids].T, s=170, facecolors="none", edgecolors="black", label="medoid")
    axes.set_xticks([])
    axes.set_yticks([])
    axes.set_title(title)
    axes.legend(
        fontsize=7, loc="center left", bbox_to_anchor=(1, 0.5), handlelength=1, markerscale=0.7
    )
    return figure


def policy_maps(
    maps: dict[str, dict[str, np.ndarray]], groups: np.ndarray, seed: int = 0
) -> Figure:
    """t-SNE maps of distance matrices as small panels: colour = latent group.

    Args:
      maps: dict row -> dict column -> [n, n], the same columns in every row.
      groups: [n] integers.
      seed: Python int, for t-SNE.
    """
    columns = list(next(iter(maps.values())))
    figure, grid = style.new(2.1 * len(columns), 2.3 * len(maps), len(maps), len(columns))
    for axes_row, (row, matrices) in zip(np.reshape(grid, [len(maps), -1]), maps.items()):
        for axes, column in zip(axes_row, columns):
            points = divergence.t_sne(matrices[column], seed)
            axes.scatter(*points.T, c=[style.color(group) for group in groups], s=22)
            axes.set_xticks([])
            axes.set_yticks([])
            axes.set_title(column)
        axes_row[0].set_ylabel(row)
    figure.suptitle("Policies by divergence (t-SNE; colour: latent group)")
    return figure


def trajectories(
    before: dict[str, np.ndarray],
    after: dict[str, np.ndarray],
    goal: Sequence[float] | np.ndarray = (1.0, 1.0),
    title: str = "",
    walls: np.ndarray | Sequence[Any] = (),
) -> Figure:
    """Paths in the plane of one entity's episodes, before and after adaptation.

    Args:
      before, after: dict method -> positions [E, T, 2], the first living steps only (nan beyond).
      goal: [2].
      title: of the figure.
      walls: [W, 2], see `TaskFamily.planar_walls`.
    """
    methods = list(before)
    ends = [paths for rows in (before, after) for paths in rows.values()]
    square = plane.square_around(ends, goal, walls)
    figure, grid = style.new(2.4 * len(methods), 4.8, rows=2, columns=len(methods))
    for row, (when, paths) in enumerate((("before", before), ("after", after))):
        for column, method in enumerate(methods):
            axes = grid[row][column]
            for path in paths[method]:
                axes.plot(*path.T, color=style.color(column), alpha=0.35, lw=0.8)
                living = path[~np.isnan(path[:, 0])]
                axes.plot(*living[-1], "o", color=style.color(column), ms=3)
            axes.plot(*goal, "*", color="black", ms=9)
            axes.plot(0, 0, "+", color="black", ms=7)
            plane.draw_walls(axes, walls)
            plane.show_square(axes, *square)
            axes.set_title(f"{method}, {when}", fontsize=8)
    figure.suptitle(title or "Episodes on a new entity (+ start, * goal, dots: ends)")
    return figure


def end_positions(
    before: dict[str, np.ndarray],
    after: dict[str, np.ndarray],
    goal: Sequence[float] | np.ndarray = (1.0, 1.0),
    title: str = "Where episodes on a new entity end",
) -> Figure:
    """Ends of one entity's episodes before (rings) and after adaptation (dots), a panel a method.

    Args:
      before, after: dict method -> positions [E, 2].
    """
    columns = min(5, len(before))
    rows = -(-len(before) // columns)
    every = np.concatenate([*before.values(), *after.values(), [goal, (0, 0)]])
    low, high = every.min(axis=0), every.max(axis=0)
    margin = 0.08 * np.max(high - low)
    figure, grid = style.new(2.1 * columns, 2.2 * rows + 0.3, rows, columns)
    panels = np.ravel(grid)
    for axes in panels[len(before) :]:
        axes.set_axis_off()
    for index, (axes, method) in enumerate(zip(panels, before)):
        shade = style.color(index)
        axes.scatter(*before[method].T, s=22, facecolors="none", edgecolors=shade, alpha=0.7)
        axes.scatter(*after[method].T, s=14, color=shade, alpha=0.7)
        axes.plot(*goal, "*", color="black", ms=9)
        axes.plot(0, 0, "+", color="black", ms=7)
        axes.set_xlim(low[0] - margin, high[0] + margin)
        axes.set_ylim(low[1] - margin, high[1] + margin)
        axes.set_aspect("equal")
        axes.set_title(method, fontsize=8)
    figure.suptitle(f"{title} (rings: before, dots: after; + start, * goal)", fontsize=9)
    return figure
