"""What is saved is what is read, or nothing is."""

import hashlib
import json
import logging
import os
import pathlib
import tempfile

import numpy as np
import pytest
import tensorflow as tf

from tfcaml import nest
from tfcaml.errors import ConfigError, WriteError, writing
from tfcaml.experiments import checkpoints
from tfcaml.experiments.checkpoints import Checkpoints
from tfcaml.learners.state import Variables
from tfcaml.types import FastState

ABOUT = {"environment": "particle", "learner": "CAML", "config": {"learner": {"k": 6}}}
FILES = ("manifest.json", "variables.index", "variables.data-00000-of-00001")


def variables(value=0.0, **changes):
    """Three variables that all follow from one number."""
    made = {
        "meta/params/0": tf.Variable(tf.fill([2, 3], value)),
        "meta/a.b": tf.Variable([value + 0.5]),
        "iteration": tf.Variable(int(value)),
    }
    return {
        name: variable for name, variable in {**made, **changes}.items() if variable is not None
    }


def manager(directory, value=0.0, about=ABOUT, keep=2, **changes):
    return Checkpoints(directory, variables(value, **changes), about, keep)


@pytest.fixture
def saved(tmp_path):
    """A directory with checkpoints of steps 3 and 7, whose values are the steps."""
    for step in (3, 7):
        manager(tmp_path, float(step)).save(step)
    return tmp_path


def restored(directory, **options):
    """(step, values of the variables) of what is read."""
    held = variables()
    step = Checkpoints(directory, held, ABOUT).restore(**options)
    return step, [float(tf.reduce_max(variable)) for variable in held.values()]


def contents(directory):
    paths = sorted(path for path in directory.rglob("*") if path.is_file())
    return {path: path.read_bytes() for path in paths}


def test_values_come_back_and_nothing_else_is_left(saved):
    assert restored(saved) == (7, [7.0, 7.5, 7.0])
    assert sorted(path.name for path in saved.iterdir()) == ["iteration-3", "iteration-7"]
    assert {path.name for path in (saved / "iteration-7").iterdir()} == set(FILES)


def test_a_checkpoint_of_a_step_is_read_if_it_is_there(saved):
    assert restored(saved, step=3) == (3, [3.0, 3.5, 3.0])
    assert restored(saved, step=5) == (0, [0.0, 0.5, 0.0])


def test_nothing_to_restore_is_step_0(tmp_path):
    assert restored(tmp_path / "missing") == (0, [0.0, 0.5, 0.0])
    assert not (tmp_path / "missing").exists()


ODD = ["a[1]", "[ab]", "a*b", "a?b", "a\\b", "a]b", "{a}", "a b", "ü☃"]
ODD += ["a\nb", "\t", "'\"", "-a", "%s"]


@pytest.mark.parametrize("name", ODD)
def test_a_path_is_no_pattern(name, tmp_path, caplog):
    """TensorFlow looks for "a1" where it is told "a[1]"; relative paths work as absolute ones."""
    (tmp_path / "a1").mkdir()
    for step in (3, 7):
        manager(tmp_path / name, float(step)).save(step)
    relative = os.path.relpath(tmp_path / name)
    for directory in (tmp_path / name, relative):
        assert restored(directory) == (7, [7.0, 7.5, 7.0])
    assert not caplog.records


def test_a_file_that_may_not_be_read_is_not_called_damaged(caplog):
    """Nothing is known of it then, so that no older one is taken and no fresh start is made."""
    user = os.geteuid()
    with tempfile.TemporaryDirectory() as folder:  # pytest's are closed to others
        for step in (3, 7):
            manager(pathlib.Path(folder), float(step)).save(step)
        manifest = pathlib.Path(folder, "iteration-7", FILES[0])
        os.chmod(folder, 0o755)
        os.chmod(manifest, 0)
        try:
            if user == 0:  # whom no mode keeps out
                os.seteuid(65534)
            with pytest.raises(ConfigError, match=r"json can't be read: Permission denied"):
                restored(folder, allow_fresh_start=True)
        finally:
            os.seteuid(user)
        assert not caplog.records
        os.chmod(manifest, 0o644)
        assert restored(folder)[0] == 7


