"""Few-shot tasks: the drawings that were shown, and what was said of others."""

from __future__ import annotations

import string
from typing import TYPE_CHECKING

import numpy as np

from tfcaml.figures import style

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_RIGHT, _WRONG = "#009E73", "#D55E00"
_SIDE = 0.62  # of a drawing, inches


def few_shot_tasks(
    shown: tuple[np.ndarray, np.ndarray],
    asked: tuple[np.ndarray, np.ndarray],
    said: np.ndarray,
    title: str,
) -> Figure:
    """A row for each task: the labelled drawings, a gap, and others with the label they were given.

    Labels are letters. A right one is green, a wrong one orange with the right one behind it.

    Args:
      shown: images [N, S, height, width, channels] and labels [N, S] of the support.
      asked: images [N, Q, height, width, channels] and labels [N, Q] of queries.
      said: [N, Q], the labels they were given.
      title: above all of them.
    """
    num_tasks, num_shown, num_asked = len(said), shown[1].shape[1], said.shape[1]
    columns = num_shown + 1 + num_asked
    size = _SIDE * columns + 0.2, (_SIDE + 0.25) * num_tasks + 0.5
    figure, grid = style.new(*size, num_tasks, columns)
    for axes in grid.flat:
        axes.set(xticks=[], yticks=[])
        axes.grid(False)
        axes.spines[:].set_visible(False)
    letter = lambda label: string.ascii_uppercase[int(label) % 26]
    for row, axes_row in enumerate(np.reshape(grid, [num_tasks, columns])):
        for axes, image, label in zip(axes_row, *(x[row] for x in shown)):
            _draw(axes, image)
            axes.set_title(letter(label), pad=2)
        for axes, image, label, own in zip(
            axes_row[num_shown + 1 :], *(x[row] for x in asked), said[row]
        ):
            _draw(axes, image)
            text = letter(own) if own == label else f"{letter(own)} ({letter(label)})"
            colour = _RIGHT if own == label else _WRONG
            axes.set_title(text, pad=2, color=colour, weight="bold")
            for spine in axes.spines.values():
                spine.set(visible=True, color=colour, linewidth=1.2)
    figure.suptitle(title)
    return figure


def _draw(axes: object, image: np.ndarray) -> None:
    """An image [height, width, channels] of values from 0 to 1; ink of a grey one is dark."""
    grey = image.shape[-1] == 1
    picture = 1 - image[..., 0] if grey else image
    axes.imshow(picture, cmap="gray", vmin=0, vmax=1)  # type: ignore[attr-defined]
