"""Running launchers as a user does."""

import hashlib
import json
import os
import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parents[2]
# Imports make a million objects, none of which is ever rubbish: looking for it takes seconds.
_SERVE = """
import gc
gc.disable()
from tests.launchers import server
gc.freeze()
gc.enable()
server.main()
"""


class Server:
    """Launchers in processes of their own that start at once, see server.py."""

    def __init__(self, directory):
        self._output = directory / "output"
        self._process = subprocess.Popen(
            [sys.executable, "-c", _SERVE],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __call__(self, name, *arguments, plan=False, writes=(), seconds=60):
        """(exit code, output lines) of a launcher.

        plan: don't train. writes: the only paths that it may write below; unset: anywhere. seconds:
        that it may take, else the exit code is that of a signal.
        """
        case = {"arguments": arguments, "plan": plan, "writes": list(map(str, writes))}
        return self.run(name, {**case, "seconds": seconds, "memory": 6 * 2**30})

    def run(self, name, case):
        """The same of a case: dict(arguments, and what else `server` knows)."""
        case = {"name": name, "output": str(self._output), "seconds": 600, **case}
        self._process.stdin.write(json.dumps(case) + "\n")
        self._process.stdin.flush()
        code = int(self._process.stdout.readline())
        text = self._output.read_bytes().decode(errors="replace")
        return code, [line for line in text.splitlines() if line]

    def close(self):
        self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()


@pytest.fixture(scope="session")
def serve(tmp_path_factory):
    """(launcher, *arguments, ...) -> (exit code, output lines), see `Server`."""
    server = Server(tmp_path_factory.mktemp("server"))
    yield server
    server.close()


@pytest.fixture(scope="session")
def run_all(serve):
    """(launcher, lists of arguments) -> [(exit code, output lines)], one per list."""
    return lambda name, cases: [serve.run(name, {"arguments": case}) for case in cases]


@pytest.fixture(scope="session")
def stop_all(serve):
    """(launcher, cases, see `server.send`) -> [(exit code, output lines)], one per case."""
    return lambda name, cases: [serve.run(name, case) for case in cases]


def _fingerprint(root):
    """All that is below a path and of what kind: a dict that changes with it."""
    found = {}
    for path in sorted([root, *root.rglob("*")]):
        status = path.lstat()
        content = os.readlink(path) if path.is_symlink() else None
        if path.is_file() and not path.is_symlink() and status.st_size < 2**24:
            content = hashlib.sha256(path.read_bytes()).hexdigest()
        found[str(path)] = status.st_mode, status.st_size * path.is_file(), content
    return found


@pytest.fixture(scope="session")
def fingerprint():
    return _fingerprint


_TINY = """
from tfcaml.configs import base
from tfcaml import environments, learners


def get_config():
    config = learners.Reptile.Config(num_iterations=1, inner_updates=1, episodes_per_update=2)
    return base.experiment(
        base.section("cart_pole", environments.CartPoleConfig(horizon=5)),
        base.section("reptile", config),
        policy=dict(fc_layer_params=(4,), activation="tanh"),
        evaluation=dict(num_tasks=1, num_updates=1, episodes=1),
    )
"""


@pytest.fixture(scope="session")
def tiny_run(serve, tmp_path_factory):
    """A finished run of a tiny Reptile; its config is beside it, tiny.py."""
    root = tmp_path_factory.mktemp("tiny") / "run"
    (root.parent / "tiny.py").write_text(_TINY)
    code, lines = serve("train", f"--config={root.parent / 'tiny.py'}", f"--root_dir={root}")
    assert code == 0, lines
    return root


@pytest.fixture
def check_study(tmp_path, run_all):
    """(name) runs a study in its quick form and looks at what it leaves."""

    def check(study):
        arguments = [f"--study={study}", f"--out_dir={tmp_path}", "--seeds=2", "--quick"]
        [(code, lines)] = run_all("reproduce", [arguments])
        assert code == 0, lines
        results = json.loads((tmp_path / "results.json").read_text())
        first, second = results["seeds"]
        assert results["study"] == study and second == first + 1
        assert "--quick" in results["command"]
        text = (tmp_path / "results.md").read_text()
        assert "|---" in text and results["command"] in text
        assert list(tmp_path.glob("*.png"))

    return check
