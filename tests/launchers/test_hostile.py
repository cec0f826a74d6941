"""A run directory that somebody else made is data: nothing in it is run, nothing leads out of it.

Launchers are watched by an audit hook of the interpreter: a pickle that is loaded, a program that
is started, a file that is written elsewhere, or Python of the run directory that is compiled, ends
them with code 99, see conftest.py.
"""

import json
import pickle
import shutil

import pytest

from tests.reporting.run_reports import read_page
from tfcaml.experiments.run_directory import RunDirectory

NAMES = [
    *("model.pkl", "config.pkl", "checkpoint", "params.npy", "state.joblib", "variables.pt"),
    *("config.py", "__init__.py", "conftest.py", "sitecustomize.py", "saved_model.pb"),
    *("events.out.tfevents.1.pkl", "variables.index", "manifest.json", "numpy.py", "json.py"),
]


class Bomb:
    """Makes a file when it is unpickled."""

    def __init__(self, marker):
        self.marker = str(marker)

    def __reduce__(self):
        return exec, (f"open({self.marker!r}, 'w').close()",)


@pytest.fixture
def hostile(tiny_run, tmp_path):
    """(a copy of a finished run, what would be there if something had been run)."""
    root = tmp_path / "run"
    shutil.copytree(tiny_run, root)
    return root, tmp_path / "executed"


def plant(root, marker):
    """Pickles and Python that make the marker, under every name that a loader might take."""
    python = f"open({str(marker)!r}, 'w').close()\n".encode()
    folders = [path for path in (root, *root.rglob("*")) if path.is_dir()]
    for folder in folders:
        for name in NAMES:
            path = folder / name
            if not path.exists():
                path.write_bytes(python if name.endswith(".py") else pickle.dumps(Bomb(marker)))


def test_the_watch_sees(serve, hostile, tmp_path):
    """Written elsewhere, by a launcher that may write nowhere."""
    root, _ = hostile
    code, lines = serve("evaluate", f"--root_dir={root}", writes=[tmp_path / "nowhere"])
    assert code == 99 and "FORBIDDEN open" in lines[-1], lines
    pickled = pickle.dumps(Bomb(tmp_path / "seen"))
    pickle.loads(pickled)  # the bomb works
    assert (tmp_path / "seen").exists()


@pytest.mark.slow
def test_planted_pickles_and_python_are_not_run(serve, hostile, tmp_path):
    root, marker = hostile
    plant(root, marker)
    code, lines = serve("evaluate", f"--root_dir={root}", writes=[root, *SCRATCH])
    assert code == 0, lines
    out = tmp_path / "model"
    writes = [tmp_path, *SCRATCH]
    code, lines = serve("export", f"--root_dir={root}", f"--out={out}", writes=writes)
    assert code == 0, lines
    assert not marker.exists()


SCRATCH = ["/dev", "/proc"]  # the names of threads
CODE = [
    "__import__('os').system('touch {marker}')",
    "!!python/object/apply:os.system ['touch {marker}']",
    "$(touch {marker})",
    "{{{{7*7}}}}",
    "../../../{marker}",
    "{marker}",
]


def strings(value):
    """Paths of all strings and names in nested JSON."""
    if isinstance(value, dict):
        for key, inside in value.items():
            yield from ((key, *path) for path in strings(inside))
    elif isinstance(value, str):
        yield ()


def test_strings_that_look_like_code_or_paths_are_strings(serve, hostile):
    root, marker = hostile
    content = json.loads((root / "config.json").read_text())
    cases = list(strings(content))
    assert len(cases) > 5
    for number, path in enumerate(cases):
        changed = json.loads(json.dumps(content))
        section = changed
        for name in path[:-1]:
            section = section[name]
        section[path[-1]] = CODE[number % len(CODE)].format(marker=marker)
        (root / "config.json").write_text(json.dumps(changed))
        code, lines = serve("evaluate", f"--root_dir={root}", writes=[root, *SCRATCH])
        assert code == 2 and len(lines) == 1 and lines[0].startswith("error: "), (path, lines)
    assert not marker.exists()


def test_the_report_shows_what_is_planted_as_text(serve, hostile):
    """In versions.json, which anyone may have written, and in the names of pictures."""
    root, _ = hostile
    text = "</style><script>alert(1)</script>"
    begun = json.loads((root / "versions.json").read_text())
    begun |= {"command": text, "commit": text, "machine": {"cpu": text}}
    (root / "versions.json").write_text(json.dumps(begun))
    (root / "figures" / "<img src=x onerror=alert(1)>.png").write_bytes(b"no picture")
    code, lines = serve("evaluate", f"--root_dir={root}", writes=[root, *SCRATCH])
    assert code == 0, lines
    page = read_page((root / "report.html").read_text())
    assert page.text.count(text) == 3 and "<img src=x onerror=alert(1)>" in page.text
    assert any(line.endswith(f"{root}/report.html") for line in lines)


@pytest.mark.slow
def test_modules_that_a_run_names_are_not_imported(serve, tiny_run, hostile, fingerprint):
    """The module named here prints when it is imported."""
    root, _ = hostile
    content = json.loads((root / "config.json").read_text())
    for section in ("learner", "environment"):
        changed = json.loads(json.dumps(content))
        changed["config"][section]["name"] = "this:s"
        (root / "config.json").write_text(json.dumps(changed))
        before = fingerprint(root.parent)
        for launcher, *more in (
            ("evaluate",),
            ("evaluate", "--plugin=json"),
            ("export", f"--out={root.parent / 'model'}"),
            ("train", f"--config={tiny_run.parent / 'tiny.py'}"),
        ):
            code, lines = serve(launcher, f"--root_dir={root}", *more)
            assert code == 2 and len(lines) == 1, lines
            expected = "holds a run of another" if launcher == "train" else "with --plugin=this"
            assert expected in lines[0], lines
        assert fingerprint(root.parent) == before


def test_names_of_methods_do_not_lead_out(serve, hostile, fingerprint, tmp_path):
    root, _ = hostile
    content = json.loads((root / "config.json").read_text())
    for name in ("../../out", "/out", "..", "a/b", "a\x00b", "x" * 300):
        changed = json.loads(json.dumps(content))
        changed["config"]["compared"] = {name: content["config"]["learner"]}
        (root / "config.json").write_text(json.dumps(changed))
        before = fingerprint(tmp_path)
        code, lines = serve("evaluate", f"--root_dir={root}", writes=[root, *SCRATCH])
        assert code == 2 and "expected the name of a compared method to be" in lines[0], lines
        assert fingerprint(tmp_path) == before


@pytest.mark.slow
def test_a_run_in_use_is_one_line_and_stays_as_it_is(serve, tiny_run, hostile, fingerprint):
    """Whoever comes second to train or evaluate is told; export only reads."""
    root, _ = hostile
    content = json.loads((root / "config.json").read_text())
    holder = RunDirectory(root, content)
    before = fingerprint(root)
    config = f"--config={tiny_run.parent / 'tiny.py'}"
    for launcher, *more in (("train", config), ("evaluate",)):
        code, lines = serve(launcher, f"--root_dir={root}", *more)
        assert code == 2 and len(lines) == 1, lines
        assert "used by one process at a time" in lines[0]
    code, lines = serve("export", f"--root_dir={root}", f"--out={root.parent / 'model'}")
    assert code == 0, lines
    assert fingerprint(root) == before
    del holder
    assert serve("evaluate", f"--root_dir={root}")[0] == 0