def test_manifest_says_what_is_held(saved):
    manifest = json.loads((saved / "iteration-7" / "manifest.json").read_text())
    assert manifest["step"] == 7
    assert manifest["versions"]["tensorflow"] == tf.__version__
    about = manifest["about"]
    assert about["learner"] == "CAML" and about["config"] == ABOUT["config"]
    assert about["variables"] == {
        "meta/params/0": "float32 [2, 3]",
        "meta/a.b": "float32 [1]",
        "iteration": "int32 []",
    }
    data = (saved / "iteration-7" / FILES[2]).read_bytes()
    expected = {"size": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    assert manifest["files"][FILES[2]] == expected


def test_the_newest_are_kept_in_order_of_their_numbers(tmp_path):
    for step in (8, 9, 10, 11):
        manager(tmp_path, keep=3).save(step)
    assert {path.name for path in tmp_path.iterdir()} == {f"iteration-{i}" for i in (9, 10, 11)}
    with pytest.raises(ConfigError, match="keep to be >= 1"):
        manager(tmp_path, keep=0)


def truncate(path):
    os.truncate(path, path.stat().st_size // 2)


def flip(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


DAMAGES = {
    "truncated": truncate,
    "flipped": flip,
    "empty": lambda path: path.write_bytes(b""),
    "missing": os.unlink,
    "longer": lambda path: path.write_bytes(path.read_bytes() + b"x"),
}


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_newest_one_is_passed_over_with_one_warning(saved, damage, name, caplog):
    path = saved / "iteration-7" / name
    DAMAGES[damage](path)
    before = contents(saved)
    with caplog.at_level(logging.WARNING):
        assert restored(saved) == (3, [3.0, 3.5, 3.0])
    assert len(caplog.records) == 1 and str(path) in caplog.text
    assert contents(saved) == before


def test_no_bit_of_a_checkpoint_can_change_unseen(saved):
    """Bits all over the manifest, and of the first, middle and last bytes of the others."""
    for name in FILES:
        path = saved / "iteration-7" / name
        whole = path.read_bytes()
        positions = (
            range(0, len(whole), 7) if name == FILES[0] else (0, len(whole) // 2, len(whole) - 1)
        )
        for position in positions:
            changed = bytearray(whole)
            changed[position] ^= 1 << position % 8
            path.write_bytes(changed)
            assert restored(saved)[0] == 3, (name, position)
        path.write_bytes(whole)
    assert restored(saved)[0] == 7


def test_where_none_is_whole_a_fresh_start_must_be_allowed(saved):
    for step in (3, 7):
        truncate(saved / f"iteration-{step}" / FILES[2])
    before = contents(saved)
    with pytest.raises(ConfigError, match=r"no checkpoint in .*iteration-7.*--allow_fresh_start"):
        restored(saved)
    assert restored(saved, allow_fresh_start=True) == (0, [0.0, 0.5, 0.0])
    assert contents(saved) == before


def test_what_was_passed_over_gives_way_and_is_not_lost(saved):
    flip(saved / "iteration-7" / FILES[2])
    before = (saved / "iteration-7" / FILES[2]).read_bytes()
    manager(saved, 5.0).save(5)
    assert restored(saved)[0] == 5
    names = {path.name for path in saved.iterdir()}
    assert names == {"iteration-3", "iteration-5", "iteration-7.aside"}
    assert (saved / "iteration-7.aside" / FILES[2]).read_bytes() == before


def test_checkpoints_of_earlier_versions_are_not_taken_for_none(tmp_path, caplog):
    tf.train.CheckpointManager(
        tf.train.Checkpoint(**variables()), str(tmp_path), 2, checkpoint_name="iteration"
    ).save(checkpoint_number=10)
    with pytest.raises(ConfigError, match=r"iteration-10\.index.*--allow_fresh_start"):
        restored(tmp_path)


MISFITS = {
    "environment is 'particle' there and 'navigation'": {
        "about": {**ABOUT, "environment": "navigation"}
    },
    "learner is 'CAML' there and 'MAML' here": {"about": {**ABOUT, "learner": "MAML"}},
    r"config\.learner\.k is 6 there and 8 here": {
        "about": {**ABOUT, "config": {"learner": {"k": 8}}}
    },
    r"variables\.meta/params/0 is 'float32 \[2, 3\]' there and 'float32 \[2, 4\]' here": {
        "meta/params/0": tf.zeros([2, 4])
    },
    r"variables\.iteration is 'int32 \[\]' there and 'int64 \[\]' here": {
        "iteration": tf.constant(0, tf.int64)
    },
    r"variables\.iteration is 'int32 \[\]' there and '\(absent\)' here": {
        "iteration": None,
        "step": tf.constant(0),
    },
    r"variables\.more is '\(absent\)' there and 'float32 \[\]' here": {"more": tf.constant(0.0)},
}


@pytest.mark.parametrize("message", MISFITS)
def test_another_runs_checkpoint_is_refused(saved, message):
    changes = dict(MISFITS[message])
    about = changes.pop("about", ABOUT)
    held = {name: None if v is None else tf.Variable(v) for name, v in changes.items()}
    before = contents(saved)
    with pytest.raises(ConfigError, match=f"iteration-7 does not fit this run: {message}"):
        manager(saved, about=about, **held).restore(allow_fresh_start=True)
    assert contents(saved) == before


def test_another_major_version_is_refused(saved, monkeypatch):
    monkeypatch.setattr("tfcaml.__version__", "1.0.0")
    with pytest.raises(ConfigError, match="major version is '0' there and '1' here"):
        restored(saved)
    monkeypatch.setattr("tfcaml.__version__", "0.9.0")
    assert restored(saved)[0] == 7


def test_fields_that_a_version_added_are_not_compared(saved):
    about = {**ABOUT, "config": {"learner": {"k": 6, "new": 1}, "more": 2}}
    assert manager(saved, about=about).restore() == 7


def rewrite(path, **changes):
    """A manifest with other content and the checksum that belongs to it."""
    content = json.loads(path.read_text()) | changes
    content.pop("sha256")
    digest = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
    path.write_text(json.dumps({"sha256": digest, **content}))


HOSTILE = {
    "elsewhere": {"files": {"../../secret": {"size": 1, "sha256": ""}}},
    "absolute": {"files": {"/etc/hostname": {"size": 1, "sha256": ""}}},
    "list": {"files": [1, 2]},
    "number": {"files": dict.fromkeys(FILES, 3)},
    "negative": {"files": {name: {"size": -1, "sha256": ""} for name in FILES}},
    "absurd": {"files": {name: {"size": 10**18, "sha256": ""} for name in FILES}},
    "nothing": {"files": None},
    "step": {"step": "7"},
}


@pytest.mark.parametrize("content", HOSTILE)
def test_a_manifest_is_not_believed(saved, content, caplog):
    rewrite(saved / "iteration-7" / FILES[0], **HOSTILE[content])
    assert restored(saved)[0] == 3
    assert len(caplog.records) == 1


def test_planted_files_are_not_opened(saved, tmp_path_factory, caplog):
    """Links out of the directory, a pipe, other text than an object, a file of a terabyte."""
    outside = tmp_path_factory.mktemp("outside")
    manager(outside, 9.0).save(7)
    newest = saved / "iteration-7"
    data = newest / FILES[2]
    whole = data.read_bytes()
    for plant in (
        lambda: data.symlink_to(outside / "iteration-7" / FILES[2]),
        lambda: os.mkfifo(data),
        lambda: (data.touch(), os.truncate(data, 2**40)),
        lambda: data.mkdir(),
    ):
        data.unlink()
        plant()
        assert restored(saved)[0] == 3
        data.rmdir() if data.is_dir() else data.unlink()
        data.write_bytes(whole)
    for text in (
        "[]",
        "7",
        "null",
        "[" * 100_000,
        '{"a": NaN}',
        "1" * 5000,
        "\x00",
        "cos\nsystem\n",
    ):
        (newest / FILES[0]).write_text(text)
        assert restored(saved)[0] == 3
    newest.rename(saved / "other")
    newest.symlink_to(outside / "iteration-7")
    assert restored(saved)[0] == 3


def test_names_that_are_no_checkpoints_are_left_alone(saved):
    for name in ("iteration-9.part", "iteration-", "iteration--1", "iteration-1e9", "checkpoint"):
        (saved / name).mkdir()
    assert restored(saved)[0] == 7
    assert checkpoints.newest_step(saved) == 7
    manager(saved, 8.0).save(8)
    left = {path.name for path in saved.iterdir()}
    assert {"iteration-", "checkpoint", "iteration-8"} < left and "iteration-9.part" not in left


def test_a_failed_save_leaves_the_older_ones_and_no_part(saved, monkeypatch):
    """The disk fills up at every one of the calls that bring a checkpoint onto it."""
    before = contents(saved)
    for failing in range(5):
        calls = iter(range(100))

        def sync(path, real=os.fsync):
            if next(calls) == failing:
                raise OSError(28, "No space left on device")
            real(path)

        monkeypatch.setattr(os, "fsync", sync)
        with pytest.raises(WriteError, match=r"cannot write .*iteration-8: No space left on"):
            manager(saved, 8.0).save(8)
        monkeypatch.undo()
        if failing < 4:  # the last one is after the renaming: nothing is lost there either
            assert contents(saved) == before
    assert restored(saved) == (8, [8.0, 8.5, 8.0])


def test_errors_of_the_disk_are_one_line_and_others_stay(tmp_path):
    text = "{{node x}} /a/b.tempstate; No space left on device\n\tmore [Op:SaveV2]"
    line = r"^cannot write /a/b\.tempstate: No space left on device; what was saved [a-z ]+$"
    with pytest.raises(WriteError, match=line), writing():
        raise tf.errors.ResourceExhaustedError(None, None, text)
    with pytest.raises(tf.errors.ResourceExhaustedError), writing("x"):
        raise tf.errors.ResourceExhaustedError(None, None, "OOM when allocating")
    with pytest.raises(FileNotFoundError), writing():
        (tmp_path / "missing").read_text()
    (tmp_path / "file").write_text("")
    with pytest.raises(WriteError, match=r"file/iteration-1: (File exists|Not a directory)"):
        manager(tmp_path / "file").save(1)


def test_variables_have_the_names_of_their_places():
    values = {
        "b": FastState((tf.zeros(1), tf.zeros(2)), ()),
        "a": [tf.zeros(3)],
        "c": {"x": tf.ones(4)},
    }
    held = Variables(values)
    found = checkpoints.named({"meta": held, "iteration": tf.Variable(0)})
    sizes = {name: variable.shape.num_elements() for name, variable in found.items()}
    assert sizes == {
        "meta/a/0": 3,
        "meta/b/params/0": 1,
        "meta/b/params/1": 2,
        "meta/c/x": 4,
        "iteration": 1,
    }
    for name, leaf in zip(nest.names(values), tf.nest.flatten(values), strict=True):
        np.testing.assert_array_equal(found[f"meta/{name}"], leaf)
