"""Committed results are of configs and settings that exist, and complete."""

import dataclasses
import json
import pathlib

import pytest
from tfcaml.configs.caml import figure3 as caml_figure3

from launchers import _configs
from launchers.studies import STUDIES
from launchers.studies.hindsight.bench import Bench
from tfcaml import settings
from tfcaml.experiments.config import completed
from tfcaml.learners import NaturalPolicyGradient

DOCS = pathlib.Path(__file__).parents[1] / "docs"
RESULTS = sorted(DOCS.glob("*/results.json"))


def plain(content):
    """A config as JSON has it."""
    return settings.as_json(content)


def parts_with_config(node):
    """Every dict in nested results that names its config."""
    if isinstance(node, dict):
        if "settings" in node and "config" in node:
            yield node
        for value in node.values():
            yield from parts_with_config(value)


@pytest.mark.parametrize("path", RESULTS, ids=lambda path: path.parent.name)
def test_results_are_json_that_any_program_reads(path):
    """No Infinity, no NaN: JSON has neither."""

    def refuse(word):
        raise ValueError(word)

    json.loads(path.read_text(), parse_constant=refuse)


@pytest.mark.parametrize("path", RESULTS, ids=lambda path: path.parent.name)
def test_results_name_a_study_its_seeds_and_its_command(path):
    results = json.loads(path.read_text())
    assert results["study"] in STUDIES and results["study"] == path.parent.name
    assert results["seeds"] == list(range(results["seeds"][0], results["seeds"][-1] + 1))
    assert f"--study={results['study']}" in results["command"]
    assert f"--seeds={len(results['seeds'])}" in results["command"]
    assert "--quick" not in results["command"]
    assert results["command"] in (path.parent / "results.md").read_text()


@pytest.mark.parametrize("path", RESULTS, ids=lambda path: path.parent.name)
def test_results_are_of_the_shipped_configs(path):
    """With fields at their defaults that did not exist yet."""
    for part in parts_with_config(json.loads(path.read_text())):
        config = _configs.module(part["config"]).get_config()
        made_with = completed({"config": part["settings"]})["config"]
        assert plain(made_with) == plain(config.to_dict())


@pytest.mark.slow
def test_hindsight_results_are_of_todays_settings():
    results = json.loads((DOCS / "hindsight_maze" / "results.json").read_text())
    defaults = dataclasses.asdict(NaturalPolicyGradient.Config())
    for layout, those in results["settings"].items():
        those["experts"] = plain(settings.merged(defaults, those["experts"]))
        for section in those["learners"].values():
            section["outer"] = settings.merged(defaults["outer"], section["outer"])
        assert those == plain(Bench(layout).settings)


def test_baselines_have_the_settings_that_tuning_found():
    best = json.loads((DOCS / "caml_tuning" / "results.json").read_text())["best"]
    baselines = caml_figure3.get_config().compared
    for method, setting in best.items():
        shipped = settings.flat(baselines[method].to_dict())
        for field, value in settings.flat(setting).items():
            assert shipped[field] == value, (method, field)


def test_pictures_that_pages_show_exist():
    for page in DOCS.glob("*.md"):
        for name in page.read_text().split("](")[1:]:
            target = name.partition(")")[0]
            if not target.startswith("http"):
                assert (page.parent / target.partition("#")[0]).exists(), (page.name, target)
