"""Policies by their divergence, and what episodes do in the plane."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import matplotlib.colors
import numpy as np
from matplotlib import lines

from tfcaml import divergence
from tfcaml.figures import plane, style

if TYPE_CHECKING:
    from matplotlib.figure import Figure


_MARKERS = "os^Dv*PX<>ph"  # of groups


def cluster_colors(
    labels: np.ndarray,
    medoids: Sequence[int] | np.ndarray = (),
    groups: np.ndarray | None = None,
) -> np.ndarray:
    """The colour of each cluster, as a number: one each, and much the same in another run.

    Largest clusters first, a cluster takes the number of its medoid's known group, or of its most
    frequent one, if no other has taken it. What is left goes to the others, by their sizes.

    Args:
      labels: [n] integers, the cluster of each policy.
      medoids: [k] rows.
      groups: [n] integers.

    Returns:
      [k] integers, no two the same.
    """
    labels, groups = np.asarray(labels), _telling(groups)
    sizes = np.bincount(labels)
    order = np.argsort(-sizes, kind="stable")
    colors = np.full(len(sizes), -1)
    if groups is not None:
        groups = np.unique(groups, return_inverse=True)[1]
        for cluster in order:
            home = _home(cluster, labels, medoids, groups)
            if home not in colors:
                colors[cluster] = home
    free = [color for color in range(2 * len(sizes) + len(labels)) if color not in colors]
    for cluster in order[colors[order] < 0]:
        colors[cluster] = free.pop(0)
    return colors


def divergence_matrix(
    matrix: np.ndarray,
    labels: np.ndarray,
    medoids: Sequence[int] | np.ndarray = (),
    groups: np.ndarray | None = None,
    title: str = "Policy divergence",
    unit: str = "nats",
) -> Figure:
    """A distance matrix [n, n] as an image, rows sorted by cluster, with lines between clusters.

    A stripe beside the rows has the clusters' colours, those of `policy_map` for the same
    arguments.

    Args:
      matrix: [n, n], in `unit`.
      labels, medoids, groups: as for `cluster_colors`.
      title: of the figure.
      unit: of the distances, as the colour bar names it.
    """
    figure, axes = style.new(4.8, 4.2)
    colors = cluster_colors(labels, medoids, groups)
    order = np.argsort(colors[labels], kind="stable")
    image = axes.imshow(np.asarray(matrix)[np.ix_(order, order)], cmap="viridis")
    end = -0.5
    for cluster in np.argsort(colors):
        start, end = end, end + np.sum(np.asarray(labels) == cluster)
        stripe = {"transform": axes.get_yaxis_transform(), "clip_on": False, "lw": 4}
        shade = style.distinct(colors[cluster], colors.max() + 1)
        axes.plot(2 * [-0.02], [start, end], color=shade, solid_capstyle="butt", **stripe)
        if end < len(order) - 0.5:
            axes.axhline(end, color="white", lw=1)
            axes.axvline(end, color="white", lw=1)
    axes.grid(False)
    axes.tick_params(axis="y", pad=8)
    style.count(axes.xaxis)
    style.count(axes.yaxis)
    axes.set_xlabel("policies, sorted by cluster; the stripe has\nthe clusters' colours in the map")
    axes.set_title(title)
    figure.colorbar(image, ax=axes, label=unit)
    return figure


def policy_map(
    matrix: np.ndarray,
    labels: np.ndarray,
    medoids: Sequence[int] | np.ndarray = (),
    groups: np.ndarray | None = None,
    seed: int = 0,
    title: str = "Policies by divergence",
) -> Figure:
    """t-SNE map of a distance matrix: colour = cluster, marker = known group, ring = medoid.

    Groups have markers where there are 2 to 12 of them, and some policies share one.

    Args:
      matrix: [n, n], of any unit.
      labels, medoids, groups: as for `cluster_colors`, which makes the colours.
      seed: Python int, for t-SNE.
      title: of the figure.
    """
    figure, axes = style.new(6.0, 4.2)
    points, labels = divergence.t_sne(matrix, seed), np.asarray(labels)
    colors, medoids = cluster_colors(labels, medoids, groups), np.asarray(medoids, int)
    shades = [style.distinct(color, colors.max() + 1) for color in colors]
    groups = _telling(groups)
    if groups is not None and len(np.unique(groups)) > len(_MARKERS):
        groups = None
    known = np.zeros(len(points), int) if groups is None else groups
    names, shapes = np.unique(known, return_inverse=True)
    for shape in range(len(names)):
        chosen = shapes == shape
        shown = [shades[label] for label in labels[chosen]]
        axes.scatter(*points[chosen].T, c=shown, marker=_MARKERS[shape], s=45)
    axes.scatter(*points[medoids].T, s=170, facecolors="none", edgecolors="black")
    entry = lambda label, **look: lines.Line2D([], [], linestyle="", label=label, **look)
    entries = [entry("colour: cluster")]
    for cluster in np.argsort(colors):
        size = np.sum(labels == cluster)
        text = f"{size} policies" if size > 1 else "1 policy"
        if groups is not None:
            group = names[_home(cluster, labels, medoids, shapes)]
            whose = "medoid of" if len(medoids) else "mostly"
            text += f", {whose} group {group}"
        entries.append(entry(text, marker="o", color=shades[cluster]))
    if groups is not None:
        entries.append(entry("shape: known group of the entity"))
        for name, marker in zip(names, _MARKERS):
            entries.append(entry(f"group {name}", marker=marker, color="grey"))
    if len(medoids):
        ring = {"markersize": 11, "markerfacecolor": "none", "markeredgecolor": "black"}
        entries.append(entry("medoid, which stands for its cluster", marker="o", **ring))
    axes.set_xticks([])
    axes.set_yticks([])
    axes.set_xlabel("near each other: alike (t-SNE; the axes have no unit)")
    axes.set_title(title)
    place = {"loc": "center left", "bbox_to_anchor": (1, 0.5), "handlelength": 1}
    axes.legend(handles=entries, fontsize=7, **place)
    return figure


def _telling(groups: np.ndarray | None) -> np.ndarray | None:
    """Groups as [n] integers; None where they are not known, all one, or one each."""
    if groups is None:
        return None
    groups = np.asarray(groups)
    return groups if 1 < len(np.unique(groups)) < len(groups) else None


def embedding_map(
    goals: np.ndarray, vectors: np.ndarray, sets: Sequence[str] | np.ndarray, title: str
) -> Figure:
    """Goals in the plane, and the vectors that stand for them; colour = angle, marker = set.

    Vectors of more than two numbers are shown by their two principal components.

    Args:
      goals: [n, 2].
      vectors: [n, D].
      sets: [n] names, at most twelve different ones.
      title: of the figure.
    """
    figure, grid = style.new(9.2, 4.0, columns=2)
    angle = np.degrees(np.arctan2(*np.asarray(goals).T[::-1]))
    centred = vectors - np.mean(vectors, axis=0)
    _, sizes, directions = np.linalg.svd(centred, full_matrices=False)
    told = np.sum(sizes[:2] ** 2) / max(np.sum(sizes**2), 1e-30)
    shown = np.pad(centred @ directions[:2].T, [[0, 0], [0, max(0, 2 - vectors.shape[1])]])
    labels = ("goals", f"vectors, two components ({told:.0%} of the variance)")
    names = list(dict.fromkeys(np.asarray(sets).tolist()))
    for axes, points, label in zip(np.ravel(grid), (goals, shown), labels):
        for name, marker in zip(names, _MARKERS):
            chosen = np.asarray(sets) == name
            picture = axes.scatter(
                *np.asarray(points)[chosen].T,
                c=angle[chosen],
                cmap="twilight",
                vmin=-180,
                vmax=180,
                marker=marker,
                s=28,
                edgecolors="grey",
                linewidths=0.4,
                label=name,
            )
        axes.set_aspect("equal", adjustable="datalim")
        axes.set_title(label)
    grid[0, 0].legend(fontsize=8, loc="upper right")
    figure.colorbar(picture, ax=np.ravel(grid).tolist(), label="angle of the goal, degrees")
    figure.suptitle(title)
    return figure


def _home(
    cluster: int, labels: np.ndarray, medoids: Sequence[int] | np.ndarray, groups: np.ndarray
) -> int:
    """The group of a cluster's medoid; its most frequent one where medoids are not given."""
    if len(medoids):
        return int(groups[medoids[cluster]])
    return int(np.argmax(np.bincount(groups[labels == cluster])))


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
    figure, grid = style.new(max(2.4 * len(methods), 3.0), 4.8, rows=2, columns=len(methods))
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
    between = "\n" if len(methods) == 1 else " "  # a narrow figure
    told = f"Episodes on a new entity{between}(+ start, * goal, dots: ends)"
    figure.suptitle(title or told)
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


def visits(counts: dict[str, np.ndarray], labels: tuple[str, str], title: str) -> Figure:
    """How often each part of a square was visited, a panel a method; white where nobody was.

    Args:
      counts: dict method -> [X, Y] counts, from -1 to 1 along both axes.
      labels: of the axes.
      title: of the figure.
    """
    figure, grid = style.new(3.4 * len(counts) + 0.8, 3.2, columns=len(counts))
    most = max(2, *(int(values.max()) for values in counts.values()))
    for axes, (method, values) in zip(np.ravel(grid), counts.items()):
        seen = np.ma.masked_equal(values.T, 0)
        scale = matplotlib.colors.LogNorm(1, most)
        picture = axes.imshow(seen, origin="lower", extent=(-1, 1, -1, 1), norm=scale)
        axes.grid(False)
        axes.set_xlabel(labels[0])
        axes.set_ylabel(labels[1])
        axes.set_title(method)
    figure.colorbar(picture, ax=np.ravel(grid).tolist(), label="steps")
    figure.suptitle(title)
    return figure
