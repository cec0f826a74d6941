"""Parts of studies that are kept, and how their tables are written."""

import pytest

from launchers.studies.runs import interval, kept, paired_rows
from tfcaml.errors import ConfigError


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
