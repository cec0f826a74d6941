import gc
import json
import os
import signal
import time

import pytest

from tfcaml.errors import ConfigError
from tfcaml.experiments import run_directory
from tfcaml.experiments.run_directory import RunDirectory

CONFIG = {"config": {"learner": {"name": "caml", "k": 6}, "layers": (100, 100)}, "seed": 0}


def test_new_directory_has_config_and_versions(tmp_path):
    RunDirectory(tmp_path / "run", CONFIG)
    assert run_directory.read_config(tmp_path / "run")["config"]["learner"]["k"] == 6
    assert "tensorflow" in (tmp_path / "run" / "versions.json").read_text()


def test_what_a_run_was_begun_with_is_kept_and_nothing_hangs_on_it(tmp_path):
    begun = RunDirectory(tmp_path, CONFIG, command="tfcaml train --seed=0").begun()
    assert begun["command"] == "tfcaml train --seed=0" and begun["machine"]["cores"] >= 1
    assert RunDirectory(tmp_path, CONFIG, command="another").begun() == begun
    for text in ("", "[]", "{", "[" * 10**5):
        (tmp_path / "versions.json").write_text(text)
        assert RunDirectory(tmp_path, CONFIG).begun() == {}
    (tmp_path / "versions.json").unlink()
    assert RunDirectory(tmp_path, CONFIG).begun() == {}


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


def test_paths_that_are_not_utf8_are_refused(tmp_path):
    with pytest.raises(ConfigError, match=r"root_dir to be UTF-8; received root_dir='.*a\\udcff'$"):
        RunDirectory(tmp_path / "a\udcff", CONFIG)
    assert not list(tmp_path.iterdir())


def test_numbers_that_json_lacks_are_null(tmp_path):
    value = {"a": [1.5, float("inf")], "b": {"c": -float("inf"), "d": float("nan")}, "e": (1, None)}

    def refuse(word):
        raise ValueError(word)

    run_directory.write_json(tmp_path / "a.json", value)
    found = json.loads((tmp_path / "a.json").read_text(), parse_constant=refuse)
    assert found == {"a": [1.5, None], "b": {"c": None, "d": None}, "e": [1, None]}
    assert run_directory.read_json(tmp_path / "a.json") == found
    (tmp_path / "a.json").write_text(json.dumps(value))  # with the words Infinity and NaN
    assert run_directory.read_json(tmp_path / "a.json") == found


def test_a_run_with_an_infinite_setting_is_opened_again(tmp_path):
    infinite = CONFIG | {"bound": float("inf")}
    for _ in range(2):
        RunDirectory(tmp_path, infinite)
    assert run_directory.read_config(tmp_path)["bound"] is None
    with pytest.raises(ConfigError, match=r"bound is None there and 2\.0 here"):
        RunDirectory(tmp_path, CONFIG | {"bound": 2.0})


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


JUNK = ["[]", "7", "null", '"x"', "[" * 100_000, "", "{", "\x00", "1" * 5000, "cos\nsystem\n"]
JUNK += ['{"a": ' * 60 + "1" + "}" * 60, '{"config": ' + "[" * 80 + "]" * 80 + "}"]


@pytest.mark.parametrize("number", range(len(JUNK)))
def test_what_is_no_config_is_damaged(number, tmp_path):
    (tmp_path / "config.json").write_text(JUNK[number])
    for attempt in (
        lambda: run_directory.read_config(tmp_path),
        lambda: RunDirectory(tmp_path, CONFIG),
    ):
        with pytest.raises(ConfigError, match=r"config\.json is damaged"):
            attempt()
    assert [path.name for path in tmp_path.iterdir()] == ["config.json"]


def pipe(path, elsewhere):
    os.mkfifo(path)


def link(path, elsewhere):
    path.symlink_to(elsewhere)


def terabyte(path, elsewhere):
    path.touch()
    os.truncate(path, 2**40)


@pytest.mark.parametrize("plant", [pipe, link])
@pytest.mark.parametrize(
    "name",
    [
        *("config.json", "versions.json", "train", "eval", "figures", "train/caml/seed_0/x"),
        *("report.html", "report.html.part", "versions.json.part"),
    ],
)
def test_links_and_pipes_are_refused(name, plant, tmp_path):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    root = tmp_path / "run"
    RunDirectory(root, CONFIG)
    path = root / name
    path.unlink(missing_ok=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    plant(path, elsewhere)
    before = sorted(tmp_path.rglob("*"))
    for read_only in (False, True):
        with pytest.raises(ConfigError, match=r"part of root_dir to be a .*, not a link"):
            RunDirectory(root, CONFIG, read_only=read_only)
    assert sorted(tmp_path.rglob("*")) == before and not list(elsewhere.iterdir())


def test_files_are_no_directories_and_none_is_a_terabyte(tmp_path):
    (tmp_path / "train").write_text("")
    with pytest.raises(ConfigError, match="part of root_dir to be a directory"):
        RunDirectory(tmp_path, CONFIG)
    terabyte(tmp_path / "config.json", None)
    with pytest.raises(ConfigError, match="to be a file of at most 16777216 bytes"):
        run_directory.read_config(tmp_path)


def test_nothing_is_written_where_nothing_is_to_be(tmp_path):
    with pytest.raises(ConfigError, match=r"no readable config\.json"):
        RunDirectory(tmp_path / "none", CONFIG, read_only=True)
    assert not list(tmp_path.iterdir())


def test_one_process_at_a_time_and_a_dead_one_is_none(tmp_path):
    RunDirectory(tmp_path, CONFIG)
    gc.collect()
    reader, writer = os.pipe()
    holder = os.fork()
    if holder == 0:
        directory = RunDirectory(tmp_path, CONFIG)
        os.write(writer, b"held" if directory else b"")
        time.sleep(60)
        os._exit(0)
    assert os.read(reader, 4) == b"held"
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    for _ in range(2):
        with pytest.raises(ConfigError, match="used by one process at a time; received root_dir="):
            RunDirectory(tmp_path, CONFIG)
    RunDirectory(tmp_path, CONFIG, read_only=True)
    assert before == {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    os.kill(holder, signal.SIGKILL)
    os.waitpid(holder, 0)
    first = RunDirectory(tmp_path, CONFIG)
    second = RunDirectory(tmp_path, CONFIG)  # a process does not keep itself out
    del first
    gc.collect()
    assert _refused(tmp_path)
    del second
    gc.collect()
    assert not _refused(tmp_path)


def _refused(root):
    """Whether another process is."""
    pid = os.fork()
    if pid == 0:
        run_directory._LOCKS.clear()  # what the child was born with is its parent's
        try:
            RunDirectory(root, CONFIG)
        except ConfigError:
            os._exit(1)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 1
