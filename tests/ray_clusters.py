"""Clusters of Ray's on this machine, made as a user makes them: by `ray start`."""

import contextlib
import os
import secrets
import signal
import socket
import subprocess
import sys
import time

import pytest

# Any number of CPUs, nothing that is not needed. A token of its own keeps the rest of the machine
# out of the cluster.
_OPTIONS = ("--node-ip-address=127.0.0.1", "--object-store-memory=80000000", "--block")


class Nodes:
    """Nodes of a cluster, the first of which is its head.

    Args:
      log: path of a file for what they print.
      environment: dict of environment variables of all nodes besides those of this process.
    """

    def __init__(self, log, environment=()):
        self._log = log
        self.token = secrets.token_hex(16)
        self.environment = {
            **os.environ,
            **dict(environment),
            "RAY_USAGE_STATS_ENABLED": "0",
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN": self.token,
        }
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.address = f"127.0.0.1:{free.getsockname()[1]}"
        port = self.address.rpartition(":")[2]
        self._nodes = []
        self.add("--head", f"--port={port}", "--include-dashboard=false")

    def add(self, *options):
        """Starts a node with one CPU and waits until it is there."""
        options = options or (f"--address={self.address}",)
        command = [sys.executable, "-m", "ray.scripts.scripts", "start", *options, *_OPTIONS]
        start = self._log.stat().st_size if self._log.exists() else 0
        with self._log.open("ab") as output:
            node = subprocess.Popen(
                [*command, "--num-cpus=1"],
                stdout=output,
                stderr=output,
                env=self.environment,
                start_new_session=True,
            )
        self._nodes.append(node)
        end = time.monotonic() + 120
        while b"Ray runtime started" not in self._log.read_bytes()[start:]:
            if node.poll() is not None or time.monotonic() > end:
                self.close()
                pytest.fail(self._log.read_text()[-2000:])
            time.sleep(0.1)

    def kill(self, index):
        """Ends a node at once, with all its processes, as if its machine were gone."""
        node = self._nodes[index]
        for process in below(node.pid):
            _kill(process)
        node.wait()

    def close(self):
        for index in reversed(range(len(self._nodes))):
            self.kill(index)


def below(process):
    """A process and all that it started, and what these started."""
    children = {}
    for folder in os.listdir("/proc"):
        if folder.isdigit():
            try:
                with open(f"/proc/{folder}/stat") as file:
                    parent = int(file.read().rsplit(")", 1)[1].split()[1])
            except OSError:
                continue
            children.setdefault(parent, []).append(int(folder))
    found, left = [], [process]
    while left:
        found.append(left.pop())
        left += children.get(found[-1], [])
    return found


def _kill(process):
    with contextlib.suppress(ProcessLookupError):
        os.kill(process, signal.SIGKILL)
