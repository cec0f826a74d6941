"""Frames of a GIF are those of the episodes, in their colours."""

import io

import numpy as np
import pytest
from PIL import Image

from tfcaml import figures


def straight(steps, end, episodes=3, length=24):
    """Episodes that go to `end` in so many steps, [E, T + 1, 2] with nan beyond."""
    path = np.full([episodes, length + 1, 2], np.nan)
    path[:, : steps + 1] = np.linspace((0, 0), end, steps + 1)
    path[1:, : steps + 1] += 0.01
    return path


def read(gif):
    """(frames [F, height, width, 3], milliseconds of each)."""
    image = Image.open(io.BytesIO(gif))
    assert image.format == "GIF" and image.info["loop"] == 0
    frames, durations = [], []
    for index in range(image.n_frames):
        image.seek(index)
        frames.append(np.asarray(image.convert("RGB")))
        durations.append(image.info["duration"])
    return np.stack(frames), durations


def test_a_frame_for_every_other_step_and_a_rest_after_each_update():
    """24 steps are two each frame; the first update's episodes last for 24, the second's for 7."""
    paths = {
        "one": [straight(24, (1, 0)), straight(7, (0, 1))],
        "two": [straight(5, (-1, 0)), straight(3, (0, -1))],
    }
    frames, durations = read(figures.adaptation_gif(paths, (1, 1)))
    assert durations == [*12 * [80], 900, *4 * [80], 1800]
    assert len(frames) == 13 + 5
    assert (frames[:-1] != frames[1:]).any(axis=(1, 2, 3)).all()


@pytest.mark.parametrize("number", [1, 2, 3, 4, 6])
def test_a_panel_for_each_of_at_most_four_methods(number):
    paths = {str(i): [straight(2, (i + 1, 1)), straight(2, (1, 1))] for i in range(number)}
    frames, _ = read(figures.adaptation_gif(paths))
    assert len(frames) == 3 + 3
    for index in range(number):
        wanted = np.array([int(figures.color(index)[i : i + 2], 16) for i in (1, 3, 5)])
        near = np.abs(frames[-1].astype(int) - wanted).sum(axis=-1) < 40
        assert near.any() == (index < 4)
    assert (frames[:, 0, 0] == 255).all()  # paper is white


def test_many_updates_and_long_episodes_take_fifteen_seconds_at_most():
    many = [straight(steps, (1, 0), length=500) for steps in (500, *range(480, 280, -10))]
    gif = figures.adaptation_gif({"one": many, "two": many[::-1]})
    frames, durations = read(gif)
    assert durations.count(900) == 6 and durations[-1] == 1800
    assert sum(durations) <= 15_000 and len(frames) <= 7 * 14 and len(gif) < 2**21


def test_the_same_every_time():
    paths = {"one": [straight(4, (1, 0)), straight(3, (1, 1))]}
    assert figures.adaptation_gif(paths) == figures.adaptation_gif(paths)


def test_walls_are_drawn():
    paths = {"one": [straight(4, (1, 0)), straight(3, (1, 1))]}
    grey = lambda gif: (np.abs(read(gif)[0][-1] - 207.0) < 9).all(axis=-1).sum()
    without = figures.adaptation_gif(paths)
    assert grey(figures.adaptation_gif(paths, walls=np.array([[0, 1]]))) > grey(without) + 1000


def test_an_agent_that_stays_and_one_episode():
    frames, durations = read(figures.adaptation_gif({"one": [straight(1, (0, 0), 1)] * 2}))
    assert len(frames) == len(durations) == 4
