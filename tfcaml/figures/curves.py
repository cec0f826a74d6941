"""Curves: returns over updates, training, errors, differences."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import matplotlib
import numpy as np

from tfcaml import statistics
from tfcaml.figures import style

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_RETURN_TICKS = (-10, -20, -50, -100, -200, -500, -1000, -2000, -5000)
_FEW = 30  # points of a curve that are marked
_ONE = "one seed"  # what a figure says of it


def adaptation_curves(
    returns: dict[str, np.ndarray], title: str = "Adapting to entities never seen in training"
) -> Figure:
    """Mean return over updates, one line per method.

    From `SEEDS_OF_A_BAND` seeds on with bands of 95 % intervals over seeds, else with a thin line
    for each seed, as in all figures here.

    Args:
      returns: dict method -> [S, U + 1, Q] mean returns; U = 0 is drawn as a level.
    """
    figure, axes = style.new(6.4, 4.0)
    for index, (method, values) in enumerate(returns.items()):
        updates = np.arange(values.shape[1])
        if len(updates) == 1:
            level = values.mean()
            axes.axhline(level, color=style.color(index), ls="--", lw=1, label=method)
            continue
        _line(axes, updates, values, index, method, marker="o", ms=4)
    axes.set_xlabel("updates on the new entity")
    axes.set_ylabel(f"return ({_shown(returns.values())})")
    means = np.concatenate([values.mean(axis=(0, 2)) for values in returns.values()])
    if np.min(means) < 3 * np.max(means) < 0:  # costs, which span orders of magnitude
        low, high = 2 * np.min(means), 0.35 * np.max(means)
        axes.set_yscale("symlog", linthresh=10)
        axes.set_ylim(low, high)
        axes.set_yticks([t for t in _RETURN_TICKS if low <= t <= high])
        axes.yaxis.set_major_formatter(matplotlib.ticker.FormatStrFormatter("%d"))
        axes.yaxis.set_minor_locator(matplotlib.ticker.NullLocator())
    last = max(values.shape[1] for values in returns.values()) - 1
    axes.set_xticks(range(0, last + 1, max(1, last // 10)))
    axes.set_title(title)
    axes.legend(loc="center left", bbox_to_anchor=(1, 0.5))
    return figure


def training_curves(
    curves: dict[str, tuple[list[int], np.ndarray]], title: str = "Training"
) -> Figure:
    """Returns before, between and after the inner steps, or else the loss, and the outer step.

    Lines are means over seeds, with bands or a thin line for each seed.

    Args:
      curves: dict name -> (iterations [I], values [S, I]), named as learners name their metrics;
        panels without any curve are left out.
    """
    steps = [name for name in curves if name.startswith("return_")]
    panels = {
        "return on training entities": sorted(steps, key=_inner_step),
        "loss on training entities": [] if steps else ["loss_before"],  # where nothing is played
        "KL of the outer step, nats": ["kl"],
        "line search, lengths tried": ["line_search_tries", "refused_by_kl", "refused_by_loss"],
    }
    return _curve_panels(curves, panels, "iteration", title)


def divergence_curves(
    curves: dict[str, tuple[list[int], np.ndarray]],
    title: str = "Divergence of policies over training",
) -> Figure:
    """How far policies diverge, and how clusters and known groups show; lines as above.

    Args:
      curves: dict name -> (steps [I], values [S, I]), named as `DivergenceRecord.metrics`; panels
        without any curve are left out.
    """
    panels = {
        "divergence between policies, nats": ["mean", "max"],
        "silhouette, agreement with groups": [
            "silhouette",
            "group_silhouette",
            "ari",
            "nearest_neighbour",
        ],
    }
    return _curve_panels(curves, panels, "step", title)


def success_curves(first: dict[str, np.ndarray], most: int, title: str) -> Figure:
    """Share of tasks that were solved at least once, over episodes, one line per method.

    Args:
      first: dict method -> [S, Q], the episode of the first success, from 1 on; larger than `most`
        where there was none.
      most: episodes played.
    """
    figure, axes = style.new(6.4, 4.0)
    episodes = np.arange(most + 1)
    for index, (method, values) in enumerate(first.items()):
        solved = values[:, None] <= episodes[:, None]  # [S, episodes, Q]
        _line(axes, episodes, solved, index, method, lw=1.5)
    axes.set_ylim(0, 1)
    axes.set_xlabel("episodes on the new task")
    axes.set_ylabel(f"share of tasks solved at least once\n({_shown(first.values())})")
    axes.set_title(title)
    axes.legend(loc="center left", bbox_to_anchor=(1, 0.5))
    return figure


def error_curves(errors: dict[str, np.ndarray], title: str) -> Figure:
    """Mean squared error over steps, one line per method.

    Args:
      errors: dict method -> [S, U + 1, Q].
    """
    figure, axes = style.new(6.0, 3.6)
    for index, (method, values) in enumerate(errors.items()):
        steps = np.arange(values.shape[1])
        _line(axes, steps, values, index, method, marker="o", ms=4)
    axes.set_yscale("log")
    axes.set_xticks(steps)
    axes.set_xlabel("gradient steps on the new task")
    axes.set_ylabel(f"mean squared error\n({_shown(errors.values())})")
    axes.set_title(title)
    axes.legend()
    return figure


def regression_fits(
    x: np.ndarray,
    target: np.ndarray,
    examples: tuple[np.ndarray, np.ndarray],
    fits: dict[str, dict[int, np.ndarray]],
) -> Figure:
    """Regression tasks as columns, methods as rows: the curve, its examples and predictions.

    Args:
      x: inputs [P].
      target: the curves [N, P].
      examples: inputs and targets that were learned from, each [N, K].
      fits: dict method -> dict step -> predictions [N, P].
    """
    figure, grid = style.new(3.0 * len(target), 2.4 * len(fits), len(fits), len(target))
    for axes_row, (method, predictions) in zip(np.reshape(grid, [len(fits), -1]), fits.items()):
        for column, axes in enumerate(axes_row):
            axes.plot(x, target[column], color="black", lw=2, alpha=0.4, label="curve")
            axes.plot(*(value[column] for value in examples), "k^", ms=5, label="examples")
            for index, (step, values) in enumerate(predictions.items()):
                axes.plot(x, values[column], color=style.color(index), lw=1, label=f"{step} steps")
            axes.set_title(method)
        axes_row[-1].legend(fontsize=7, loc="center left", bbox_to_anchor=(1, 0.5))
    return figure


def curves(
    panels: dict[str, dict[str, np.ndarray]],
    x: Sequence[float] | dict[str, Sequence[float]],
    x_label: str,
    title: str,
    bands: Sequence[str] = (),
    log: bool = False,
    quantiles: tuple[float, float] = (0.0, 1.0),
) -> Figure:
    """Panels side by side, a line per name: medians, with bands from the least to the greatest.

    Below `SEEDS_OF_A_BAND` rows of values they are thin lines instead of a band.

    Args:
      panels: dict label -> dict name -> [S, P] values of S seeds or repeats.
      x: [P]; or dict name -> [P], where lines are measured at different places.
      x_label: what `x` is.
      title: of the figure.
      bands: names whose band is drawn.
      log: both axes are logarithmic.
      quantiles: of the values, between which a band is; unless given, of all of them.
    """
    figure, grid = style.new(3.3 * len(panels) + 2.4, 3.2, columns=len(panels))
    for axes, (label, lines) in zip(np.ravel(grid), panels.items()):
        for index, (name, values) in enumerate(lines.items()):
            order = 3 if name in bands else 2  # what matters lies on top
            median, at = np.median(values, axis=0), x[name] if isinstance(x, dict) else x
            axes.plot(at, median, "o-", color=style.color(index), label=name, ms=3, zorder=order)
            if name in bands:
                low, high = np.quantile(values, quantiles, axis=0)
                _spread(axes, at, values, low, high, index)
        if log:
            axes.set_xscale("log")
            axes.set_yscale("log")
        axes.set_xlabel(x_label)
        axes.set_ylabel(label)
    axes.legend(fontsize=7, loc="center left", bbox_to_anchor=(1, 0.5))
    figure.suptitle(title)
    return figure


def seed_curves(
    panels: dict[str, dict[str, tuple[Sequence[float], np.ndarray]]], x_label: str, title: str
) -> Figure:
    """Panels side by side, a line per name: means over seeds, with bands or a thin line for each.

    Args:
      panels: dict label -> dict name -> (x [P], values [S, P]); a name has one colour in all.
      x_label: what `x` counts.
      title: of the figure.
    """
    figure, grid = style.new(3.3 * len(panels) + 2.4, 3.2, columns=len(panels))
    names = list(dict.fromkeys(name for lines in panels.values() for name in lines))
    for axes, (label, lines) in zip(np.ravel(grid), panels.items()):
        for name, (x, values) in lines.items():
            marker = "." if len(x) < _FEW else None  # one point alone makes no line
            _line(axes, x, values[..., None], names.index(name), name, marker=marker, lw=1)
        axes.set_xlabel(x_label)
        axes.set_ylabel(label)
        style.count(axes.xaxis)
    handles = {line.get_label(): line for axes in np.ravel(grid) for line in axes.get_lines()}
    shown = {name: handles[name] for name in names}
    axes.legend(shown.values(), shown, fontsize=7, loc="center left", bbox_to_anchor=(1, 0.5))
    all_values = [values for lines in panels.values() for _, values in lines.values()]
    figure.suptitle(f"{title} ({_shown(all_values)})")
    return figure


def paired_differences(
    rows: dict[str, list[dict[str, Any]]], labels: Sequence[str], title: str
) -> Figure:
    """Differences with their intervals, a row each, a colour for each of several measurements.

    Args:
      rows: dict name -> list of dicts(value, lower, upper), one per label; lower may be None.
      labels: what the measurements are.
    """
    figure, axes = style.new(7.0, 0.8 + 0.26 * len(rows) * max(1, len(labels) / 2))
    places = np.arange(len(rows))
    for index, label in enumerate(labels):
        found = [measured[index] for measured in rows.values()]
        value = np.array([row["value"] for row in found])
        bounds = [[_bound(row, name) for row in found] for name in ("lower", "upper")]
        axes.errorbar(
            value,
            places + 0.3 * (index - (len(labels) - 1) / 2),
            xerr=np.abs(value - bounds),
            fmt="o",
            ms=4,
            lw=1,
            color=style.color(index),
            label=label,
        )
    axes.axvline(0, color="black", lw=0.8)
    axes.set_yticks(places, list(rows))
    axes.invert_yaxis()
    axes.set_xscale("symlog", linthresh=20)
    axes.set_xlabel("difference of mean returns (95 % interval, paired over seeds)")
    axes.set_title(title)
    axes.legend(loc="center left", bbox_to_anchor=(1, 0.5))
    return figure


def sweep_returns(
    rows: dict[str, list[dict[str, Any] | None]], points: Sequence[str], fields: str
) -> Figure:
    """Mean returns after the last update over the points of a sweep, one line per method.

    Args:
      rows: dict method -> list over points of dict(value, lower, upper), with bars from lower to
        upper where these are numbers; None at points that do not have the method.
      points: what each is called on the axis.
      fields: that are swept, for its label.
    """
    figure, axes = style.new(max(5.0, 2.5 + 0.6 * len(points)), 3.6)
    for index, (method, found) in enumerate(rows.items()):
        places = [place for place, row in enumerate(found) if row is not None]
        there = [row for row in found if row is not None]
        value = np.array([row["value"] for row in there])
        bounds = [[_bound(row, name) for row in there] for name in ("lower", "upper")]
        axes.errorbar(
            np.array(places) + 0.08 * (index - (len(rows) - 1) / 2),
            value,
            yerr=np.abs(value - bounds),
            fmt="o-" if len(points) > 1 and "," not in fields else "o",  # no order of combinations
            ms=4,
            lw=1,
            color=style.color(index),
            label=method,
        )
    turned = max(map(len, points)) * len(points) > 50
    axes.set_xticks(range(len(points)), points, rotation=30 if turned else 0)
    axes.set_xlabel(fields)
    several = any(row and row["lower"] is not None for found in rows.values() for row in found)
    axes.set_ylabel("mean return" + (" (95 % interval over seeds)" if several else ""))
    axes.set_title("Test tasks after the last update")
    axes.legend(loc="center left", bbox_to_anchor=(1, 0.5))
    return figure


def _bound(row: dict[str, Any], name: str) -> float:
    return row["value"] if row[name] is None else row[name]


def _inner_step(name: str) -> int:
    """Where a return stands in the inner loop: before, 1, 2, ..., last_update, after."""
    step = name.removeprefix("return_")
    named = {"before": -1, "last_update": 10**6, "after": 10**6 + 1}
    return int(step) if step.isdigit() else named.get(step, 10**6 + 2)


def _curve_panels(
    curves: dict[str, tuple[list[int], np.ndarray]],
    panels: dict[str, list[str]],
    xlabel: str,
    title: str,
) -> Figure:
    """Curves side by side in panels, label -> names; means over seeds, with what they vary."""
    panels = {label: [name for name in names if name in curves] for label, names in panels.items()}
    panels = {label: names for label, names in panels.items() if names}
    figure, grid = style.new(4.6 * len(panels), 3.4, columns=len(panels))
    for axes, (label, names) in zip(np.ravel(grid), panels.items()):
        for index, name in enumerate(names):
            steps, values = curves[name]
            marker = "." if len(steps) < _FEW else None  # one point alone makes no line
            _line(axes, steps, values[..., None], index, name, marker=marker, lw=1)
        style.count(axes.xaxis)
        axes.set_xlabel(xlabel)
        axes.set_ylabel(label)
        axes.legend(fontsize=7, loc="lower left", bbox_to_anchor=(0, 1), ncols=2)  # above
    shown = _shown([values for _, values in curves.values()])
    figure.suptitle(title if shown == _ONE else f"{title} ({shown})")
    return figure


def _line(
    axes: Any,
    x: Sequence[float] | np.ndarray,
    values: np.ndarray,
    index: int,
    label: str,
    **look: Any,
) -> None:
    """A line of means of [S, P, Q] over seeds and tasks, and how far the seeds are apart."""
    summary = np.array([statistics.mean(column) for column in np.moveaxis(values, 1, 0)])
    look = {"color": style.color(index), "ls": style.line(index), **look}
    axes.plot(x, summary[:, 0], label=label, **look)
    _spread(axes, x, values.mean(axis=-1), summary[:, 1], summary[:, 2], index)


def _spread(
    axes: Any,
    x: Sequence[float] | np.ndarray,
    rows: np.ndarray,
    low: np.ndarray,
    high: np.ndarray,
    index: int,
) -> None:
    """The band from `low` to `high` [P] of rows [S, P], or the rows themselves if they are few."""
    if len(rows) >= style.SEEDS_OF_A_BAND:
        axes.fill_between(x, low, high, color=style.color(index), alpha=0.15, lw=0)
    elif len(rows) > 1:
        axes.plot(x, rows.T, color=style.color(index), alpha=0.4, lw=0.7)


def _shown(lines: Iterable[np.ndarray]) -> str:
    """What lines of values [S, ...] show of seeds, in words."""
    seeds = max(len(values) for values in lines)
    if seeds == 1:
        return _ONE
    band = seeds >= style.SEEDS_OF_A_BAND
    return "mean over seeds, " + ("95 % interval" if band else "thin: each seed")
