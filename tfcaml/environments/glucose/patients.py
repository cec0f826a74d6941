"""The 30 virtual patients, and others made from them. Research use only, not for dosing decisions.

10 adolescents, 10 adults and 10 children of the UVA/Padova type-1 diabetes simulator of 2008, as
the package simglucose 0.2.11 publishes them (`data/`, MIT licence).
"""

import csv
import functools
import pathlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from tfcaml.environments.glucose.model import PARAMETERS, Body
from tfcaml.errors import check_one_of

# Ten virtual patients each.
COHORTS = ("adolescent", "adult", "child")
_DATA = pathlib.Path(__file__).parent / "data"
_PMOL_PER_UNIT = 6000
# What `perturbed` varies: factors of a person, and the parameters that each multiplies.
_VARIED = {
    "sensitivity": ("Vmx", "kp3"),  # to insulin
    "digestion": ("kabs", "kmax", "kmin"),
    "absorption": ("ka1", "ka2", "kd"),  # of insulin from below the skin
}


def names() -> tuple[str, ...]:
    """The names of all patients, such as "adult#001": tuple of 30."""
    return tuple(_table())


def cohort(name: str) -> str:
    """The cohort of a patient: "adult#001" -> "adult"."""
    return name.split("#")[0]


def tasks(patient_names: Sequence[str]) -> dict[str, np.ndarray]:
    """The tasks of patients by name.

    Args:
      patient_names: P names; the same may come again.

    Returns:
      dict of arrays: the parameters of the model (`model.PARAMETERS`) and "basal", the insulin that
      keeps the patient's fasting glucose, U/min; "CR", carbohydrate ratio, g/U; "CF", correction
      factor, mg/dL per U: each [P]; "initial_state" [P, 13], fasting at the basal rate.

    Raises:
      ConfigError: an unknown patient.
    """
    for name in patient_names:
        check_one_of("patient name", name, names())
    rows = [_table()[name] for name in patient_names]
    return {key: np.stack([row[key] for row in rows]) for key in rows[0]}


def names_of(task: dict[str, np.ndarray]) -> list[str]:
    """The names of the patients in a task [P]: list; of one who was perturbed "perturbed"."""
    known = tasks(names())
    flat = lambda arrays: np.concatenate(
        [np.reshape(arrays[key], [len(arrays["BW"]), -1]) for key in sorted(known)], axis=1
    )
    same = (flat(task)[:, None] == flat(known)[None]).all(axis=-1)  # [P, 30]
    return [names()[row.argmax()] if row.any() else "perturbed" for row in same]


def perturbed(
    task: dict[str, np.ndarray], spread: float, rng: np.random.Generator
) -> dict[str, np.ndarray]:
    """New persons like those of `task`: insulin sensitivity, digestion and absorption vary.

    Each of the three is multiplied by a log-normal factor. The basal rate still keeps the same
    fasting glucose; carbohydrate ratio and correction factor go with the sensitivity.

    Args:
      task: dict of arrays [P, ...], see `tasks`.
      spread: standard deviation of the factors' logarithms.
      rng: `np.random.Generator`.
    """
    size = len(task["BW"])
    factors = {name: np.exp(spread * rng.normal(size=size)) for name in _VARIED}
    scale = {key: factors[name] for name, keys in _VARIED.items() for key in keys}
    scale |= dict.fromkeys(("CR", "CF"), factors["sensitivity"])
    scaled = {key: (value.T * scale.get(key, 1)).T for key, value in task.items()}
    new = {key: value.astype(np.float32) for key, value in scaled.items()}
    # Fasting, production of glucose is what it was, and insulin leaves the skin as it enters.
    fasting_insulin = task["initial_state"][:, Body._fields.index("delayed_insulin")]
    new["kp1"] = task["kp1"] + (new["kp3"] - task["kp3"]) * fasting_insulin
    infusion = task["basal"] * _PMOL_PER_UNIT / task["BW"]
    depot_1 = infusion / (new["ka1"] + new["kd"])
    state = task["initial_state"].copy()
    state[:, Body._fields.index("depot_1")] = depot_1
    state[:, Body._fields.index("depot_2")] = new["kd"] * depot_1 / new["ka2"]
    new["initial_state"] = state
    return new


@functools.cache
def _table() -> dict[str, dict[str, Any]]:
    """name -> task of one patient, without the leading axis."""
    quest = {row["Name"]: row for row in _rows("uva_padova_2008_quest.csv")}
    return {
        row["Name"]: _task(row, quest[row["Name"]]) for row in _rows("uva_padova_2008_patients.csv")
    }


def _rows(file: str) -> list[dict[str, str]]:
    with open(_DATA / file, encoding="utf-8", newline="") as lines:
        return list(csv.DictReader(lines))


def _task(row: dict[str, str], quest: dict[str, str]) -> dict[str, Any]:
    number = lambda value: np.float32(value)
    state = [float(row[f"x0_{index:2d}"]) for index in range(1, len(Body._fields) + 1)]
    return {
        **{key: number(row[key]) for key in PARAMETERS},
        "basal": number(float(row["u2ss"]) * float(row["BW"]) / _PMOL_PER_UNIT),
        "CR": number(quest["CR"]),
        "CF": number(quest["CF"]),
        "initial_state": np.array(state, np.float32),
    }
