"""Glucose by the minute against SciPy on the same equations, written down independently."""

import csv
import pathlib

import numpy as np
import pytest
from scipy import integrate

from tfcaml import environments
from tfcaml.environments import Glucose
from tfcaml.environments.glucose import patients
from tfcaml.errors import ConfigError

MINUTES = 720
DATA = pathlib.Path(environments.glucose.__file__).parent / "data"


def published():
    """Rows of the published parameter file by name, as floats."""
    with open(DATA / "uva_padova_2008_patients.csv", newline="") as lines:
        rows = list(csv.DictReader(lines))
    return {
        row["Name"]: {key.replace(" ", ""): float(x) for key, x in row.items() if key != "Name"}
        for row in rows
    }


def intakes(meals):
    """Per minute: g eaten, and whether a meal begins, from g announced."""
    plate, before, eaten, begins = 0.0, 0.0, [], []
    for grams in meals:
        plate += grams
        bite = min(plate, 5.0)
        plate -= bite
        eaten.append(bite)
        begins.append(bite > 0 and before == 0)
        before = bite
    return np.array(eaten), np.array(begins)


def changes(p, insulin, bite, size):
    """dx/dt as a function of (t, x): a matrix for what is linear, and the rest one by one."""
    linear = np.zeros([13, 13])

    def flow(source, target, rate):
        linear[source, source] -= rate
        linear[target, source] += rate

    flow(0, 1, p["kmax"])
    flow(3, 4, p["k1"])
    flow(4, 3, p["k2"])
    flow(5, 9, p["m2"])
    flow(9, 5, p["m1"])
    flow(10, 11, p["kd"])
    flow(10, 5, p["ka1"])
    flow(11, 5, p["ka2"])
    linear[2, 2] -= p["kabs"]
    linear[3, 2] += p["f"] * p["kabs"] / p["BW"]
    linear[5, 5] -= p["m4"]
    linear[9, 9] -= p["m30"]
    linear[6, 5] = p["p2u"] / p["Vi"]
    linear[6, 6] = -p["p2u"]
    linear[7, 5] = p["ki"] / p["Vi"]
    linear[7, 7] = linear[8, 8] = -p["ki"]
    linear[8, 7] = p["ki"]
    linear[12, 3] = p["ksc"]
    linear[12, 12] = -p["ksc"]
    constant = np.zeros(13)
    constant[0] = 1000 * bite
    constant[3] = -p["Fsnc"]
    constant[6] = -p["p2u"] * p["Ib"]
    constant[10] = 6000 * insulin / p["BW"]

    def slope(_, x):
        change = linear @ x + constant
        change[3] += max(p["kp1"] - p["kp2"] * x[3] - p["kp3"] * x[8], 0)
        change[3] -= p["ke1"] * max(x[3] - p["ke2"], 0)
        change[4] -= (p["Vm0"] + p["Vmx"] * x[6]) * x[4] / (p["Km0"] + x[4])
        emptying = p["kmax"]
        if size > 0:
            steep = [5 / 2 / size / (1 - p["b"]), 5 / 2 / size / p["d"]]
            middle = [p["b"] * size, p["d"] * size]
            up, down = np.tanh(steep * (x[0] + x[1] - np.array(middle)))
            emptying = p["kmin"] + (p["kmax"] - p["kmin"]) / 2 * (up - down + 2)
        change[1] -= emptying * x[1]
        change[2] += emptying * x[1]
        guarded = [3, 4, 5, 9, 10, 11, 12]
        change[guarded] *= x[guarded] >= 0
        return change

    return slope


def reference(p, insulin, meals):
    """Subcutaneous glucose after each minute, at a relative tolerance of 1e-9."""
    x = np.array([p[f"x0_{i}"] for i in range(1, 14)])
    eaten, begins = intakes(meals)
    glucose, start, since, stomach = [x[12] / p["Vg"]], 0, 0.0, 0.0
    while start < len(meals):
        if begins[start]:
            since, stomach = 0.0, x[0] + x[1]
        since += eaten[start]
        # Nothing changes from outside while insulin stays and nothing is eaten.
        stop = start + 1
        while (
            stop < len(meals)
            and insulin[stop] == insulin[start]
            and not eaten[start : stop + 1].any()
        ):
            stop += 1
        slope = changes(p, insulin[start], eaten[start], stomach + 1000 * since)
        times = np.arange(1, stop - start + 1)
        found = integrate.solve_ivp(
            slope, (0, times[-1]), x, "DOP853", times, rtol=1e-9, atol=1e-9, max_step=10
        )
        glucose += list(found.y[12] / p["Vg"])
        x, start = found.y[:, -1], stop
    return np.array(glucose)


