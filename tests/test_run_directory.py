import pytest

from tfcaml import run_directory
from tfcaml.errors import ConfigError
from tfcaml.run_directory import RunDirectory

CONFIG = {"config": {"learner": {"name": "caml", "k": 6}, "layers": (100, 100)}, "seed": 0}


def test_new_directory_has_config_and_versions(tmp_path):
    RunDirectory(tmp_path / "run", CONFIG)
    assert run_directory.read_config(tmp_path / "run")["config"]["learner"]["k"] == 6
    assert "tensorflow" in (tmp_path / "run" / "versions.json").read_text()


def test_same_config_opens_it_again(tmp_path):
    RunDirectory(tmp_path, CONFIG)
    RunDirectory(tmp_path, CONFIG)


def test_another_config_is_refused_and_nothing_changes(tmp_path):
    RunDirectory(tmp_path, CONFIG)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    other = {"config": {"learner": {"name": "caml", "k": 5}, "layers": (100, 100)}, "seed": 0}
    with pytest.raises(ConfigError, match=r"config\.learner\.k is 6 there and 5 here"):
        RunDirectory(tmp_path, other)
    assert before == {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}


def test_foreign_and_unwritable_directories_are_refused(tmp_path):
    (tmp_path / "train").mkdir()
    with pytest.raises(ConfigError, match=r"train/ but no config\.json"):
        RunDirectory(tmp_path, CONFIG)
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="root_dir to be writable"):
        RunDirectory(tmp_path / "file" / "run", CONFIG)


def test_damaged_config_is_named(tmp_path):
    RunDirectory(tmp_path, CONFIG)
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(ConfigError, match="damaged"):
        RunDirectory(tmp_path, CONFIG)
    with pytest.raises(ConfigError, match=r"no readable config\.json"):
        run_directory.read_config(tmp_path / "missing")


def test_first_difference_also_finds_missing_fields():
    assert run_directory.first_difference({"a": {"b": 1}}, {"a": {"b": 1}}) is None
    assert run_directory.first_difference({"a": 1}, {"a": 1, "c": 2}) == ("c", "(absent)", 2)
