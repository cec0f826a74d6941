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
    result = subprocess.run(
        [sys.executable, "-c", _FORK.format(name=name), json.dumps(cases)],
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
