"""What a run is made with is found without starting a program."""

import importlib.metadata
import json
import pathlib
import subprocess

import pytest

from tfcaml import provenance

ROOT = pathlib.Path(__file__).parents[2]
COMMIT, OTHER = "0123456789abcdef" * 2 + "01234567", "f" * 40


@pytest.fixture
def package(tmp_path):
    """A package in a checkout whose branch `main` is at COMMIT."""
    (tmp_path / "package").mkdir()
    git = tmp_path / ".git"
    (git / "refs" / "heads").mkdir(parents=True)
    (git / "HEAD").write_text("ref: refs/heads/main\n")
    (git / "refs" / "heads" / "main").write_text(f"{COMMIT}\n")
    return tmp_path / "package"


def test_commit_of_a_branch_loose_or_packed(package):
    assert provenance.commit(package) == COMMIT
    git = package.parent / ".git"
    (git / "refs" / "heads" / "main").unlink()
    assert provenance.commit(package) is None
    (git / "packed-refs").write_text(
        f"# pack-refs\n{OTHER} refs/heads/a/refs/heads/main\n{COMMIT} refs/heads/main\n"
    )
    assert provenance.commit(package) == COMMIT


def test_commit_of_a_detached_head_and_of_a_worktree(package):
    git = package.parent / ".git"
    (git / "HEAD").write_text(f"{OTHER}\n")
    assert provenance.commit(package) == OTHER
    own = git / "worktrees" / "second"
    own.mkdir(parents=True)
    (own / "HEAD").write_text("ref: refs/heads/main\n")
    (own / "commondir").write_text("../..\n")
    second = package.parent / "second" / "package"
    second.mkdir(parents=True)
    (second.parent / ".git").write_text(f"gitdir: {own}\n")
    assert provenance.commit(second) == COMMIT


def test_no_commit_where_there_is_none(package, tmp_path):
    assert provenance.commit(tmp_path / "elsewhere" / "package") is None
    for head in ("", "ref: refs/heads/../../../secret", "<b>", "ref: ", "\x00"):
        (package.parent / ".git" / "HEAD").write_text(head)
        assert provenance.commit(package) is None


def test_the_commit_is_gits():
    if not (ROOT / ".git").exists():
        pytest.skip("not a checkout")
    head = subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True)
    if head.returncode:
        pytest.skip("git can't be asked")
    assert provenance.commit() == head.stdout.strip()


def test_the_hash_sees_every_change_of_the_code(package):
    seen = {provenance.source_hash(package)}
    for name, text in (("a.py", "x"), ("a.py", "y"), ("b/c.py", "y"), ("b/c.py", "")):
        path = package / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
        seen.add(provenance.source_hash(package))
    assert len(seen) == 5
    (package / "data.txt").write_text("x")
    assert provenance.source_hash(package) in seen


def test_a_record_is_json_and_knows_this_machine(monkeypatch):
    monkeypatch.setenv("TF_NUM_INTEROP_THREADS", "many")
    record = provenance.record()
    assert json.loads(json.dumps(record)) == record
    assert record["mujoco"] == importlib.metadata.version("mujoco")
    assert record["tensorflow"] and record["python"].startswith("3.")
    machine = record["machine"]
    assert machine["cores"] >= machine["usable_cores"] >= 1 and machine["memory_bytes"] > 2**28
    assert machine["cpu"] and isinstance(machine["accelerators"], list)
    monkeypatch.setenv("TF_NUM_INTRAOP_THREADS", "3")
    assert provenance.machine()["intra_op_threads"] in (3, machine["intra_op_threads"])
