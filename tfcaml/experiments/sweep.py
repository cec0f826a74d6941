"""Sweeps: the experiment of one config with several values of some of its fields.

    fields = {"learner.inner_learning_rate": ["0.01", "0.1"], "learner.num_medoids": ["4", "8"]}
    for point in points(content, fields):  # four of them
        experiment = Experiment.create(root / point.name, point.content)

Each point is a run in a directory of its own.
"""

from __future__ import annotations

import ast
import copy
import csv
import io
import itertools
import pathlib
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from tfcaml import figures
from tfcaml.errors import ConfigError, check, no_such
from tfcaml.experiments import run_directory
from tfcaml.reporting import report

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_MOST_POINTS = 1000
_FILE = "sweep.json"  # marks the directory of a sweep


class Point(NamedTuple):
    """One combination of values.

    name:    names its directory, such as "inner_learning_rate=0.1,num_medoids=4"
    values:  dict field -> value
    content: the config with these values, a nested dict
    """

    name: str
    values: dict[str, Any]
    content: dict[str, Any]


def parsed(texts: Sequence[str]) -> dict[str, list[str]]:
    """Fields and their values as text, of texts FIELD=VALUE,VALUE,...: dict field -> list.

    Commas within brackets are no ends of values.

    Raises:
      ConfigError: a text of another form, or a field or a value twice.
    """
    found: dict[str, list[str]] = {}
    for text in texts:
        match = re.fullmatch(r"([\w.-]+)=(.+)", text, re.DOTALL)
        check(match, "sweep", text, "FIELD=VALUE,VALUE,..., such as learner.num_medoids=4,8")
        field, values = match[1], _split(match[2])  # type: ignore[index]
        check(field not in found, "sweep", field, "given once for each field")
        check(all(values), "sweep", text, "FIELD=VALUE,VALUE,... without empty values")
        check(len(set(values)) == len(values), "sweep", text, "of values that differ")
        found[field] = values
    return found


def points(content: dict[str, Any], fields: Mapping[str, Sequence[str]]) -> list[Point]:
    """All combinations of the values of some fields.

    Args:
      content: the config, a nested dict.
      fields: dict FIELD or SECTION.FIELD -> values as text, see `parsed`.

    Raises:
      ConfigError: a field that the config does not have, or a value of another type than its own.
    """
    values = {
        field: [_value(field, text, _field(content, field)) for text in texts]
        for field, texts in fields.items()
    }
    number = int(np.prod([len(each) for each in values.values()]))
    check(number <= _MOST_POINTS, "the number of a sweep's points", number, f"<= {_MOST_POINTS}")
    found = []
    for combination in itertools.product(*values.values()):
        chosen = dict(zip(values, combination))
        own = copy.deepcopy(content)
        for field, value in chosen.items():
            *sections, last = field.split(".")
            section = own
            for name in sections:
                section = section[name]
            section[last] = value
        found.append(Point(_name(chosen), chosen, own))
    names = {point.name for point in found}
    check(len(names) == number, "sweep", dict(fields), "of values that differ")
    return found


def begin(root: pathlib.Path, fields: Mapping[str, Sequence[str]]) -> None:
    """Marks a directory as that of a sweep of some fields, or refuses another one.

    More values of the same fields may come later.

    Raises:
      ConfigError: it can't be written, or holds something else.
    """
    run_directory.check_writable(root)
    path, names = root / _FILE, sorted(fields)
    if path.exists():
        found = run_directory.read_json(path).get("fields")
        rule = f"that of a sweep of {', '.join(names)}"
        check(found == names, "root_dir", f"{root}, of a sweep of {found}", rule)
        return
    rule = "new, empty or that of a sweep"
    check(not root.exists() or not any(root.iterdir()), "root_dir", str(root), rule)
    run_directory.write_json(path, {"fields": names})


def is_sweep(root: pathlib.Path) -> bool:
    """Whether a directory is that of a sweep."""
    return (root / _FILE).exists()


