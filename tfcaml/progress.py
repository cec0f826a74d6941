"""Progress of long work: a live bar on a terminal and in notebooks, plain lines elsewhere.

A notebook needs ipywidgets for the bar and has plain lines without.
"""

from __future__ import annotations

import contextlib
import contextvars
import importlib.util
import sys
import time
from collections.abc import Iterator
from typing import Any, TextIO

import rich.console
from rich import progress as rich_progress

_LINE_INTERVAL = 10.0  # seconds between plain lines
_silent = contextvars.ContextVar("silent", default=False)


def is_watched(stream: TextIO | None = None) -> bool:
    """Whether somebody sees what is written while it is written: on a terminal or in a notebook.

    Args:
      stream: where it is written; stderr unless given.
    """
    return (stream or sys.stderr).isatty() or _in_notebook()


@contextlib.contextmanager
def silent() -> Iterator[None]:
    """Within a `with` block no `Progress` tells anything."""
    before = _silent.set(True)
    try:
        yield
    finally:
        _silent.reset(before)


class Progress:
    """Counts work up to `total`. Use as a context manager.

    Args:
      total: amount of work, in units that take about equally long.
      done: work done in an earlier run; it does not count for the time left.
      stream: where to write; stderr unless given.
    """

    def __init__(self, total: int, done: int = 0, stream: TextIO | None = None) -> None:
        self._total, self._done, self._first = total, done, done
        self._stream = stream or sys.stderr
        self._bar = None
        self._silent = _silent.get()
        if self._silent:
            return
        has_bar = stream is None and _in_notebook() and _has_widgets()
        if has_bar or self._stream.isatty():
            self._bar = rich_progress.Progress(
                rich_progress.TextColumn("{task.description}"),
                rich_progress.BarColumn(),
                rich_progress.TaskProgressColumn(),
                rich_progress.TextColumn("{task.fields[note]}"),
                rich_progress.TimeElapsedColumn(),
                rich_progress.TextColumn("{task.fields[left]} left"),
                console=rich.console.Console(file=None if has_bar else self._stream),
            )

    def __enter__(self) -> Progress:
        self._start = self._last_line = time.monotonic()
        if self._bar:
            self._bar.start()
            self._task = self._bar.add_task(
                "", total=self._total, completed=self._done, note="", left="?"
            )
        return self

    def __exit__(self, *_: Any) -> None:
        if self._bar:
            self._bar.stop()

    def advance(self, description: str, note: str = "", amount: int = 1) -> None:
        """More work done. `description`: what is being worked on; `note`: its latest figure."""
        self._done += amount
        if self._silent:
            return
        left = self._time_left()
        if self._bar:
            self._bar.update(
                self._task, completed=self._done, description=description, note=note, left=left
            )
            return
        now = time.monotonic()
        if now - self._last_line >= _LINE_INTERVAL or self._done == self._total:
            self._last_line = now
            share = 100 * self._done / self._total
            self._stream.write(f"{share:3.0f}% {description}  {note}  {left} left\n")
            self._stream.flush()

    def redo(self, amount: int) -> None:
        """So much of the work of an earlier run has to be done again."""
        self._done -= amount
        self._first -= amount

    def _time_left(self) -> str:
        if self._done - self._first < 0.02 * self._total < self._total - self._done:
            return "?"  # the first steps compile; they tell nothing about the rest
        elapsed = time.monotonic() - self._start
        rate = elapsed / max(self._done - self._first, 1)
        seconds = round(rate * (self._total - self._done))
        return f"{seconds // 60}:{seconds % 60:02d}"


def _in_notebook() -> bool:
    return rich.console.Console().is_jupyter


def _has_widgets() -> bool:
    """Whether a notebook can show a bar that moves."""
    return importlib.util.find_spec("ipywidgets") is not None