def protocols():
    """name -> (patient, insulin [720], meals [720])."""
    rows, cases = published(), {}
    for name, basal, boluses, meals in (
        ("adolescent#001", 1.0, {60: 3.0, 300: 6.0}, {60: 45, 300: 70, 520: 10}),
        ("adolescent#008", 0.0, {}, {100: 30}),
        ("adult#006", 1.5, {30: 4.0}, {30: 20.5, 33: 40, 200: 3.2, 204: 0.3}),
        ("adult#009", 1.0, {120: 12.0, 122: 4.0}, {120: 80, 136: 3, 160: 25}),
        ("child#001", 1.5, {}, {45: 40, 400: 12}),
        ("child#005", 0.0, {200: 2.0}, {0: 15, 200: 60, 719: 5}),
    ):
        p = rows[name]
        rate = np.full(MINUTES, basal * p["u2ss"] * p["BW"] / 6000)
        eaten = np.zeros(MINUTES)
        for minute, units in boluses.items():
            rate[minute] += units
        for minute, grams in meals.items():
            eaten[minute] = grams
        cases[name] = p, rate, eaten
    return cases


@pytest.fixture(scope="module")
def family():
    return Glucose()


def test_glucose_is_that_of_scipy(family):
    cases = protocols()
    _, insulin, meals = zip(*cases.values())
    found = np.asarray(family.simulate(list(cases), np.stack(insulin), np.stack(meals)))
    assert found.shape == (6, MINUTES + 1)
    for name, case, row in zip(cases, cases.values(), found):
        expected = reference(*case)
        assert np.ptp(expected) > 40, name  # there is something to see
        assert np.abs(row - expected).max() < 0.1, name  # mg/dL


@pytest.mark.slow
def test_the_basal_rate_keeps_a_fasting_patient_where_he_is(family):
    names = patients.names()
    assert len(names) == len(set(names)) == 30
    task = family.tasks(names)
    insulin = np.repeat(task["basal"].numpy()[:, None], MINUTES, axis=1)
    glucose = family.simulate(names, insulin, np.zeros_like(insulin)).numpy()
    fasting = [row["Gb"] for row in published().values()]
    np.testing.assert_allclose(glucose, np.repeat(np.c_[fasting], MINUTES + 1, 1), atol=0.05)


def test_patients_that_are_overdosed_stay_finite(family):
    """30 U a minute: the states' guards keep glucose at about 0."""
    insulin = np.zeros([6, MINUTES])
    insulin[:, :5] = 30
    glucose = family.simulate(list(protocols()), insulin, np.zeros_like(insulin)).numpy()
    assert np.isfinite(glucose).all() and glucose.min() > -1 and glucose[:, 300].max() < 20


def test_patients_are_known_by_their_parameters():
    some = ["child#010", "adult#001", "child#010"]
    task = patients.tasks(some)
    assert patients.names_of(task) == some
    others = patients.perturbed(task, 0.2, np.random.default_rng(0))
    assert patients.names_of(others) == ["perturbed"] * 3


def test_perturbed_patients_fast_as_before_and_eat_otherwise(family):
    names = list(protocols())
    task = patients.tasks(names)
    new = patients.perturbed(task, 0.3, np.random.default_rng(0))
    changed = {key for key in task if (new[key] != task[key]).any()}
    assert {"Vmx", "kp3", "kabs", "kmax", "kd", "CR", "CF", "kp1", "initial_state"} <= changed
    assert not {"BW", "Vg", "basal"} & changed
    same = patients.perturbed(task, 0.0, np.random.default_rng(0))
    for key, value in task.items():
        np.testing.assert_allclose(same[key], value, rtol=1e-6)
    insulin = np.repeat(task["basal"][:, None], MINUTES, axis=1)
    for grams in (0, 50):
        meals = np.zeros([6, MINUTES])
        meals[:, 10] = grams
        glucose = environments.glucose.simulate(new, insulin, meals).numpy()
        ordinary = family.simulate(names, insulin, meals).numpy()
        fasting = ordinary[:, :1]
        if grams:
            assert (np.abs(glucose - ordinary).max(axis=1) > 1).all()
        else:
            np.testing.assert_allclose(glucose, fasting + 0 * glucose, atol=0.1)


@pytest.mark.parametrize(
    "change, message",
    [
        (
            {"names": ["adult#011", "child#001"]},
            "patient name to be one of .* received .*adult#011",
        ),
        ({"meals": (0, 3, -1.0)}, "meals to be finite and >= 0 g; received meals=-1.0"),
        ({"meals": (0, 3, np.inf)}, "meals to be finite and >= 0 g; received meals=inf"),
        ({"insulin": (1, 0, 31.0)}, "insulin to be 0 to 30 U/min; received insulin=31.0"),
        ({"insulin": (1, 0, -0.1)}, "insulin to be 0 to 30 U/min"),
        ({"insulin": (1, 0, np.nan)}, "insulin to be 0 to 30 U/min; received insulin=nan"),
        (
            {"names": ["adult#001"]},
            r"shapes of insulin and meals to be \[1 patients, minutes\], both",
        ),
    ],
)
def test_bad_input_is_one_error(family, change, message):
    values = {"insulin": np.zeros([2, 5]), "meals": np.zeros([2, 5])}
    for key, array in values.items():
        if key in change:
            row, column, value = change[key]
            array[row, column] = value
    names = change.get("names", ["adult#001", "child#001"])
    with pytest.raises(ConfigError, match=message):
        family.simulate(names, **values)
