"""Films side by side are in step with each other, and what is written tells them apart."""

import io

import numpy as np
import pytest
from PIL import Image

from tfcaml import figures
from tfcaml.types import Film


def plain(steps, color, seconds=0.1, notes=()):
    """A film of one colour, which brightens from step to step."""
    shades = np.linspace(0.3, 1, steps + 1)[:, None, None, None] * np.array(color)
    pictures = np.broadcast_to(shades, [steps + 1, 90, 120, 3]).astype(np.uint8)
    return Film(pictures, seconds * np.arange(steps + 1), notes)


def read(gif):
    """(frames [F, height, width, 3], milliseconds of each)."""
    image = Image.open(io.BytesIO(gif))
    assert image.format == "GIF" and image.info["loop"] == 0
    frames, durations = [], []
    for index in range(image.n_frames):
        image.seek(index)
        frames.append(np.asarray(image.convert("RGB")).astype(int))
        durations.append(image.info["duration"])
    return np.stack(frames), durations


RED, BLUE = (200, 0, 0), (0, 0, 200)


def shown(frames, channel):
    """The mean of a colour where nothing else is, in each frame."""
    others = [other for other in range(3) if other != channel]
    pure = (frames[..., others].max(axis=-1) < 30) & (frames[..., channel] > 40)
    return [float(frame[mask][:, channel].mean()) for frame, mask in zip(frames, pure)]


def test_episodes_are_in_step_and_an_ended_one_stands_still():
    films = {"one": plain(6, RED), "two": plain(3, BLUE)}
    frames, durations = read(figures.film_gif(films, "both"))
    assert durations == [*6 * [100], 1500]
    red, blue = shown(frames, 0), shown(frames, 2)
    np.testing.assert_allclose(red, 200 * np.linspace(0.3, 1, 7), atol=6)
    np.testing.assert_allclose(blue[:4], 200 * np.linspace(0.3, 1, 4), atol=6)
    np.testing.assert_allclose(blue[4:], 200, atol=6)
    assert (frames[:, 0, 0] == 255).all()  # paper is white


@pytest.mark.parametrize("seconds, milliseconds", [(0.05, 50), (0.01, 40), (2.0, 100)])
def test_films_run_in_real_time_but_neither_too_fast_nor_too_slow(seconds, milliseconds):
    _, durations = read(figures.film_gif({"one": plain(4, RED, seconds)}, "one"))
    assert durations == [*4 * [milliseconds], 1500]


@pytest.mark.parametrize("number, rows, columns", [(1, 1, 1), (4, 1, 4), (5, 2, 4), (8, 2, 4)])
def test_four_panels_at_most_stand_side_by_side(number, rows, columns):
    films = {str(index): plain(2, RED) for index in range(number)}
    frames, _ = read(figures.film_gif(films, "title"))
    height, width = frames.shape[1:3]
    assert columns * 120 < width < columns * 130 + 20
    assert rows * 130 < height < rows * 150 + 50


def test_what_is_written_makes_a_difference():
    films = lambda label, notes: {label: plain(3, RED, notes=notes)}
    gif = figures.film_gif(films("one", ()), "title")
    assert gif == figures.film_gif(films("one", ()), "title")
    assert gif != figures.film_gif(films("two", ()), "title")
    assert gif != figures.film_gif(films("one", list("abcd")), "title")
    assert gif != figures.film_gif(films("one", ()), "another title")


def test_a_long_title_is_not_cut_off():
    """It is written smaller."""
    frames, _ = read(figures.film_gif({"a label that is far too long": plain(1, RED)}, "t" * 22))
    assert (frames[:, :, [0, -1]] == 255).all()


def test_a_sheet_has_a_row_for_each_film_with_times_below():
    films = {"Before: return 1": plain(10, RED), "After: return 2": plain(4, BLUE, notes="abcde")}
    figure = figures.film_sheet(films, "title", columns=3)
    captions = [axes.get_xlabel() for axes in figure.axes]
    assert captions[:3] == ["0.00 s", "0.50 s", "1.00 s"]
    assert captions[3:] == ["0.00 s, a", "ended at 0.40 s, e", "ended at 0.40 s, e"]
    assert [figure.axes[i].get_ylabel() for i in (0, 3)] == [
        "Before:\nreturn 1",
        "After:\nreturn 2",
    ]
    assert Image.open(io.BytesIO(figures.png(figure))).width > 3 * 200
