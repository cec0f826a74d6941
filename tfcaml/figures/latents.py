"""Latents that are drawn once per episode: what they do in the plane, and where tasks have them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import matplotlib
import numpy as np

from tfcaml.figures import plane, style

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_CYCLE = "hsv"  # colours of directions, which come back to where they began


class LatentEpisodes(NamedTuple):
    """Episodes of one task in the plane.

    paths: positions [E, T, 2], nan after an episode's end
    latent: [E, d], which latent each of them has
    goal: [2]
    """

    paths: np.ndarray
    latent: np.ndarray
    goal: np.ndarray


def exploration_paths(panels: dict[str, dict[str, LatentEpisodes]], title: str) -> Figure:
    """Paths of episodes, coloured by the direction of their latents' first two numbers.

    Args:
      panels: dict row -> dict column -> `LatentEpisodes`, the same columns in every row.
      title: of the figure.
    """
    columns = list(next(iter(panels.values())))
    every = [episodes for row in panels.values() for episodes in row.values()]
    goals = np.array([episodes.goal for episodes in every])
    low, high = plane.square_around([*(each.paths for each in every), goals], goals[0], ())
    size = 2.5 * len(columns) + 0.7, 2.6 * len(panels) + 0.5
    figure, grid = style.new(*size, len(panels), len(columns))
    colors = matplotlib.colormaps[_CYCLE]
    grid = np.reshape(grid, [len(panels), len(columns)])
    for axes_row, (row, found) in zip(grid, panels.items()):
        for axes, column in zip(axes_row, columns):
            episodes = found[column]
            for path, latent in zip(episodes.paths, episodes.latent):
                axes.plot(*path.T, color=colors(_turn(latent)), alpha=0.7, lw=0.9)
            axes.plot(*episodes.goal, "*", color="black", ms=10)
            axes.plot(0, 0, "+", color="black", ms=7)
            plane.show_square(axes, low, high)
            axes.set_title(f"{row}, {column}", fontsize=8)
    norm = matplotlib.colors.Normalize(-180, 180)
    mapped = matplotlib.cm.ScalarMappable(norm, colors)
    bar = figure.colorbar(
        mapped, ax=grid.ravel().tolist(), label="direction of the latent, degrees"
    )
    bar.set_ticks([-180, -90, 0, 90, 180])
    figure.suptitle(f"{title} (+ start, * goal)")
    return figure


def latent_map(panels: dict[str, tuple[np.ndarray, np.ndarray, np.ndarray]], title: str) -> Figure:
    """Where tasks have their latents, coloured by the angle of their goals.

    Args:
      panels: dict title -> (mu [N, d] and sigma [N, d] of tasks; angle [N] of each task's goal,
        degrees); the first two numbers of latents are drawn, with a cross of the mean sigma.
      title: of the figure.
    """
    figure, grid = style.new(3.4 * len(panels) + 0.8, 4.0, 1, len(panels))
    grid = np.ravel(grid)
    angles = np.concatenate([angle for _, _, angle in panels.values()])
    span = {"vmin": angles.min(), "vmax": angles.max(), "cmap": "turbo"}
    reach = 0.3 + max(np.abs(mu[:, :2]).max() for mu, _, _ in panels.values())
    for axes, (name, (mu, sigma, angle)) in zip(grid, panels.items()):
        points = axes.scatter(mu[:, 0], mu[:, 1], c=angle, s=22, **span)
        spread = sigma.mean(axis=0)
        corner = -0.75 * reach
        axes.errorbar(
            *(corner, corner),
            xerr=spread[0] / 2,
            yerr=spread[1] / 2,
            color="black",
            lw=1,
            capsize=2,
        )
        axes.set_xlim(-reach, reach)
        axes.set_ylim(-reach, reach)
        axes.set_aspect("equal")
        axes.set_xlabel("mu, first axis")
        axes.set_title(name)
    grid[0].set_ylabel("mu, second axis")
    figure.colorbar(points, ax=grid.tolist(), label="angle of the goal, degrees")
    figure.suptitle(f"{title} (cross: mean sigma)")
    return figure


def _turn(latent: np.ndarray | Sequence[float]) -> float:
    """Direction of a latent as a share of a whole turn, from that of (-1, 0) on."""
    return float(np.arctan2(latent[1], latent[0]) / (2 * np.pi) + 0.5)
