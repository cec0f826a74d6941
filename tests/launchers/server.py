"""Runs launchers one after another, each forked from this process, which has paid for the imports.

Reads one case per line and writes its exit code. A case, in JSON:

    name, arguments           of the launcher
    output                    path of the file that gets what it prints
    seconds                   that it may take
    memory, limit             bytes that it may take, and that no file may pass
    environ                   environment variables that are set
    plan                      train nothing: what is asked is what becomes of the input
    writes                    the only paths it may write below, see `watch`
    signals, when, after, gap see `send`
"""

import glob
import importlib
import json
import os
import resource
import signal
import sys
import tempfile
import time

from launchers import _app
from tfcaml.experiments import jobs

WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT
FORBIDDEN = (
    *("pickle.find_class", "os.system", "os.exec", "os.fork", "os.posix_spawn", "os.spawn"),
    *("subprocess.Popen", "socket.connect"),
)


def launch(case):
    """Becomes the launcher of a case."""
    output = os.open(case["output"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(output, 1)
    os.dup2(output, 2)
    signal.alarm(case["seconds"])
    os.environ.update(case.get("environ", {}))
    if case.get("memory"):
        with open("/proc/self/statm") as file:
            used = int(file.read().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (used + case["memory"],) * 2)
    if case.get("limit"):
        resource.setrlimit(resource.RLIMIT_FSIZE, (case["limit"],) * 2)
    if case.get("plan"):
        jobs.train = lambda *_, **__: False
    sys.argv = [case["name"], *case["arguments"]]
    launcher = importlib.import_module("launchers." + case["name"])
    if case.get("writes"):
        watch(case["writes"])
    _app.run(launcher.main) if case["name"] != "personalise" else os._exit(launcher.main())


def watch(writes):
    """Ends the process, with code 99, where it writes elsewhere or runs what is written there."""
    allowed = [os.path.realpath(path) for path in writes]
    temporary = os.path.realpath(tempfile.gettempdir())

    def look(event, arguments):
        bad = event in FORBIDDEN
        if event == "open" and isinstance(arguments[0], str) and (arguments[2] or 0) & WRITING:
            path = os.path.realpath(arguments[0])
            scratch = temporary in (path, os.path.dirname(path))  # TensorFlow's own
            bad = not scratch and not any(path == x or path.startswith(x + "/") for x in allowed)
        if event in ("exec", "compile"):
            name = getattr(arguments[0], "co_filename", arguments[-1])
            bad = any(str(name).startswith(path) for path in allowed)
        if bad:
            os.write(1, f"FORBIDDEN {event} {arguments}".encode() + bytes([10]))
            os._exit(99)

    sys.addaudithook(look)


def send(child, case):
    """Sends "signals" to a launcher until it has ended, and gives its status.

    "when": glob pattern of files; "after": seconds from when there are such files, or from the
    start; "gap": seconds between signals.
    """
    seen, signals = None, list(case.get("signals", ()))
    while signals:
        if seen is None and ("when" not in case or glob.glob(case["when"], recursive=True)):
            seen = time.monotonic() + case.get("after", 0)
        if seen is not None and time.monotonic() >= seen:
            os.kill(child, signals.pop(0))
            seen = time.monotonic() + case.get("gap", 0)
        time.sleep(0.0002)
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            return status
    return os.waitpid(child, 0)[1]


def main():
    for line in sys.stdin:
        case = json.loads(line)
        sys.stdout.flush()
        child = os.fork()
        if child == 0:
            launch(case)
        print(os.waitstatus_to_exitcode(send(child, case)), flush=True)


if __name__ == "__main__":
    main()
