"""Virtual patients: all of them compiled, beside one after the other by SciPy's `dopri5`."""

import functools

import numpy as np
from scipy import integrate

from tfcaml import environments, keys
from tfcaml.environments.glucose import meals, patients

from .timing import Contestant, Ratio, measure

_DAY = 1440  # min


def run(repeats, quick):
    """Patient-minutes per second of 30 patients for 32 days of meals with their boluses."""
    days, alone = (1, 30) if quick else (32, 480)
    names = patients.names() * days
    family = environments.Glucose()
    task = {key: values.numpy() for key, values in family.tasks(names).items()}
    grams = _grams(len(names))
    insulin = task["basal"][:, None] + grams / task["CR"][:, None]
    simulate = functools.partial(family.simulate, names, insulin, grams)
    # One patient of each cohort, from breakfast on.
    rows, some = (0, 12, 25), slice(360, 360 + alone)
    one = [{key: x[row].astype(float).tolist() for key, x in task.items()} for row in rows]
    inputs = [(insulin[row, some].tolist(), grams[row, some].tolist()) for row in rows]

    def loop():
        return [_scipy(patient, *given) for patient, given in zip(one, inputs)]

    result = measure(
        {
            "tfcaml, XLA": Contestant(simulate, grams.size, "patient-minutes/s"),
            "SciPy, dopri5": Contestant(loop, len(rows) * alone, "patient-minutes/s"),
        },
        repeats,
        [Ratio("tfcaml, XLA", "SciPy, dopri5", 1000)],
    )
    short = [np.stack(values) for values in zip(*inputs)]
    found = family.simulate([names[row] for row in rows], *short).numpy()
    difference = float(np.abs(found - loop()).max())
    result["checks"] = {"largest difference between tfcaml and SciPy, mg/dL": difference}
    return result


def _grams(num):
    """Carbohydrate announced in each minute of `num` random days, [num, 1440]."""
    time, amounts = meals.day(keys.per_episode(keys.from_int(0), num, 1))
    grams = np.zeros([num, _DAY], np.float32)
    rows = np.repeat(np.arange(num)[:, None], time.shape[-1], axis=1)
    np.add.at(grams, (rows, time[:, 0].numpy().astype(int)), amounts[:, 0].numpy())
    return grams


def _scipy(p, insulin, grams):
    """Glucose of one patient as one would write it with SciPy: a list, minute by minute."""
    solver = integrate.ode(_changes).set_integrator("dopri5")
    solver.set_initial_value(p["initial_state"], 0)
    found, plate, before, stomach, eaten = [p["initial_state"][12] / p["Vg"]], 0.0, 0.0, 0.0, 0.0
    for rate, announced in zip(insulin, grams):
        plate += announced
        bite = min(plate, 5.0)
        plate -= bite
        if bite > 0 and before == 0:
            stomach, eaten = solver.y[0] + solver.y[1], 0.0
        before = bite
        eaten += bite
        solver.set_f_params(p, 1000 * bite, rate * 6000 / p["BW"], stomach + 1000 * eaten)
        found.append(solver.integrate(solver.t + 1)[12] / p["Vg"])
    return found


def _changes(_, x, p, intake, infusion, meal):
    """The equations of `tfcaml.environments.glucose.model`, of one patient."""
    emptying = p["kmax"]
    if meal > 0:
        up = np.tanh(5 / (2 * meal * (1 - p["b"])) * (x[0] + x[1] - p["b"] * meal))
        down = np.tanh(5 / (2 * meal * p["d"]) * (x[0] + x[1] - p["d"] * meal))
        emptying = p["kmin"] + (p["kmax"] - p["kmin"]) / 2 * (up - down + 2)
    appearance = p["f"] * p["kabs"] * x[2] / p["BW"]
    production = max(p["kp1"] - p["kp2"] * x[3] - p["kp3"] * x[8], 0)
    renal = p["ke1"] * max(x[3] - p["ke2"], 0)
    exchange = p["k1"] * x[3] - p["k2"] * x[4]
    uptake = (p["Vm0"] + p["Vmx"] * x[6]) * x[4] / (p["Km0"] + x[4])
    skin = p["ka1"] * x[10] + p["ka2"] * x[11]
    return [
        intake - p["kmax"] * x[0],
        p["kmax"] * x[0] - emptying * x[1],
        emptying * x[1] - p["kabs"] * x[2],
        (x[3] >= 0) * (production + appearance - p["Fsnc"] - renal - exchange),
        (x[4] >= 0) * (exchange - uptake),
        (x[5] >= 0) * (p["m1"] * x[9] + skin - (p["m2"] + p["m4"]) * x[5]),
        p["p2u"] * (x[5] / p["Vi"] - p["Ib"] - x[6]),
        p["ki"] * (x[5] / p["Vi"] - x[7]),
        p["ki"] * (x[7] - x[8]),
        (x[9] >= 0) * (p["m2"] * x[5] - (p["m1"] + p["m30"]) * x[9]),
        (x[10] >= 0) * (infusion - (p["ka1"] + p["kd"]) * x[10]),
        (x[11] >= 0) * (p["kd"] * x[10] - p["ka2"] * x[11]),
        (x[12] >= 0) * p["ksc"] * (x[3] - x[12]),
    ]
