"""Running launchers as a user does."""

import hashlib
import json
import os
import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parents[2]
# Runs a launcher once per list of arguments, forked from one process that has paid for the imports.
_FORK = """
import json, os, sys
from launchers import _app, {name}
for arguments in json.loads(sys.argv[1]):
    sys.stdout.flush()
    child = os.fork()
    if child == 0:
        sys.argv = ["{name}", *arguments]
        os.dup2(1, 2)
        _app.run({name}.main)
    _, status = os.waitpid(child, 0)
    print()
    print("EXIT", os.waitstatus_to_exitcode(status))
"""


@pytest.fixture(scope="session")
def run_all():
    """(launcher, lists of arguments) -> [(exit code, output lines)], one per list."""
    return _run_all


def _run_all(name, cases):
    """[(exit code, output lines)] of a launcher, one per list of arguments."""
    return _outputs(_FORK.format(name=name), cases)


def _outputs(script, cases):
    result = subprocess.run(
        [sys.executable, "-c", script, json.dumps(cases)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    found, lines = [], []
    for line in result.stdout.splitlines():
        if line.startswith("EXIT "):
            found.append((int(line.split()[1]), [text for text in lines if text]))
            lines = []
        else:
            lines.append(line)
    return found


# The same with interruptions. A case: arguments; "when": glob pattern of files; "after": seconds
# from when there are such files, or from the start; "signals" sent then; "gap": seconds between
# them; "limit": bytes that no file may pass.
_STOP = """
import glob, json, os, resource, sys, time
from launchers import _app, {name}
for case in json.loads(sys.argv[1]):
    sys.stdout.flush()
    child = os.fork()
    if child == 0:
        if "limit" in case:
            resource.setrlimit(resource.RLIMIT_FSIZE, (case["limit"],) * 2)
        sys.argv = ["{name}", *case["arguments"]]
        os.dup2(1, 2)
        _app.run({name}.main)
    ended, seen = 0, None
    signals = list(case.get("signals", ()))
    while not ended and signals:
        if seen is None and ("when" not in case or glob.glob(case["when"], recursive=True)):
            seen = time.monotonic() + case.get("after", 0)
        if seen is not None and time.monotonic() >= seen:
            os.kill(child, signals.pop(0))
            seen = time.monotonic() + case.get("gap", 0)
        time.sleep(0.0002)
        ended, status = os.waitpid(child, os.WNOHANG)
    if not ended:
        _, status = os.waitpid(child, 0)
    print()
    print("EXIT", os.waitstatus_to_exitcode(status))
"""


@pytest.fixture(scope="session")
def stop_all():
    """(launcher, cases, see `_STOP`) -> [(exit code, output lines)], one per case."""
    return lambda name, cases: _outputs(_STOP.format(name=name), cases)


# Runs launchers one after another, each forked from a process that has paid for the imports. Where
# "plan" is set, nothing is trained: what is asked is what becomes of the input. What a launcher may
# not do, see `_FORBIDDEN`, is an exit code of its own, 99.
_SERVE = """
import importlib, json, os, resource, signal, sys, tempfile
from launchers import _app
from tfcaml import experiment

WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT


def watch(case):
    allowed = [os.path.realpath(path) for path in case["writes"]]
    temporary = os.path.realpath(tempfile.gettempdir())

    def look(event, arguments):
        bad = event in {forbidden}
        if event == "open" and isinstance(arguments[0], str) and (arguments[2] or 0) & WRITING:
            path = os.path.realpath(arguments[0])
            scratch = temporary in (path, os.path.dirname(path))  # TensorFlow's own
            bad = not scratch and not any(path == x or path.startswith(x + "/") for x in allowed)
        if event in ("exec", "compile"):
            name = getattr(arguments[0], "co_filename", arguments[-1])
            bad = any(str(name).startswith(path) for path in allowed)
        if bad:
            os.write(1, f"FORBIDDEN {{event}} {{arguments}}".encode() + bytes([10]))
            os._exit(99)

    sys.addaudithook(look)


for line in sys.stdin:
    case = json.loads(line)
    sys.stdout.flush()
    child = os.fork()
    if child == 0:
        output = os.open(case["output"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(output, 1)
        os.dup2(output, 2)
        signal.alarm(case["seconds"])
        with open("/proc/self/statm") as file:
            used = int(file.read().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (used + 6 * 2**30,) * 2)
        if case["plan"]:
            experiment.Experiment.train = lambda self: False
        sys.argv = [case["name"], *case["arguments"]]
        launcher = importlib.import_module("launchers." + case["name"])
        if case["writes"]:
            watch(case)
        _app.run(launcher.main) if case["name"] != "personalise" else os._exit(launcher.main())
    _, status = os.waitpid(child, 0)
    print(os.waitstatus_to_exitcode(status), flush=True)
"""
_FORBIDDEN = (
    *("pickle.find_class", "os.system", "os.exec", "os.fork", "os.posix_spawn", "os.spawn"),
    *("subprocess.Popen", "socket.connect"),
)


class Server:
    """Launchers in processes of their own that start at once."""

    def __init__(self, directory):
        self._output = directory / "output"
        self._process = subprocess.Popen(
            [sys.executable, "-c", _SERVE.format(forbidden=set(_FORBIDDEN))],
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
        case = {
            **{"name": name, "arguments": arguments, "plan": plan, "seconds": seconds},
            **{"writes": list(map(str, writes)), "output": str(self._output)},
        }
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
from configs import base
from tfcaml import environments, learners


def get_config():
    config = learners.Reptile.Config(num_iterations=1, inner_updates=1, episodes_per_update=1)
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
