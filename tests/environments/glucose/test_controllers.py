"""Fixed controllers: what they give, and how patients fare with them."""

import numpy as np
import pytest

from tfcaml import keys
from tfcaml.environments.glucose import controllers, measures, patients

BY_COHORT = {name: slice(10 * i, 10 * i + 10) for i, name in enumerate(patients.COHORTS)}


@pytest.fixture(scope="module")
def played(glucose):
    """Measures of four days of all 30 patients, by controller."""
    task, found = glucose.tasks(patients.names()), {}
    for name, controller in (
        ("constant basal", controllers.constant_basal),
        ("basal-bolus", controllers.basal_bolus),
        ("PID", controllers.pid()),
    ):
        days = controllers.play(glucose, controller, task, 4, keys.from_int(100))
        assert days.readings.shape == (30, 4, 289) and days.insulin.shape == (30, 4, 96)
        found[name] = {key: x.mean(-1) for key, x in measures(days.readings).items()}
    return found


# Days of 180 g and more: without a bolus most of the day is above range.
@pytest.mark.slow
@pytest.mark.parametrize(
    "cohort, in_range, risk",
    [("adolescent", (0.75, 0.95), 6), ("adult", (0.88, 1.0), 4), ("child", (0.65, 0.92), 9)],
)
def test_basal_bolus_keeps_most_of_the_day_in_range(played, cohort, in_range, risk):
    found = {key: x[BY_COHORT[cohort]].mean() for key, x in played["basal-bolus"].items()}
    assert in_range[0] < found["time_in_range"] < in_range[1]
    assert found["risk"] < risk and found["time_below_54"] < 0.08


@pytest.mark.slow
def test_what_more_knowledge_brings(played):
    for cohort in BY_COHORT.values():
        share = {name: found["time_in_range"][cohort].mean() for name, found in played.items()}
        assert share["constant basal"] < 0.45 < share["PID"] < share["basal-bolus"]


def test_the_bolus(three):
    views = {
        "reading": np.float32([[200], [149], [200]]),
        "announced": np.float32([[60], [60], [0]]),
    }
    basal, bolus, _ = controllers.basal_bolus(three, views, None)
    ratio, factor = three["CR"].numpy(), three["CF"].numpy()
    np.testing.assert_allclose(basal[:, 0], three["basal"])
    expected = [60 / ratio[0] + 60 / factor[0], 60 / ratio[1], 0]
    np.testing.assert_allclose(bolus[:, 0], expected, rtol=1e-6)


def test_pid(three):
    view = lambda reading: {"reading": np.full([3, 1], reading, np.float32), "interval": 15}
    act = controllers.pid((0.01, 1e-4, 0.5), target=140.0)
    first, _, memory = act(three, view(160.0), None)
    np.testing.assert_allclose(first[:, 0], three["basal"] * 1.2, rtol=1e-5)
    second, _, memory = act(three, view(190.0), memory)
    factor = 1 + 0.5 + 1e-4 * 15 * 20 + 0.5 * 30 / 15
    np.testing.assert_allclose(second[:, 0], three["basal"] * factor, rtol=1e-5)
    assert (act(three, view(20.0), memory)[0].numpy() == 0).all()  # a pump takes nothing back
