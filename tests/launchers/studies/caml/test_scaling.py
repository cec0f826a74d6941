"""Scaling at tiny sizes, and what is committed of it."""

import dataclasses
import json
import pathlib

import numpy as np
import pytest

from launchers.studies.caml import scaling as caml_scaling
from tfcaml import environments, learners

DOCS = pathlib.Path(__file__).parents[4] / "docs" / "caml_scaling"


def test_exponent_is_that_of_the_largest_sizes():
    sizes = np.array([10, 20, 100, 200, 400])
    seconds = np.where(sizes < 100, 1.0, 1e-6 * sizes**2.0)
    np.testing.assert_allclose(caml_scaling.exponent(sizes, seconds), 2)


def test_policies_take_turns_in_the_groups():
    quick = caml_scaling._learner((12,), 4, quick=True)
    untrained = learners.PolicyGradient.Config(num_iterations=0, meta_batch_size=6)
    learner = learners.PolicyGradient(quick.environment, quick.policy, untrained)
    params, trajectory, groups = caml_scaling._trained(learner, 0, 12, progress=None)
    assert sorted(groups[:6]) == sorted(groups[6:]) == list(range(6))
    weights = np.asarray(params[0]).reshape(12, -1)
    assert len(np.unique(weights, axis=0)) == 12  # chunks have initialisations of their own
    assert trajectory.mask.shape == (12, 1, 4)


@pytest.fixture
def committed():
    return json.loads((DOCS / "results.json").read_text())


def test_committed_results_are_of_the_settings_that_exist(committed):
    assert "--quick" not in committed["command"]
    assert committed["sizes"] == list(caml_scaling.SIZES)
    assert committed["num_states"] == caml_scaling.NUM_STATES
    assert list(committed["agreement"]) == [str(size) for size in caml_scaling.CLUSTERED]
    variants = -(-max(caml_scaling.SIZES) // caml_scaling.GROUPS)
    environment = environments.ParticleConfig(variants_per_group=variants)
    learner = learners.PolicyGradient.Config(meta_batch_size=caml_scaling.CHUNK)
    assert committed["environment"].items() <= dataclasses.asdict(environment).items()
    assert committed["learner"].items() <= dataclasses.asdict(learner).items()
    for rows in committed["agreement"].values():
        assert all(len(values) == len(committed["seeds"]) for values in rows.values())


def test_committed_page_is_that_of_the_committed_results(committed):
    page = (DOCS / "results.md").read_text()
    assert page == f"{caml_scaling.text(committed)}\nMade by `{committed['command']}`.\n"
    assert {path.stem for path in DOCS.glob("*.png")} == {"scaling"}