class Table:
    """What a sweep found: mean returns of each point and method, with intervals over seeds.

    Args:
      points: list of `Point`.
      summaries: of their evaluations, see `Experiment.evaluate`.
    """

    def __init__(self, points: Sequence[Point], summaries: Sequence[dict[str, Any]]) -> None:
        self._fields = list(points[0].values)
        # (point, method) -> {update: interval of the mean, as `report.summarize` has it}
        self._rows = {
            (index, method): {k: row["mean"] for k, row in enumerate(found["summary"])}
            for index, summary in enumerate(summaries)
            for method, found in summary["methods"].items()
        }
        self._points = list(points)
        tasks = report.TASKS[summaries[0].get("seen", "none")]
        self._title = f"Mean return on {tasks} after k updates"

    def to_text(self) -> str:
        """A table as people read it, of the first and the last update."""
        heading, *rows = self._cells()
        columns = [list(column) for column in zip(heading, *rows)]
        widths = [max(map(len, column)) for column in columns]
        numbers = len(self._fields) + 1  # columns from here on are numbers
        place = lambda i, cell: f"{cell:>{widths[i]}}" if i >= numbers else f"{cell:<{widths[i]}}"
        lines = [
            "  ".join(place(i, cell) for i, cell in enumerate(row)) for row in (heading, *rows)
        ]
        return "\n".join([self._title + self._over(), *(line.rstrip() for line in lines), ""])

    def to_markdown(self) -> str:
        """The same as a table of Markdown."""
        heading, *rows = self._cells()
        line = lambda cells: f"| {' | '.join(cells)} |"
        table = [line(heading), "|---" * len(heading) + "|", *map(line, rows)]
        return "\n".join([f"{self._title}{self._over()}.", "", *table, ""])

    def to_csv(self) -> str:
        """One row for each point, method and update: fields, method, update, value and interval."""
        file = io.StringIO()
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow([*self._fields, "method", "update", "mean", "lower", "upper"])
        for (index, method), row in self._rows.items():
            for update, mean in row.items():
                values = self._points[index].values.values()
                bounds = [mean["value"], mean["lower"], mean["upper"]]
                writer.writerow([*values, method, update, *bounds])
        return file.getvalue()

    def picture(self) -> Figure:
        """Mean returns after the last update, a line for each method, with intervals."""
        methods = list(dict.fromkeys(method for _, method in self._rows))
        found = {
            method: [
                row[max(row)] if (row := self._rows.get((index, method))) else None
                for index in range(len(self._points))
            ]
            for method in methods
        }
        short = [", ".join(map(str, point.values.values())) for point in self._points]
        label = ", ".join(_short(field) for field in self._fields)
        return figures.sweep_returns(found, short, label)

    def _over(self) -> str:
        several = any(
            mean["lower"] is not None for row in self._rows.values() for mean in row.values()
        )
        return " [95 % interval over seeds]" if several else ""

    def _cells(self) -> Iterator[list[str]]:
        """Rows of text, the heading first."""
        last = max(max(row) for row in self._rows.values())
        updates = sorted({0, last})
        yield [*map(_short, self._fields), "method", *(f"k = {update}" for update in updates)]
        largest = max(abs(mean["value"]) for row in self._rows.values() for mean in row.values())
        digits = 2 if largest < 10 else 1
        for (index, method), row in self._rows.items():
            values = map(str, self._points[index].values.values())
            cells = [report.interval(row[k], digits) if k in row else "" for k in updates]
            yield [*values, method, *cells]


def _split(text: str) -> list[str]:
    """The parts of a text between commas outside brackets and quotes."""
    parts, depth = [""], 0
    for letter in text:
        depth += (letter in "([{") - (letter in ")]}")
        if letter == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += letter
    return [part.strip() for part in parts]


def _field(content: dict[str, Any], field: str) -> Any:
    """The value that a config has in a field."""
    value: Any = content
    place = ""
    for name in field.split("."):
        if not isinstance(value, dict) or name not in value:
            inside = isinstance(value, dict)
            known = [place + each for each in sorted(value)] if inside else [place.rstrip(".")]
            raise no_such("sweep: unknown config field", field, known)
        value, place = value[name], f"{place}{name}."
    if isinstance(value, dict):
        example = f"{field}.{next(iter(value), 'FIELD')}"
        raise ConfigError(
            f"sweep: expected a field of {field}, such as {example}; received {field}"
        )
    return value


def _value(field: str, text: str, default: Any) -> Any:
    """A value that is given as text, as one of the type of the field's own."""
    kinds: dict[type, str] = {
        **{bool: "true or false", int: "a whole number", float: "a number"},
        **dict.fromkeys((tuple, list), "a list in brackets"),
    }
    kind = type(default)
    try:
        if kind is bool:
            return {"true": True, "false": False}[text.lower()]
        if kind in (int, float):
            return kind(text)
        if isinstance(default, str):
            return text
        value = ast.literal_eval(text)
        return kind(value) if isinstance(default, tuple | list) else value
    except (KeyError, ValueError, SyntaxError, TypeError):
        rule = f"{kinds.get(kind, 'a value')}, such as {default!r}"
        raise ConfigError(f"sweep: expected {field} to be {rule}; received {text!r}") from None


def _short(field: str) -> str:
    return field.rpartition(".")[2]


def _name(values: dict[str, Any]) -> str:
    """A name of a directory for a combination of values."""
    last = [_short(field) for field in values]
    fields = last if len(set(last)) == len(last) else list(values)
    plain = [re.sub(r"[()\[\]'\" ]", "", str(value)).strip(",") for value in values.values()]
    text = ",".join(f"{field}={value.replace(',', '-')}" for field, value in zip(fields, plain))
    return re.sub(r"[^\w.=,+-]", "_", text)[:200]
