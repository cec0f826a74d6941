"""What an evaluation found: numbers with intervals, as JSON, CSV and a printed table."""

import csv
import io
import math
import textwrap
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from tfcaml import statistics
from tfcaml.errors import check

# The note below tables that says how often intervals cover.
COVERAGE = (
    "Intervals: simulated with 3 to 20 seeds they cover 92 to 98 %. Where the effects of seeds are",
    "strongly skewed or a few seeds are far from the rest, those of means cover 85 to 92 %, and",
    "those of medians and IQMs 90 to 92 % with up to five seeds; with three or four seeds and",
    "tasks in two clusters far apart, those of medians cover 82 to 90 %.",
)
# What tables call test tasks, by which of them are training tasks too, see `Population.seen`.
TASKS = {
    "none": "held-out entities",
    "some": "test tasks (some trained on)",
    "all": "test tasks (all trained on)",
}
_WIDTH = 100  # columns of what is printed
_LONG_NAME = 30


def summarize(results: dict[str, list[dict[str, Any]]], main: str) -> dict[str, Any]:
    """All numbers of an evaluation.

    Args:
      results: dict method -> list over seeds of dict(seed, groups [Q], returns [U + 1, Q, E],
        trial_episodes, episodes_per_update; bad_updates [Q] where steps may be skipped; and
        test_set [Q] where test tasks are of named sets).
      main: the method that is compared with the others.

    Returns:
      JSON-serialisable dict: per method the returns per seed, update and task, their summary per
      update (mean, median, interquartile mean, each with its 95 % interval), the same for each
      named set of test tasks, and each task's mean with an interval over episodes, which is of this
      learner on this entity; and the paired differences main - other, see `compare`.
    """
    methods = {}
    for name, runs in results.items():
        values = mean_returns(runs)
        methods[name] = {
            "returns": np.round(values, 4).tolist(),
            "trial_episodes": runs[0]["trial_episodes"],
            "episodes_per_update": runs[0]["episodes_per_update"],
            "bad_updates": int(sum(np.sum(run.get("bad_updates", 0)) for run in runs)),
            "summary": [summary(values[:, u]) for u in range(values.shape[1])],
            "tasks": [task for run in runs for task in _tasks(run)],
        }
        if sets := _by_set(runs):
            methods[name]["sets"] = {
                which: [summary(rows[:, u]) for u in range(rows.shape[1])]
                for which, rows in sets.items()
            }
    return {"methods": methods, "paired": compare(methods, main)}


def compare(methods: dict[str, dict[str, Any]], main: str) -> dict[str, Any]:
    """Paired differences main - other, at the same update and at equal episodes.

    After k updates a method has played trial_episodes + k episodes_per_update episodes with the
    entity. At equal episodes `main` is compared with the other's first update at which that one has
    played at least as many, so that where no update of the other has exactly as many, the other has
    played more.

    Args:
      methods: dict name -> dict with returns [S, U + 1, Q], trial_episodes, episodes_per_update.
      main: one of them.

    Returns:
      dict "main - other" -> dict(same_update, equal_episodes) of rows by update of `main`, see
      `paired_row`. A row at equal episodes also has `episodes` and `other_episodes`, which the two
      have played, and `other_update`; it is None where the other was not measured for so long.
      There are no equal episodes where both play as many up to every update.
    """
    return {
        f"{main} - {other}": _compare(methods[main], row)
        for other, row in methods.items()
        if other != main
    }


def mean_returns(runs: Sequence[dict[str, Any]]) -> np.ndarray:
    """Mean over episodes: list over seeds of returns [U + 1, Q, E] -> [S, U + 1, Q]."""
    return np.stack([run["returns"].mean(axis=-1) for run in runs])


