"""What training tells of itself while it goes on."""

import pytest

from tfcaml import training


@pytest.mark.parametrize(
    ("metrics", "expected"),
    [
        ({"return_before": -9.0, "return_after": -1234.5, "loss_before": 1.0}, "return -1234"),
        ({"return_last_update": 0.93333, "loss_before": 1.0}, "return 0.933"),
        ({"loss_before": 0.01234, "bad_update": 0.0}, "loss 0.0123"),
        ({"bad_update": 0.0}, ""),
    ],
)
def test_the_latest_figure_is_a_return_or_a_loss(metrics, expected):
    assert training.latest_figure(metrics) == expected
