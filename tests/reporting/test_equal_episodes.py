"""Methods compared where the other has played at least as many episodes."""

import numpy as np
import pytest

from tfcaml.reporting import report


def method(returns, trial_episodes):
    """Three seeds of two entities, with the same returns by update but for a little."""
    small = 0.01 * np.arange(6).reshape(3, 1, 2)
    values = np.array(returns, float)[None, :, None] + small
    return {"returns": values, "trial_episodes": trial_episodes, "episodes_per_update": 10}


@pytest.mark.parametrize("trial_episodes, ahead", [(1, 1), (10, 1), (11, 2), (15, 2), (20, 2)])
def test_a_batch_that_was_begun_counts_whole(trial_episodes, ahead):
    """15 trial episodes are one and a half batches: the other is given two."""
    mine, others = [0.0, 1.0, 2.0, 3.0], [0.0, 10.0, 30.0, 70.0]
    methods = {"main": method(mine, trial_episodes), "other": method(others, 0)}
    rows = report.compare(methods, "main")["main - other"]
    found = [row["value"] if row else None for row in rows["equal_episodes"]]
    expected = [mine[u] - others[u + ahead] for u in range(4 - ahead)] + [None] * ahead
    assert found == expected
    same = [row["value"] for row in rows["same_update"]]
    assert same == [a - b for a, b in zip(mine, others)]
