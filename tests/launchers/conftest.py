"""Running launchers as a user does."""

import json
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
