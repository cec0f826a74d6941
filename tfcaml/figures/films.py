"""Films of episodes side by side: as a GIF, and as a sheet of pictures."""

from __future__ import annotations

import functools
import io
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib import font_manager
from PIL import Image, ImageDraw, ImageFont

from tfcaml.figures import style

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from tfcaml.types import Film

_COLUMNS = 4  # panels side by side, at most
_LEAST, _MOST, _END = 40, 100, 1500  # milliseconds of a picture; of the last one
_GAP, _LINE = 8, 20  # pixels between panels, and of a line of text
_BIG, _SMALL = 15, 13  # pixels of letters
_PAPER, _INK, _PALE = "white", "black", "#606060"
_COLORS = 255
_CLOSE = 1e-6  # seconds: rounding errors of times
_SAMPLED = 12  # pictures that the colours are taken from


def film_gif(films: Mapping[str, Film], title: str) -> bytes:
    """Episodes side by side, in step with each other, as the bytes of a GIF that runs for ever.

    They run in real time, or faster where pictures are far apart; the time is written below. An
    episode that has ended stands still.

    Args:
      films: dict of what is written above an episode -> `Film`, all of one size.
      title: above all of them.
    """
    times = max((film.seconds for film in films.values()), key=lambda seconds: seconds[-1])
    scene = _Scene(films, title)
    frames = [scene.frame(time) for time in times]
    gaps = np.clip(10 * np.round(100 * np.diff(times)), _LEAST, _MOST).astype(int).tolist()
    palette = _palette(frames)
    first, *others = (x.quantize(palette=palette, dither=Image.Dither.NONE) for x in frames)
    buffer = io.BytesIO()
    options: dict[str, Any] = {"save_all": True, "append_images": others, "loop": 0}
    first.save(buffer, "gif", duration=[*gaps, _END], **options)
    return buffer.getvalue()


def film_sheet(films: Mapping[str, Film], title: str, columns: int = 6) -> Figure:
    """Pictures of episodes at the same times: a row for each film, time from left to right.

    Args:
      films: dict of what is written beside an episode -> `Film`.
      title: above all of them.
      columns: pictures of each, at least 2.
    """
    end = max(film.seconds[-1] for film in films.values())
    height, width = next(iter(films.values())).pictures.shape[1:3]
    size = 2.0, 2.0 * height / width
    figure, grid = style.new(
        size[0] * columns + 0.5, size[1] * len(films) + 0.6, len(films), columns
    )
    for row, (label, film) in zip(grid, films.items()):
        for axes, time in zip(row, np.linspace(0, end, columns)):
            axes.imshow(film.pictures[_index(film, time)])
            axes.set(xticks=[], yticks=[])
            axes.grid(False)
            axes.spines[:].set_visible(False)
            axes.set_xlabel(_caption(film, time), fontsize=7.5, labelpad=2)
        row[0].set_ylabel(label.replace(": ", ":\n"), fontsize=9)
    figure.suptitle(title, fontsize=11, weight="bold")
    return figure


class _Scene:
    """What stays is drawn once, and a frame adds what moves."""

    def __init__(self, films: Mapping[str, Film], title: str) -> None:
        self._films = list(films.values())
        self._height, self._width = self._films[0].pictures.shape[1:3]
        columns = min(len(films), _COLUMNS)
        rows = -(-len(films) // columns)
        row_height = self._height + 2 * _LINE + _GAP
        size = columns * (self._width + _GAP) + _GAP, rows * row_height + _GAP + _LINE + _GAP
        self._still = Image.new("RGB", size, _PAPER)
        draw = ImageDraw.Draw(self._still)
        middle = size[0] // 2, _GAP + _LINE // 2
        draw.text(middle, title, _INK, _font(_BIG, size[0], title), anchor="mm")
        self._corners = []
        for index, label in enumerate(films):
            row, column = divmod(index, columns)
            left = _GAP + column * (self._width + _GAP)
            top = 2 * _GAP + _LINE + row * row_height
            where = left + self._width // 2, top + _LINE // 2
            draw.text(where, label, _INK, _font(_SMALL, self._width, label), anchor="mm")
            self._corners.append((left, top + _LINE))

    def frame(self, time: float) -> Image.Image:
        """All films at a time."""
        image = self._still.copy()
        draw = ImageDraw.Draw(image)
        for film, (left, top) in zip(self._films, self._corners):
            image.paste(Image.fromarray(film.pictures[_index(film, time)]), (left, top))
            text = _caption(film, time)
            where = left + self._width // 2, top + self._height + _LINE // 2
            draw.text(where, text, _PALE, _font(_SMALL, self._width, text), anchor="mm")
        return image


def _index(film: Film, time: float) -> int:
    """The picture that is shown at a time: the latest until then."""
    return int(np.searchsorted(film.seconds, time + _CLOSE, side="right")) - 1


def _caption(film: Film, time: float) -> str:
    """What is written below the picture at a time."""
    index = _index(film, time)
    ended = time > film.seconds[-1] + _CLOSE
    words = [f"ended at {film.seconds[-1]:.2f} s" if ended else f"{film.seconds[index]:.2f} s"]
    return ", ".join([*words, *film.notes[index : index + 1]])


@functools.lru_cache
def _font(size: int, width: int, text: str) -> Any:
    """Letters of a size, or smaller ones where a text would be wider than `width`."""
    path = font_manager.findfont("DejaVu Sans")  # matplotlib brings it
    for each in range(size, 7, -1):
        font = ImageFont.truetype(path, each)
        if font.getlength(text) <= width:
            break
    return font


def _palette(frames: Sequence[Image.Image]) -> Image.Image:
    """The colours that stand for those of all frames, so that nothing flickers."""
    chosen = [frames[i] for i in np.linspace(0, len(frames) - 1, _SAMPLED).round().astype(int)]
    stack = np.concatenate([np.asarray(each)[::2, ::2] for each in chosen])
    palette = Image.fromarray(stack).quantize(_COLORS, Image.Quantize.MEDIANCUT)
    colors: np.ndarray = np.reshape(palette.getpalette() or [], [-1, 3])
    colors[colors.min(axis=1) > 245] = 255  # paper is white, not nearly white
    palette.putpalette(colors.ravel().tolist())
    return palette
