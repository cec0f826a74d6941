"""Figure 2 at tiny sizes, and what is committed of it."""

import dataclasses
import json
import pathlib

import numpy as np
import pytest

from launchers.studies.caml import figure2 as caml_figure2
from tfcaml import environments, learners, nest, policies

DOCS = pathlib.Path(__file__).parents[4] / "docs" / "caml_figure2"


@pytest.fixture(scope="module")
def two_seeds(tmp_path_factory):
    """(directory, results) of two seeds."""
    directory = tmp_path_factory.mktemp("figure2")
    return directory, caml_figure2.run((0, 1), directory, quick=True)[0]


@pytest.mark.slow
def test_scores_of_a_seed_do_not_depend_on_further_seeds(two_seeds, tmp_path):
    alone = caml_figure2.run((0,), tmp_path, quick=True)[0]
    np.testing.assert_allclose(
        alone["returns"]["independent"][0], two_seeds[1]["returns"]["independent"][0], atol=1e-3
    )
    for condition, scores in alone["scores"].items():
        for name, measures in scores.items():
            for measure, values in measures.items():
                both = two_seeds[1]["scores"][condition][name][measure]
                np.testing.assert_allclose(values[0], both[0], atol=2e-3, err_msg=name)
                assert len(values) == 1 and len(both) == 2


@pytest.mark.slow
def test_seeds_differ(two_seeds):
    silhouette = two_seeds[1]["scores"]["independent"][caml_figure2.RECOMMENDED]["silhouette"]
    assert silhouette[0] != silhouette[1]


@pytest.mark.slow
def test_it_goes_on_where_it_stopped(two_seeds):
    directory, before = two_seeds
    parts = sorted((directory / "parts").glob("*.json"))
    assert len(parts) == 4  # two conditions, two updates
    kept, lost = parts[0], parts[1]
    content = json.loads(kept.read_text())
    content["value"]["returns"] = [-1.0, -2.0]  # a mark that computing anew would wipe out
    kept.write_text(json.dumps(content))
    lost.unlink()
    results = caml_figure2.run((0, 1), directory, quick=True)[0]
    assert [row[0] for row in results["returns"]["independent"]] == [-1.0, -2.0]
    assert results["scores"] == before["scores"]
    assert lost.exists()


def test_initialisations_are_shared_or_not():
    environment = environments.Particle(environments.ParticleConfig(horizon=4))
    policy = policies.mlp_policy(environment.observation_spec, environment.action_spec, (4,))
    trained = caml_figure2.Policies(environment, policy, (3, 4), False)
    start = lambda: nest.map(np.asarray, trained.learner.meta.read().params)[0]
    apart = start()
    assert len(np.unique(apart.reshape(48, -1), axis=0)) == 48
    trained.restart(shared=True)
    common = start()
    for rows, seed in ((common[:24], 3), (common[24:], 4)):
        np.testing.assert_array_equal(rows, np.repeat(policy.init(seed)[0][None], 24, axis=0))
    trained.restart(shared=False)
    np.testing.assert_array_equal(start(), apart)


def test_committed_results_are_of_the_settings_that_exist():
    results = json.loads((DOCS / "results.json").read_text())
    assert results["seeds"] == list(range(20)) and "--quick" not in results["command"]
    assert results["updates"] == list(caml_figure2.UPDATES)
    environment = dataclasses.asdict(environments.ParticleConfig())
    learner = learners.PolicyGradient.Config(meta_batch_size=24 * len(results["seeds"]))
    assert results["environment"].items() <= environment.items()
    assert results["learner"].items() <= dataclasses.asdict(learner).items()
    for condition, names in caml_figure2.CONDITIONS.items():
        assert list(results["scores"][condition]) == names
        for measures in results["scores"][condition].values():
            for values in measures.values():
                assert np.shape(values) == (20, len(caml_figure2.UPDATES))


def test_committed_page_is_that_of_the_committed_results():
    results = json.loads((DOCS / "results.json").read_text())
    page = (DOCS / "results.md").read_text()
    assert page == f"{caml_figure2.text(results)}\nMade by `{results['command']}`.\n"
    assert {path.stem for path in DOCS.glob("*.png")} == {"maps", "scores"}


def test_growth_is_judged_by_the_median():
    results = json.loads((DOCS / "results.json").read_text())
    ari = results["scores"]["independent"][caml_figure2.RECOMMENDED]["ari"]
    last = [row[-1] for row in ari]
    assert "0 < 20 < 40: holds" in caml_figure2.text(results)
    for row, value in zip(ari, last):
        row[len(row) // 2] = value + 0.1
    assert "0 < 20 < 40: does not hold" in caml_figure2.text(results)
