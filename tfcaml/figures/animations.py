"""Pictures that move: what episodes do in the plane from one update to the next, as a GIF."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib import collections, colors
from matplotlib.backends import backend_agg
from PIL import Image

from tfcaml.figures import plane, style

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_MOST_PANELS, _MOST_STAGES, _MOST_MOVES = 4, 7, 12  # so that it takes at most 15 seconds
_MOVE, _HOLD, _END = 80, 900, 1800  # milliseconds of a frame: on the way, at ends, at the very end
_DPI = 100
_STEPS = 24  # of each colour's thinning


def adaptation_gif(
    paths: Mapping[str, Sequence[np.ndarray]],
    goal: Sequence[float] | np.ndarray = (1.0, 1.0),
    walls: np.ndarray | None = None,
) -> bytes:
    """One entity's episodes in the plane before any update and after each, as the bytes of a GIF.

    All panels show the same update at a time, and steps follow each other equally fast throughout.
    Of more than seven measurements seven are shown, the first and the last among them.

    Args:
      paths: dict method -> positions [E, T + 1, 2] for each of U + 1 measurements, nan after an
        episode's end. The first four methods are drawn, a panel each.
      goal: [2].
      walls: [W, 2], see `TaskFamily.planar_walls`.
    """
    measured = len(next(iter(paths.values())))
    shown = np.linspace(0, measured - 1, min(measured, _MOST_STAGES)).round().astype(int).tolist()
    chosen = {method: [paths[method][u] for u in shown] for method in list(paths)[:_MOST_PANELS]}
    lengths = [max(map(_length, each)) for each in zip(*chosen.values())]
    stride = max(1, -(-max(lengths) // _MOST_MOVES))
    scene = _Scene(chosen, np.asarray(goal), np.zeros([0, 2]) if walls is None else walls)
    images, durations = [], []
    for stage, (update, length) in enumerate(zip(shown, lengths)):
        steps = [*range(0, length, stride), length]
        images += [scene.frame(stage, update, step) for step in steps]
        durations += [*([_MOVE] * (len(steps) - 1)), _HOLD]
    return _gif(images, [*durations[:-1], _END])


class _Scene:
    """What stays is drawn once, and a frame adds what moves.

    To draw each frame as a whole, as matplotlib's own writers do, takes many times as long.
    """

    def __init__(self, paths: Mapping[str, Sequence[np.ndarray]], goal: Any, walls: Any) -> None:
        self._paths = paths
        columns = 2 if len(paths) in (2, 4) else len(paths)
        rows = -(-len(paths) // columns)
        figure, grid = style.new(2.8 * columns, 2.8 * rows + 0.8, rows, columns)
        every = [path for stages in paths.values() for path in stages]
        square = plane.square_around(every, goal, walls)
        self._panels = []
        for index, (axes, method) in enumerate(zip(np.ravel(grid), paths)):
            _draw_place(axes, method, walls)
            plane.show_square(axes, *square)
            self._panels.append((axes, *_moving(axes, goal, style.color(index))))
        number = len(next(iter(paths.values()))[0])
        figure.supxlabel(
            f"{number} {'episode' if number == 1 else 'episodes'} on one test task:  "
            "+ start   ★ goal   ● the agent",
            fontsize=8,
        )
        self._title = figure.suptitle("After 0 updates: step 0", fontsize=11, weight="bold")
        figure.set_dpi(_DPI)
        self._canvas = backend_agg.FigureCanvasAgg(figure)
        layout: Any = figure.get_layout_engine()
        layout.execute(figure)  # with room for the title, which is then drawn with each frame
        figure.set_layout_engine("none")
        self._title.set_animated(True)
        self._canvas.draw()
        self._figure, self._still = figure, self._canvas.copy_from_bbox(figure.bbox)

    def frame(self, stage: int, update: int, step: int) -> Image.Image:
        """All episodes of one measurement up to a step."""
        self._canvas.restore_region(self._still)
        after = f"After {update} update{'s' if update > 1 else ''}" if update else "Before updates"
        self._title.set_text(f"{after}: step {step}")
        self._figure.draw_artist(self._title)
        for (axes, trails, agents, *marks), stages in zip(self._panels, self._paths.values()):
            so_far = [path[: step + 1] for path in stages[stage]]
            so_far = [path[np.isfinite(path).all(axis=-1)] for path in so_far]
            trails.set_segments(so_far)
            agents.set_data(*np.transpose([path[-1] for path in so_far]))
            for artist in (trails, agents, *marks):
                axes.draw_artist(artist)
        return Image.fromarray(np.asarray(self._canvas.buffer_rgba())).convert("RGB")


def _draw_place(axes: Axes, method: str, walls: Any) -> None:
    """What is the same in all frames of a panel."""
    plane.draw_walls(axes, walls)
    axes.set_title(method)
    axes.tick_params(length=0, labelbottom=False, labelleft=False)
    axes.spines[:].set(visible=True, color="#cfcfcf")


def _moving(axes: Axes, goal: Any, color: str) -> tuple[Any, ...]:
    """What is drawn with each frame of a panel, from the lowest up.

    Returns:
      (lines behind the agents, the agents, the start, the goal); the first two without any place.
    """
    trails = collections.LineCollection([], colors=color, alpha=0.4, linewidths=1, animated=True)
    axes.add_collection(trails)
    [agents] = axes.plot([], [], "o", color=color, ms=4.5, alpha=0.8, animated=True)
    [start] = axes.plot(0, 0, "+", color="black", ms=8, animated=True)
    star: dict[str, Any] = {
        "color": "black",
        "markeredgecolor": "white",
        "ms": 12,
        "animated": True,
    }
    return trails, agents, start, *axes.plot(*goal, "*", **star)


def _length(paths: np.ndarray) -> int:
    """Steps of the longest of some episodes [E, T + 1, 2]."""
    return int(np.isfinite(paths).all(axis=-1).sum(axis=1).max()) - 1


def _gif(images: list[Image.Image], durations: list[int]) -> bytes:
    """A GIF that runs for ever, of the same palette throughout.

    durations: milliseconds that each image is shown.
    """
    palette = _palette([style.color(index) for index in range(_MOST_PANELS)])
    first, *others = (x.quantize(palette=palette, dither=Image.Dither.NONE) for x in images)
    buffer = io.BytesIO()
    options: dict[str, Any] = {"save_all": True, "append_images": others, "loop": 0}
    first.save(buffer, "gif", duration=durations, **options)
    return buffer.getvalue()


def _palette(shades: Sequence[str]) -> Image.Image:
    """Greys, and colours thinned with white: all that frames are made of, at most 256 in all."""
    thinned = np.linspace(0, 0.9, _STEPS)[:, None]  # what is paler, Pillow takes for white
    pure = np.array([colors.to_rgb(shade) for shade in shades])
    tints = (pure[:, None] + (1 - pure[:, None]) * thinned).reshape([-1, 3])
    every = np.concatenate([np.linspace([0, 0, 0], [1, 1, 1], _STEPS), tints])
    palette = Image.new("P", (1, 1))
    palette.putpalette((255 * every).round().astype(int).ravel().tolist())
    return palette
