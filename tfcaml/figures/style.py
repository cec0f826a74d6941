"""How figures look, and how they become PNG."""

from __future__ import annotations

import io
import os
import pathlib
from typing import TYPE_CHECKING, Any

import matplotlib
import matplotlib.colors
import numpy as np
from matplotlib import figure as matplotlib_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SEEDS_OF_A_BAND = 4  # fewer are drawn one by one, as their intervals say little

# Colours that stay apart for colour-blind readers (Okabe & Ito 2008).
_COLORS = (
    *("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00"),
    *("#56B4E9", "#000000", "#F0E442", "#999999", "#882255"),
)
_LINES = ("-", "--", ":", "-.")  # in the order in which they are used
_STYLE: dict[Any, Any] = {
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.alpha": 0.25,
    "font.size": 9,
    "axes.titlesize": 10,
    "legend.frameon": False,
}


def color(index: int) -> str:
    """The colour of method, cluster or group number `index`."""
    return _COLORS[index % len(_COLORS)]


def line(index: int) -> str:
    """The kind of line of number `index`: another one where its colour is taken already."""
    return _LINES[index // len(_COLORS) % len(_LINES)]


def distinct(index: int, number: int) -> str:
    """The colour of number `index` of `number` things that must not share one."""
    if number <= len(_COLORS):
        return _COLORS[index]
    return matplotlib.colors.to_hex(matplotlib.colormaps["turbo"]((index + 0.5) / number))


def count(axis: Any) -> None:
    """Marks an axis, of matplotlib, at whole numbers only."""
    axis.get_major_locator().set_params(integer=True)


def new(width: float, height: float, rows: int = 1, columns: int = 1) -> tuple[Figure, Any]:
    """A figure of panels, inches wide and high: (figure, axes or an array of them)."""
    with matplotlib.rc_context(_STYLE):
        figure = matplotlib_figure.Figure(figsize=(width, height), layout="constrained")
        axes = figure.subplots(rows, columns, squeeze=rows * columns == 1)
        if rows * columns > 1:
            axes = np.reshape(axes, [rows, columns])
    return figure, axes


def save(figure: Figure, path: str | os.PathLike[str]) -> bytes:
    """Writes a figure as a PNG file and returns its bytes. The directory is made if missing."""
    content = png(figure)
    pathlib.Path(path).parent.mkdir(parents=True, exist_ok=True)
    pathlib.Path(path).write_bytes(content)
    return content


def png(figure: Figure) -> bytes:
    """A figure as the bytes of a PNG file."""
    buffer = io.BytesIO()
    figure.savefig(buffer, dpi=130, format="png")
    return buffer.getvalue()
