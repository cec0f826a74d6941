"""Applies the mutations one at a time and reports which of them the tests notice.

    python -m tests.mutations.run [--only TEXT] [--state FILE] [--report FILE]

The tracked files are copied to a temporary directory, where one line is changed at a time; nothing
is changed here. Each selection of tests is first run without a mutation and has to pass. Runs are
forked from this process, which has paid for the import of TensorFlow. What was found is kept in
--state, and is found again only where the mutated file or its tests have changed, so that a run
that was stopped goes on where it was.
"""

import argparse
import hashlib
import importlib
import json
import os
import pathlib
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback

import pytest

from tests.mutations.mutations import MUTATIONS

ROOT = pathlib.Path(__file__).parents[2]
SECONDS = 900  # that a run may take; what takes longer has been noticed, as it does not end
# Imported once, for all runs that are forked. None of them may start TensorFlow's threads.
HEAVY = (
    *("tensorflow", "tensorflow.keras", "tensorflow_probability", "tf_agents.specs"),
    *("tf_agents.agents.ppo.ppo_agent", "tf_agents.agents.reinforce.reinforce_agent"),
    *("scipy.stats", "scipy.integrate", "sklearn.metrics", "gymnasium", "matplotlib"),
)


def mutated(text, mutation):
    """The text of a file with the mutation.

    Raises:
      ValueError: what it replaces does not occur exactly once.
    """
    count = text.count(mutation.old)
    if count != 1 or "\n" in mutation.old:
        raise ValueError(f"{mutation.file}: {mutation.old!r} occurs {count} times, not once")
    return text.replace(mutation.old, mutation.new)


def arguments(tests):
    """The arguments of pytest for the tests of a mutation."""
    first, *options = shlex.split(tests)
    return ["tests/" + first, *options]


def test_file(tests):
    return arguments(tests)[0].split("::")[0]


def run_tests(directory, tests):
    """Runs tests of a copy in a process of their own.

    Returns:
      (exit code of pytest, or None where they took too long; the first test that failed, or "").
    """
    output, answer = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(output)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        _become_pytest(directory, tests, answer)
    os.close(answer)
    code, deadline = None, time.monotonic() + SECONDS
    try:
        while time.monotonic() < deadline:
            ended, status = os.waitpid(child, os.WNOHANG)
            if ended:
                child, code = None, os.waitstatus_to_exitcode(status)
                break
            time.sleep(0.05)
    finally:  # when it takes too long, and when this process is stopped
        if child:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
    with os.fdopen(output) as stream:
        return code, stream.read().strip()


def _become_pytest(directory, tests, answer):
    class Failures:
        def pytest_runtest_logreport(self, report):
            if report.failed:
                os.write(answer, report.nodeid.encode())

    code = 99
    try:
        log = os.open(directory / "mutation.log", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(log, 1)
        os.dup2(log, 2)
        os.chdir(directory)
        sys.path.insert(0, str(directory))
        for name in [name for name in sys.modules if name.split(".")[0] in ("tfcaml", "tests")]:
            del sys.modules[name]
        options = ["-x", "-p", "no:xdist", "-p", "no:cacheprovider"]
        code = int(pytest.main([*options, *arguments(tests)], plugins=[Failures()]))
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def copy_of_the_tree(directory):
    """Copies the tracked and the new files, but for documents."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    for name in subprocess.check_output(command, cwd=ROOT, text=True).splitlines():
        source, target = ROOT / name, directory / name
        if source.is_file() and not name.startswith("docs/"):
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(source, target)


def digest(*parts):
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]


def state_key(directory, tests, changed=""):
    """What a result depends on: the tests, what they share, and the text of the changed file."""
    text = (directory / test_file(tests)).read_text()
    shared = (directory / "tests" / "by_hand.py").read_text() if "by_hand" in text else ""
    return digest(tests, changed, text, shared)


def verdict(code, failed):
    if (code == 1 and failed) or code is None:
        return "noticed"
    return "missed" if code == 0 else "broken"


def results(mutations, state_path):
    """[(mutation, verdict, first test that failed)], one after another as they are found."""
    state = json.loads(state_path.read_text()) if state_path.exists() else {}

    def known(key, find):
        if key not in state:
            state[key] = find()
            state_path.parent.mkdir(parents=True, exist_ok=True)
            state_path.write_text(json.dumps(state, indent=1))
        return state[key]

    with tempfile.TemporaryDirectory() as name:
        directory = pathlib.Path(name).resolve()
        copy_of_the_tree(directory)
        for mutation in mutations:
            path = directory / "tfcaml" / mutation.file
            text = path.read_text()
            changed = mutated(text, mutation)
            code, failed = known(
                state_key(directory, mutation.tests),
                lambda m=mutation: run_tests(directory, m.tests),
            )
            if code != 0:
                yield mutation, "broken", failed or f"without the mutation, exit code {code}"
                continue
            path.write_text(changed)
            code, failed = known(
                state_key(directory, mutation.tests, mutation.file + changed),
                lambda m=mutation: run_tests(directory, m.tests),
            )
            path.write_text(text)
            yield mutation, verdict(code, failed), failed or f"exit code {code}"


def report(found):
    """The report in Markdown."""
    count = {name: sum(v == name for _, v, _ in found) for name in ("noticed", "missed", "broken")}
    lines = [
        "# Mutations that the tests notice",
        "",
        "Written by `make test-mutations`: each row is one line of the package changed on purpose,",
        "and the first test that failed of those listed for it in `mutations.py`.",
        "",
        f"{len(found)} mutations: {count['noticed']} noticed, {count['missed']} missed"
        + (f", {count['broken']} could not be judged." if count["broken"] else "."),
        "",
        "| File | Line | Instead | |",
        "|---|---|---|---|",
    ]
    code = lambda text: "`" + text.replace("|", "\\|") + "`"
    for mutation, what, test in found:
        said = test.removeprefix("tests/") if what == "noticed" else f"**{what}** ({test})"
        row = [mutation.file, code(mutation.old), code(mutation.new), said.replace("|", "\\|")]
        lines.append("| " + " | ".join(row) + " |")
    return "\n".join(lines) + "\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--only", default="", help="mutations whose file or line holds this text")
    parser.add_argument("--state", type=pathlib.Path, default=ROOT / "build" / "mutations.json")
    parser.add_argument("--report", type=pathlib.Path, help="file to write the report to")
    options = parser.parse_args()
    os.environ["TF_USE_LEGACY_KERAS"] = "1"
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    sys.dont_write_bytecode = True  # of two texts of a module within a second one would be lost
    for name in HEAVY:
        try:
            importlib.import_module(name)
        except ImportError:
            print(f"without {name}")
    chosen = [m for m in MUTATIONS if options.only in f"{m.file} {m.old}"]
    found = []
    for mutation, what, test in results(chosen, options.state):
        found.append((mutation, what, test))
        line = f"{len(found)}/{len(chosen)} {what}: {mutation.file}: {mutation.old} [{test}]"
        print(line, flush=True)
    if options.report:
        options.report.write_text(report(found))
    noticed = sum(what == "noticed" for _, what, _ in found)
    print(f"{noticed} of {len(found)} mutations noticed")
    return 0 if noticed >= 0.95 * len(found) else 1


if __name__ == "__main__":
    sys.exit(main())
