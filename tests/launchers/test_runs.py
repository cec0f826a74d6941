"""Runs and parts of studies that are kept, and how their tables are written."""

import json

import pytest
from tfcaml.configs import base

from launchers.studies.runs import interval, kept, paired_rows, run_config
from tfcaml import environments, learners
from tfcaml.errors import ConfigError
from tfcaml.experiments.experiment import Experiment
from tfcaml.experiments.run_directory import read_json


def test_a_part_is_computed_once_and_only_for_its_settings(tmp_path):
    calls = []

    def compute():
        calls.append(0)
        return [1.5, None, {"a": 2}]

    path = tmp_path / "parts" / "one.json"
    first = kept(path, {"seed": 0, "sizes": (1, 2)}, compute)
    assert kept(path, {"seed": 0, "sizes": (1, 2)}, compute) == first == [1.5, None, {"a": 2}]
    assert len(calls) == 1
    with pytest.raises(ConfigError, match="seed is 0 there and 1 here"):
        kept(path, {"seed": 1, "sizes": (1, 2)}, compute)
    assert len(calls) == 1


def _difference(value, p_value, **played):
    row = {"value": value, "lower": value - 1, "upper": value + 1, "seeds_won": 2, "num_seeds": 3}
    return row | {"p_value": p_value} | played


def test_paired_tables_say_what_many_comparisons_mean():
    paired = {
        "a - b": {"same_update": [_difference(9.0, 0.001), _difference(2.0, 0.03)]},
        "a - c": {"same_update": [_difference(1.0, 0.5), None]},
        "a - d": {"equal_episodes": []},
    }
    heading, _, first, second, _, note = paired_rows(paired)
    assert heading == "| | k = 0 | k = 1 |"
    assert first == "| a - b | 9.0 [8.0, 10.0] (2/3)* | 2.0 [1.0, 3.0] (2/3) |"
    assert second == "| a - c | 1.0 [0.0, 2.0] (2/3) |  |"
    assert "of these 3, 0.1 are expected to miss" in note and "Holm" in note


def test_equal_episodes_are_printed():
    played = {"episodes": 20, "other_episodes": 40}
    rows = [_difference(9.0, 0.001, **played), None]
    lines = paired_rows({"a - b": {"equal_episodes": rows}}, "equal_episodes")
    assert lines[2] == "| a - b | 9.0 [8.0, 10.0] (2/3; 20 / 40)* |  |"
    assert "first update with at least as many" in lines[-1]


def test_numbers_that_are_only_bounds_are_printed_as_such():
    row = {"value": 0.05, "lower": 0.03, "upper": 0.17, "censored": {"lower": "<"}}
    assert interval(row, 2) == "0.05 [< 0.03, 0.17]"
    row = {"value": 200, "lower": None, "upper": None, "censored": {"value": ">"}}
    assert interval(row, 0) == "> 200"


def test_numbers_that_json_lacks_come_back_alike(tmp_path):
    """What is computed and what is read is the same, and any program reads the file."""
    settings = {"bound": float("inf")}
    compute = lambda: {"found": (1.0, float("nan"), float("inf"))}
    values = [kept(tmp_path / "one.json", settings, compute) for _ in range(2)]
    assert values == [{"found": [1.0, None, None]}] * 2
    text = (tmp_path / "one.json").read_text()
    assert not any(word in text for word in ("NaN", "Infinity"))


@pytest.mark.slow
def test_a_run_of_a_study_is_a_run(tmp_path, serve):
    """It is opened, evaluated again and exported like one that launchers.train made."""
    learner = learners.Reptile.Config(num_iterations=1, inner_updates=1, episodes_per_update=2)
    content = base.experiment(
        base.section("particle", environments.ParticleConfig(horizon=5, arena_bound=float("inf"))),
        base.section("reptile", learner),
        policy={"fc_layer_params": (4,), "activation": "tanh"},
        evaluation={"num_tasks": 2, "num_updates": 1, "episodes": 2},
    ).to_dict()
    root = tmp_path / "run"
    experiment, summary = run_config(content, (3, 4), root, jit_compile=False)
    content["num_seeds"] = 2
    assert read_json(root / "config.json")["seed"] == 3
    opened = Experiment.open(root, num_updates=2)
    assert opened.config.seeds == (3, 4) and opened.config.num_updates == 2
    assert opened.environment.config == experiment.environment.config
    for left, right in zip(
        opened.trained("reptile", 4).variables, experiment.trained("reptile", 4).variables
    ):
        assert (left.numpy() == right.numpy()).all()
    del experiment, opened
    code, lines = serve("evaluate", f"--root_dir={root}")
    assert code == 0, lines
    assert json.loads((root / "eval" / "evaluation.json").read_text()) == json.loads(
        json.dumps(summary)
    )
    assert Experiment.create(root, content, 3, jit_compile=False).train()  # it is done already
