"""What an evaluation found: numbers with intervals, as JSON, CSV and a printed table."""

import csv
import io
import math

import numpy as np

from tfcaml import statistics


def summarize(results, main):
    """All numbers of an evaluation.

    Args:
      results: dict method -> list over seeds of dict(seed, groups [Q], returns [U + 1, Q, E],
        trial_episodes, episodes_per_update; and bad_updates [Q] where steps may be skipped).
      main: the method that is compared with the others.

    Returns:
      JSON-serialisable dict: per method the returns per seed, update and task, their summary per
      update (mean, median, interquartile mean, each with its 95 % interval) and each task's mean
      and interval over episodes; and the paired differences main - other, at the same update and
      at equal episodes (the episodes spent on choosing are worth updates to the others).
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
    return {"methods": methods, "paired": compare(methods, main)}


def compare(methods, main):
    """Paired differences main - other, at the same update and at equal episodes.

    Args:
      methods: dict name -> dict with returns [S, U + 1, Q], trial_episodes, episodes_per_update.
      main: one of them.

    Returns:
      dict "main - other" -> dict(same_update, equal_episodes) of rows by update of `main`; there
      are no equal episodes where `main` spends no more on trials than the other.
    """
    return {
        f"{main} - {other}": _compare(methods[main], row)
        for other, row in methods.items()
        if other != main
    }


def mean_returns(runs):
    """Mean over episodes: list over seeds of returns [U + 1, Q, E] -> [S, U + 1, Q]."""
    return np.stack([run["returns"].mean(axis=-1) for run in runs])


def to_csv(summary):
    """One row per method, seed, task and update."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(["method", "seed", "task", "group", "update", "mean", "lower", "upper"])
    for method, values in summary["methods"].items():
        for task in values["tasks"]:
            for update, row in enumerate(task["returns"]):
                key = [method, task["seed"], task["task"], task["group"], update]
                writer.writerow([*key, row["value"], row["lower"], row["upper"]])
    return file.getvalue()


def to_text(summary):
    """The tables people read: returns per update, then paired differences."""
    methods = summary["methods"]
    updates = range(len(next(iter(methods.values()))["summary"]))
    means = [row["mean"]["value"] for values in methods.values() for row in values["summary"]]
    digits = 2 if max(map(abs, means)) < 10 else 1  # returns of 0 to 1 among them
    lines = []
    for statistic, title in (("mean", "Mean"), ("median", "Median"), ("iqm", "IQM")):
        lines += [f"{title} return on held-out entities after k updates [95 % interval over seeds]"]
        lines += [_row("", [f"k = {u}" for u in updates])]
        for name, values in methods.items():
            lines += [_row(name, [_interval(row[statistic], digits) for row in values["summary"]])]
        lines += [""]
    for name, rows in summary["paired"].items():
        lines += [f"{name}, paired over seeds [95 % interval] (seeds won)"]
        for kind, label in (("same_update", "same update"), ("equal_episodes", "equal episodes")):
            if kind not in rows:
                continue
            cells = [
                f"{_interval(row, digits)} ({row['seeds_won']}/{row['num_seeds']})" if row else "-"
                for row in rows[kind]
            ]
            lines += [_row("  " + label, cells, 29)]
        lines += [""]
    return "\n".join(lines)


def summary(values):
    """Mean, median and interquartile mean of values [S, Q], each with its interval."""
    return {
        "mean": _json(statistics.mean(values)),
        "median": _json(statistics.median(values)),
        "iqm": _json(statistics.interquartile_mean(values)),
    }


def _tasks(run):
    for task, group in enumerate(run["groups"]):
        rows = run["returns"][:, task]  # [U + 1, E]
        # One episode is one observation here, so that the interval is that of this entity's mean.
        intervals = [_json(statistics.mean(row[:, None])) for row in rows]
        yield {"seed": run["seed"], "task": task, "group": int(group), "returns": intervals}


def _compare(row, other):
    values, others = np.array(row["returns"]), np.array(other["returns"])
    updates = values.shape[1]
    more = row["trial_episodes"] - other["trial_episodes"]
    ahead = math.ceil(max(more, 0) / row["episodes_per_update"])
    pair = lambda u, v: _paired(statistics.paired(values[:, u], others[:, v]))
    found = {"same_update": [pair(u, u) for u in range(updates)]}
    if ahead:
        found["equal_episodes"] = [
            pair(u, u + ahead) if u + ahead < updates else None for u in range(updates)
        ]
    return found


def _paired(result):
    return {
        **_json(result.difference),
        "seeds_won": result.seeds_won,
        "num_seeds": result.num_seeds,
    }


def _json(interval):
    number = lambda x: None if math.isnan(x) else round(x, 4)
    return {name: number(value) for name, value in interval._asdict().items()}


def _interval(row, digits):
    digits = digits if abs(row["value"]) < 100 else 0
    value, lower, upper = (
        "" if row[key] is None else f"{row[key]:.{digits}f}" for key in ("value", "lower", "upper")
    )
    return f"{value} [{lower}, {upper}]" if lower else value


def _row(name, cells, width=23):
    return f"{name:16}" + "".join(f"{cell:>{width}}" for cell in cells)
