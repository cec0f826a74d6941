"""Starting and joining Ray, and what its workers have to have in common."""

import contextlib
import os
import signal
import socket
import sys
import threading
import time

import pytest

from tests.ray_clusters import below
from tfcaml import cluster, provenance
from tfcaml.errors import ConfigError


@pytest.mark.parametrize("address", ["10.0.0.1", "ray://head:10001", "head:port", "auto", 6379, ""])
def test_addresses_of_another_form_are_refused(address):
    with pytest.raises(ConfigError, match=r"expected ray_address to be HOST:PORT of the head"):
        cluster.Cluster(2, address)


def test_where_nothing_answers_there_is_no_cluster():
    with pytest.raises(
        ConfigError, match=r"Ray \d.* and Python 3.*'127\.0\.0\.1:1', where nothing"
    ):
        cluster.Cluster(2, "127.0.0.1:1")


@pytest.mark.parametrize("answer", [b"", b"HTTP/1.1 400 Bad Request\r\n\r\n", None])
def test_what_is_not_ray_is_told_in_a_line(answer, monkeypatch):
    """Something that is silent, another server, and one that closes every connection."""
    monkeypatch.setattr(cluster, "_HEAD_PATIENCE", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as server:
        port, kept = server.getsockname()[1], []

        def serve():
            with contextlib.suppress(OSError):
                while True:
                    kept.append(server.accept()[0])
                    if answer is None:
                        kept.pop().close()
                    else:
                        kept[-1].sendall(answer)

        threading.Thread(target=serve, daemon=True).start()
        with pytest.raises(
            ConfigError, match=rf"'127\.0\.0\.1:{port}', where something else than Ray"
        ):
            cluster.Cluster(2, f"127.0.0.1:{port}")
        server.shutdown(socket.SHUT_RDWR)
    for connection in kept:
        connection.close()


@pytest.mark.slow
def test_a_ray_ends_with_what_its_raylet_started_and_could_not_end():
    """Ray kills a raylet after a second: on a busy machine before the raylet has ended its agents,
    which then wait for Ray's head.
    """
    before = set(below(os.getpid()))
    found = cluster.Cluster(1)
    processes = set(below(os.getpid())) - before
    names = {process: _name(process) for process in processes}
    [raylet] = [process for process, name in names.items() if name == "raylet"]
    agents = below(raylet)[1:]
    assert len(agents) >= 2
    for agent in agents:
        os.kill(agent, signal.SIGSTOP)
    os.kill(raylet, signal.SIGKILL)
    found.close()
    end = time.monotonic() + 20
    while left := [process for process in processes if _name(process)]:
        assert time.monotonic() < end, [names[process] for process in left]
        time.sleep(0.1)


def _name(process):
    """The name of a process; None: it has ended."""
    try:
        with open(f"/proc/{process}/stat") as file:
            name, state = file.read().split("(", 1)[1].rsplit(") ", 1)
    except OSError:
        return None
    return None if state[0] == "Z" else name


def test_without_ray_a_line_says_how_to_install_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ConfigError, match=r"Ray is not installed.*pip install 'tfcaml\[ray\]'"):
        cluster.Cluster(2)


def test_workers_have_the_threads_and_switches_of_this_process(monkeypatch):
    cores = len(os.sched_getaffinity(0))
    told = {"intra": 0, "inter": 3}
    monkeypatch.setattr(provenance, "threads", lambda: told)
    monkeypatch.setenv("XLA_FLAGS", "--xla_cpu_enable_fast_math=false")
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    found = cluster.worker_environment()
    assert found["TF_NUM_INTRAOP_THREADS"] == found["OMP_NUM_THREADS"] == str(cores)
    assert found["TF_NUM_INTEROP_THREADS"] == "3"
    assert found["XLA_FLAGS"] == "--xla_cpu_enable_fast_math=false" and "PATH" not in found
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    assert cluster.worker_environment()["OMP_NUM_THREADS"] == "1"


@pytest.mark.parametrize("name", ["tensorflow", "numpy", "source of tfcaml"])
def test_workers_with_other_code_are_refused(name):
    about = cluster.about_worker()
    cluster.check_worker(about)
    if name.startswith("source"):
        other = {**about, "source": "0" * 64}
    else:
        other = {**about, "versions": {**about["versions"], name: "0.0.1"}}
    with pytest.raises(ConfigError, match=rf"have the same {name}; received 0\S+ on node .*here$"):
        cluster.check_worker(other)


def test_modules_are_seen_where_a_node_has_them(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "path", list(sys.path))
    cluster.see_modules([str(tmp_path), str(tmp_path / "nowhere"), sys.path[0]])
    assert sys.path[-1] == str(tmp_path) and sys.path.count(str(tmp_path)) == 1


def test_errors_of_ray_become_a_line():
    text = "actor died\n  Traceback\nModuleNotFoundError: No module named 'own'\n  pid: 3\n"
    assert cluster.one_line(RuntimeError(text)) == "ModuleNotFoundError: No module named 'own'"
    assert cluster.one_line(RuntimeError("Mismatch:\n  Ray: 1\n  here: 2.")) == (
        "Mismatch: Ray: 1 here: 2"
    )
    assert cluster.one_line(RuntimeError()) == "RuntimeError"
