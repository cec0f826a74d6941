"""What the study of glucose counts over patients who are held out by several seeds."""

import json
import pathlib

import pytest

from launchers.studies.glucose.cohort import less_safe, paired_patients

RESULTS = pathlib.Path(__file__).parents[4] / "docs" / "glucose_cohort" / "results.json"


def _row(seed, patient, inside, below):
    methods = {"caml": [0.6 + inside, 0.1 + below], "basal-bolus": [0.6, 0.1]}
    return {"seed": seed, "patient": patient, "methods": methods}


def test_patients_count_once():
    rows = [
        _row(0, "adult#001", 0.1, 0.02),
        _row(0, "child#001", 0.3, 0.01),
        _row(1, "adult#001", 0.2, -0.03),
        _row(1, "child#002", -0.1, 0.0),
        _row(2, "adult#001", 0.0, -0.01),
        _row(2, "child#003", 0.0, 0.04),
    ]
    found = paired_patients(rows)["caml - basal-bolus"]["time_in_range"]
    assert found["value"] == pytest.approx((0.1 + 0.3 - 0.1 + 0.0) / 4)
    assert (found["patients_won"], found["num_patients"]) == (2, 4)
    assert found["lower"] < found["value"] < found["upper"]
    assert less_safe(rows, "caml") == 2  # which are three rows


def test_kept_results_are_of_their_patients():
    kept = json.loads(RESULTS.read_text())
    assert paired_patients(kept["patients"]) == kept["paired_patients"]
