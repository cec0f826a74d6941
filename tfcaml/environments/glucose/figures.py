"""Glucose over the day, as clinicians look at it. Research use only, not for dosing decisions."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from tfcaml.figures import style

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Stands on every picture.
CAPTION = "Simulated patients. For research only, not for dosing decisions."
_TARGET = 70, 180  # mg/dL
_BANDS = ((5, 95, 0.15), (25, 75, 0.35))  # percentiles, opacity


def ambulatory_glucose_profile(profiles: dict[str, np.ndarray], title: str) -> Figure:
    """Median, quartiles and 5 to 95 % of many days on one clock, a panel for each method.

    R. Bergenstal et al., "Recommendations for standardizing glucose reporting and analysis to
    optimize clinical decision making in diabetes: the ambulatory glucose profile", Journal of
    Diabetes Science and Technology 7 (2013).

    Args:
      profiles: dict name -> [days, M] mg/dL, values at equal distances from midnight to midnight.
      title: of the whole figure.
    """
    figure, grid = style.new(3.2 * len(profiles) + 0.6, 3.3, columns=len(profiles))
    highest = max(np.percentile(days, 95, axis=0).max() for days in profiles.values())
    for index, (axes, (name, days)) in enumerate(zip(np.ravel(grid), profiles.items())):
        hour = np.linspace(0, 24, np.shape(days)[1])
        axes.axhspan(*_TARGET, color="#009E73", alpha=0.12, lw=0, label="target, 70 to 180")
        for low, high, alpha in _BANDS:
            band = np.percentile(days, [low, high], axis=0)
            label = f"{low} to {high} %"
            axes.fill_between(hour, *band, color=style.color(0), alpha=alpha, lw=0, label=label)
        axes.plot(hour, np.median(days, axis=0), color=style.color(0), lw=1.5, label="median")
        axes.axhline(54, color=style.color(1), lw=0.8, ls="--", label="54")
        axes.set_xlim(0, 24)
        axes.set_xticks(range(0, 25, 6))
        axes.set_ylim(20, max(260, 1.05 * highest))
        axes.set_title(name)
        axes.set_xlabel("hour of the day")
        if index == 0:
            axes.set_ylabel("glucose, mg/dL")
    axes.legend(fontsize=7, loc="center left", bbox_to_anchor=(1, 0.5))
    figure.suptitle(title)
    figure.supxlabel(CAPTION, fontsize=7)
    return figure
