"""Shares of successes, before and after."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from tfcaml.figures import style


def success_shares(
    rows: dict[str, Sequence[Sequence[float]]], labels: Sequence[str], title: str
) -> Figure:
    """Successes in per cent, a row for each method and a colour for each of several measurements.

    Args:
      rows: dict method -> values of each seed, [S, M]; the bar is their mean, a point each of them.
      labels: what the M measurements are.
      title: of the figure.
    """
    figure, axes = style.new(6.4, 0.9 + 0.34 * len(rows))
    places, height = np.arange(len(rows)), 0.8 / len(labels)
    for index, label in enumerate(labels):
        own = places + height * (index - (len(labels) - 1) / 2)
        values = [np.asarray(found)[:, index] for found in rows.values()]
        means = [each.mean() for each in values]
        color = style.color(index)
        axes.barh(own, means, 0.9 * height, color=color, alpha=0.6, label=label)
        for place, each in zip(own, values):
            axes.plot(each, np.full(len(each), place), "o", color=color, ms=3)
    axes.set_yticks(places, list(rows))
    axes.invert_yaxis()
    axes.set_xlim(0, 100)
    axes.set_xlabel("successes in new tasks, % (bars: means over seeds; points: seeds)")
    axes.set_title(title)
    axes.legend(loc="center left", bbox_to_anchor=(1, 0.5))
    return figure
