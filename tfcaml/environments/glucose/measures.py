"""What clinicians report of glucose over time. Research use only, not for dosing decisions.

T. Battelino et al., "Clinical targets for continuous glucose monitoring data interpretation",
Diabetes Care 42 (2019); risk indices as in `risk.py`.
"""

import numpy as np
import tensorflow as tf

from tfcaml import statistics
from tfcaml.environments.glucose.risk import sides
from tfcaml.errors import check

_RANGES = {  # mg/dL, both ends included
    "time_in_range": (70, 180),
    "time_below_70": (-np.inf, np.nextafter(70, 0)),
    "time_below_54": (-np.inf, np.nextafter(54, 0)),
    "time_above_180": (np.nextafter(180, 200), np.inf),
    "time_above_250": (np.nextafter(250, 300), np.inf),
}


def measures(glucose: tf.Tensor | np.ndarray) -> dict[str, np.ndarray]:
    """Measures of each row of glucose values.

    Args:
      glucose: [..., M] values at equal distances in time, mg/dL.

    Returns:
      dict name -> [...]: fractions of time (0 to 1) in 70 to 180, below 70, below 54, above 180,
      above 250; `low_risk`, `high_risk` and their sum `risk` (LBGI, HBGI, BGRI); `mean_glucose`.

    Raises:
      ConfigError: a value is not finite.
    """
    glucose = np.asarray(glucose, np.float64)
    check(np.isfinite(glucose).all(), "glucose", "nan or inf", "finite")
    low, high = (np.asarray(side).mean(-1) for side in sides(glucose))
    within = {
        name: ((glucose >= least) & (glucose <= most)).mean(-1)
        for name, (least, most) in _RANGES.items()
    }
    return {
        **within,
        "low_risk": low,
        "high_risk": high,
        "risk": low + high,
        "mean_glucose": glucose.mean(-1),
    }


def summary(glucose: tf.Tensor | np.ndarray) -> dict[str, statistics.Interval]:
    """Means of all measures with 95 % intervals over the first axis.

    Args:
      glucose: [S, ..., M], mg/dL; S are seeds, or patients.

    Returns:
      dict name -> `statistics.Interval`.
    """
    rows = lambda values: np.reshape(values, [len(values), -1])
    return {name: statistics.mean(rows(values)) for name, values in measures(glucose).items()}