def to_csv(summary: dict[str, Any]) -> str:
    """One row per method, seed, task and update."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(["method", "seed", "task", "group", "set", "update", "mean", "lower", "upper"])
    for method, values in summary["methods"].items():
        for task in values["tasks"]:
            for update, row in enumerate(task["returns"]):
                key = [method, task["seed"], task["task"], task["group"], task.get("set", "")]
                writer.writerow([*key, update, row["value"], row["lower"], row["upper"]])
    return file.getvalue()


def tables_to_csv(summary: dict[str, Any]) -> str:
    """All numbers of `to_text`, also of the updates that it leaves out, one interval a row.

    Columns: statistic (mean, median or iqm); set, of test tasks, where it is of one set alone;
    method, or "main - other" of a paired difference; comparison, same_update or equal_episodes of
    a difference; update; value, lower, upper; and of differences those of `compare`.
    """
    played = ["episodes", "other_episodes", "other_update"]
    numbers = ["value", "lower", "upper", "seeds_won", "num_seeds", "p_value"]
    fields = ["statistic", "set", "method", "comparison", "update", *numbers, *played]
    file = io.StringIO()
    writer = csv.DictWriter(file, fields, restval="", lineterminator="\n")
    writer.writeheader()
    for method, values in summary["methods"].items():
        for which, rows in {"": values["summary"], **values.get("sets", {})}.items():
            for update, row in enumerate(rows):
                about = {"set": which, "method": method, "update": update}
                writer.writerows({"statistic": name, **about, **row[name]} for name in row)
    for name, kinds in summary["paired"].items():
        for kind, rows in kinds.items():
            about = {"statistic": "mean", "method": name, "comparison": kind}
            writer.writerows({**about, "update": u, **row} for u, row in enumerate(rows) if row)
    return file.getvalue()


def to_text(summary: dict[str, Any]) -> str:
    """The tables people read: returns per update, then paired differences; 100 columns wide.

    Updates between the first and the last are left out where not all fit.

    Args:
      summary: see `summarize`; with `seen` where test tasks are training tasks too.
    """
    tasks = TASKS[summary.get("seen", "none")]
    methods = summary["methods"]
    means = [row["mean"]["value"] for values in methods.values() for row in values["summary"]]
    digits = 2 if max(map(abs, means)) < 10 else 1  # returns of 0 to 1 among them
    first = next(iter(methods.values()))["summary"]
    several = any(row["mean"]["lower"] is not None for row in first)
    over = " [95 % interval over seeds]" if several else ""
    titles = {"mean": "Mean", "median": "Median", "iqm": "Interquartile mean of the"}
    lines = []
    for statistic, title in titles.items():
        lines += [f"{title} return on {tasks} after k updates{over}"]
        rows = {name: values["summary"] for name, values in methods.items()}
        lines += _returns_table(rows, statistic, digits)
    for which in next(iter(methods.values())).get("sets", ()):
        title = f"Mean return on the test tasks of set {which!r}{over}"
        rows = {name: values["sets"][which] for name, values in methods.items()}
        lines += [*textwrap.wrap(title, _WIDTH), *_returns_table(rows, "mean", digits)]
    if several:
        lines += [*COVERAGE, ""]
    tables = [rows for kinds in summary["paired"].values() for rows in kinds.values()]
    marks = iter(surviving([row for rows in tables for row in rows]))
    for name, kinds in summary["paired"].items():
        lines += textwrap.wrap(
            f"{name}, paired over seeds{' [95 % interval]' if several else ''}", _WIDTH
        )
        cells = []
        for kind, rows in kinds.items():
            marked = zip(rows, marks)
            of_kind = [interval(row, digits) + mark if row else "-" for row, mark in marked]
            cells += [("  " + kind.replace("_", " "), of_kind)]
            won = [f"{row['seeds_won']} of {row['num_seeds']}" if row else "" for row in rows]
            cells += [("    seeds won", won)]
            if kind == "equal_episodes":
                cells += [("    episodes", [_episodes_played(row) for row in rows])]
        lines += [*_table(cells), ""]
    note = many_comparisons([row for rows in tables for row in rows])
    lines += [*textwrap.wrap(note, _WIDTH), ""] if note else []
    updates = len(next(iter(methods.values()))["summary"])
    heads = [line for line in lines if line.lstrip().startswith("k = ")]
    if any(head.count("k = ") < updates for head in heads):
        lines += ["Updates that are left out here are in eval/tables.csv.", ""]
    return "\n".join(lines)


def _returns_table(rows: dict[str, list[dict[str, Any]]], statistic: str, digits: int) -> list[str]:
    """Lines of a table of one statistic, method -> row by update, and an empty one."""
    cells = [(name, [interval(x[statistic], digits) for x in row]) for name, row in rows.items()]
    return [*_table(cells), ""]


def _table(rows: list[tuple[str, list[str]]]) -> list[str]:
    """Lines of rows (name, cells by update) at most `_WIDTH` wide, below one with the updates.

    As many of the first updates are shown as leave room for the last one. A long name has a line
    of its own.
    """
    last = len(rows[0][1]) - 1
    rows = [("", [f"k = {update}" for update in range(last + 1)]), *rows]
    widths = [max(len(cells[update]) for _, cells in rows) + 2 for update in range(last + 1)]
    names = max(len(name) for name, _ in rows if len(name) <= _LONG_NAME)
    shown = list(range(last + 1))
    while len(shown) > 1 and names + sum(widths[update] for update in shown) > _WIDTH:
        shown.pop(-2 if len(shown) > 2 else 0)
    lines: list[str] = []
    for name, cells in rows:
        if len(name) > _LONG_NAME:
            lines, name = [*lines, name], ""
        lines += [f"{name:{names}}" + "".join(f"{cells[u]:>{widths[u]}}" for u in shown).rstrip()]
    return lines


def _episodes_played(row: dict[str, Any] | None) -> str:
    return f"{row['episodes']} / {row['other_episodes']}" if row else ""


def surviving(rows: Sequence[dict[str, Any]]) -> list[str]:
    """Which differences of a table remain after Holm's correction, as marks.

    Args:
      rows: of `paired_row`, or None; all that the table has.

    Returns:
      list of "*" where the difference is not 0, with 95 % confidence in all marks at once, or "".
    """
    p_values = [np.nan if row is None or row["p_value"] is None else row["p_value"] for row in rows]
    return ["*" if p < 0.05 else "" for p in statistics.holm(p_values)]


def many_comparisons(rows: Sequence[dict[str, Any]]) -> str:
    """What a table of `rows` should say below it; "" if it has at most one interval."""
    number = sum(row is not None and row["p_value"] is not None for row in rows)
    if number < 2:
        return ""
    return (
        f"Each interval holds for itself: of these {number}, {number / 20:.1f} are expected to "
        f"miss their difference. * differs from 0 after Holm's correction for {number} comparisons."
    )


def summary(values: np.ndarray) -> dict[str, Any]:
    """Mean, median and interquartile mean of values [S, Q], each with its interval."""
    return {
        "mean": _json(statistics.mean(values)),
        "median": _json(statistics.median(values)),
        "iqm": _json(statistics.interquartile_mean(values)),
    }


def _by_set(runs: list[dict[str, Any]]) -> dict[str, np.ndarray]:
    """Mean returns of each named set of test tasks: dict name -> [S, U + 1, tasks of the set]."""
    found = {}
    names = np.concatenate([np.asarray(run.get("test_set", ()), str) for run in runs])
    for name in sorted(set(names.tolist())):
        rows = [np.asarray(run["test_set"]) == name for run in runs]
        sizes = [int(row.sum()) for row in rows]
        rule = "the same number with every seed"
        check(len(set(sizes)) == 1, f"test tasks of set {name!r}", sizes, rule)
        found[name] = np.stack([run["returns"][:, r].mean(-1) for run, r in zip(runs, rows)])
    return found


def _tasks(run: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for task, group in enumerate(run["groups"]):
        rows = run["returns"][:, task]  # [U + 1, E]
        # One episode is one observation here, so that the interval is that of this entity's mean.
        intervals = [_json(statistics.mean(row[:, None])) for row in rows]
        row = {"seed": run["seed"], "task": task, "group": int(group), "returns": intervals}
        if len(run.get("test_set", ())):
            row["set"] = str(run["test_set"][task])
        yield row


def _compare(row: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    values, others = np.array(row["returns"]), np.array(other["returns"])
    pair = lambda u, v: paired_row(statistics.paired(values[:, u], others[:, v]))
    same, equal = [], []
    for update in range(values.shape[1]):
        same.append(pair(update, update))
        episodes = _episodes(row, update)
        missing = episodes - _episodes(other, 0)
        other_update = math.ceil(max(missing, 0) / other["episodes_per_update"])
        played = {
            "episodes": episodes,
            "other_episodes": _episodes(other, other_update),
            "other_update": other_update,
        }
        measured = other_update < others.shape[1]
        equal.append(pair(update, other_update) | played if measured else None)
    counts = ("trial_episodes", "episodes_per_update")
    if all(row[name] == other[name] for name in counts):
        return {"same_update": same}
    return {"same_update": same, "equal_episodes": equal}


def _episodes(row: dict[str, Any], update: int) -> int:
    """That a method has played with an entity when it has made some updates."""
    return row["trial_episodes"] + update * row["episodes_per_update"]


def paired_row(result: statistics.Paired) -> dict[str, Any]:
    """`statistics.Paired` as a JSON value: value, lower, upper, seeds_won, num_seeds, p_value."""
    return {
        **_json(result.difference),
        "seeds_won": result.seeds_won,
        "num_seeds": result.num_seeds,
        "p_value": None if math.isnan(result.p_value) else round(result.p_value, 6),
    }


def _json(interval: statistics.Interval) -> dict[str, float | None]:
    number = lambda x: None if math.isnan(x) else round(x, 4)
    return {name: number(value) for name, value in interval._asdict().items()}


def interval(row: dict[str, Any], digits: int) -> str:
    """A value with its interval, if it has one, as text: row is dict(value, lower, upper)."""
    digits = digits if abs(row["value"]) < 100 else 0
    value, lower, upper = (
        "" if row[key] is None else f"{row[key]:.{digits}f}" for key in ("value", "lower", "upper")
    )
    return f"{value} [{lower}, {upper}]" if lower else value
