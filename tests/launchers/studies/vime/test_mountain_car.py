"""The committed results of the study, and what they have to show."""

import json
import pathlib

import numpy as np

from launchers.studies.vime import mountain_car

DOCS = pathlib.Path(__file__).parents[4] / "docs" / "vime_mountain_car"
RESULTS = json.loads((DOCS / "results.json").read_text())


def test_information_gain_finds_what_noise_does_not():
    """In at least 8 of 10 seeds within 100,000 steps; alone in fewer."""
    methods = RESULTS["methods"]
    iterations = len(methods["TRPO alone"]["returns"][0])
    assert iterations * RESULTS["steps_per_iteration"] == 100_000
    assert RESULTS["seeds"] == list(range(10))
    for method in ("TRPO", "REINFORCE"):
        with_vime, alone = methods[f"{method} with VIME"], methods[f"{method} alone"]
        assert with_vime["found"] >= 8 and alone["found"] < with_vime["found"]
        assert len(with_vime["returns"]) == len(alone["returns"]) == 10


def test_the_committed_page_is_that_of_the_committed_results():
    page = (DOCS / "results.md").read_text()
    assert page == f"{mountain_car.text(RESULTS)}\nMade by `{RESULTS['command']}`.\n"
    assert {path.stem for path in DOCS.glob("*.png")} == {"found", "returns", "visited"}


def test_when_a_seed_found_it():
    rows = mountain_car._row(np.array([[0, 0, 0.1, 0], [0, 0, 0, 0.0]]), 500)
    assert rows["first_iteration"] == [3, None] and rows["first_steps"] == [1500, None]
    assert rows["found"] == 1 and rows["learned"] == 0
