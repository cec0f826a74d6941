"""Training by Ray workers as a user does it: stops, failing nodes, clusters that are not there."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest
import ray

from tests.experiments.same_runs import check_same
from tests.launchers.conftest import ROOT
from tests.ray_clusters import Nodes, below

_CONFIG = """
from tfcaml.configs import base
from tfcaml import environments
from tests.experiments.faulty import FaultyConfig


def get_config():
    shared = dict(num_iterations=10, meta_batch_size=2, episodes_per_update=2)
    slow = FaultyConfig(**shared, inner_updates=2, seconds=0.5)
    quick = FaultyConfig(**shared, inner_updates=1, seconds=0.1)
    return base.experiment(
        base.section("particle", environments.ParticleConfig(horizon=5)),
        base.section("tests.experiments.faulty:Faulty", slow),
        {"quick": base.section("tests.experiments.faulty:Faulty", quick)},
        policy=dict(fc_layer_params=(4,), activation="tanh"),
        evaluation=dict(num_tasks=2, num_updates=1, episodes=2),
        num_seeds=2,
        save_interval=2,
    )
"""
_SWEEP = "--sweep=learner.inner_learning_rate=0.1,0.2"
# What a cluster tells who wants to join it, with another version of Ray.
_ANOTHER_RAY = """
import json, sys
from ray._common.usage import usage_constants
from ray._private import ray_constants
from ray._raylet import GcsClient

client = GcsClient(address=sys.argv[1])
place = usage_constants.CLUSTER_METADATA_KEY, ray_constants.KV_NAMESPACE_CLUSTER
found = json.loads(client.internal_kv_get(*place))
found["ray_version"] = sys.argv[2]
client.internal_kv_put(place[0], json.dumps(found).encode(), True, place[1])
"""


class Command:
    """`tfcaml train` in a process of its own, while a test does something to it."""

    def __init__(self, log, config, root, *flags, environment=None):
        self._log = log
        command = [sys.executable, "-m", "launchers.train", "--nojit_compile"]
        command += [f"--config={config}", f"--root_dir={root}", *flags]
        with log.open("wb") as output:
            self._process = subprocess.Popen(
                command, cwd=ROOT, stdout=output, stderr=output, env=environment
            )
        self.root = root

    def wait_for(self, pattern, number, seconds=240):
        """Until there are so many files of a pattern in the run directory."""
        end = time.monotonic() + seconds
        while len(list(self.root.glob(pattern))) < number:
            assert self._process.poll() is None, self._log.read_text()
            assert time.monotonic() < end, self._log.read_text()
            time.sleep(0.05)

    def wait_until_told(self, text, seconds=60):
        end = time.monotonic() + seconds
        while text not in self._log.read_text():
            assert time.monotonic() < end, self._log.read_text()
            time.sleep(0.01)

    def send(self, number):
        self._process.send_signal(number)

    def processes(self):
        """Those that it has started, and what these started."""
        return below(self._process.pid)[1:]

    def end(self, seconds=400):
        """(exit code, lines of output)."""
        code = self._process.wait(seconds)
        return code, self._log.read_text(errors="replace").splitlines()


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    path = tmp_path_factory.mktemp("config") / "slow.py"
    path.write_text(_CONFIG)
    return path


@pytest.fixture(scope="module")
def alone(tmp_path_factory, config, run_all):
    """The sweep without workers."""
    root = tmp_path_factory.mktemp("alone")
    arguments = ["--nojit_compile", f"--config={config}", f"--root_dir={root}", _SWEEP]
    [(code, lines)] = run_all("train", [arguments])
    assert code == 0, lines
    assert any(line.startswith("Mean return on held-out entities") for line in lines)
    return root


def test_flags_that_cannot_act_are_refused(tmp_path, run_all):
    here = ["--config=caml/particles", f"--root_dir={tmp_path / 'run'}"]
    cases = {
        "expected ray_address to be left out, as it acts only with --workers": [
            "--ray_address=1.2.3.4:5"
        ],
        "expected worker_timeout to be left out": ["--worker_timeout=5"],
        "expected workers to be a whole number from 1": ["--workers=0"],
        "expected the flag --workers to be a whole number; received '1e3'": ["--workers=1e3"],
        "8 for each core of this machine": ["--workers=10000"],
        "expected worker_timeout to be > 0": ["--workers=2", "--worker_timeout=0"],
        "expected worker_timeout to be finite": ["--workers=2", "--worker_timeout=inf"],
        "expected the flag --worker_timeout to be a number; received 'x'": ["--worker_timeout=x"],
        "expected ray_address to be HOST:PORT": ["--workers=2", "--ray_address=auto"],
        "where nothing answers": ["--workers=2", "--ray_address=127.0.0.1:1"],
        "unknown config field 'learner.rate'": ["--sweep=learner.rate=1,2"],
        "num_medoids=99: ": ["--sweep=learner.num_medoids=4,99"],
        "expected --config.learner.num_medoids to be left out, as --sweep=learner.num_medoids=": [
            *("--sweep=learner.num_medoids=4,5", "--config.learner.num_medoids=6")
        ],
    }
    found = run_all("train", [[*here, *flags] for flags in cases.values()])
    for (message, flags), (code, lines) in zip(cases.items(), found, strict=True):
        assert code == 2 and len(lines) == 1 and message in lines[0], (flags, lines)
    studies = {
        "the study caml_tuning has no jobs of a method and a seed": "--workers=2",
        "expected ray_address to be left out": "--ray_address=1.2.3.4:5",
    }
    for message, flag in studies.items():
        arguments = ["--study=caml_tuning", f"--out_dir={tmp_path / 'study'}", flag]
        [(code, lines)] = run_all("reproduce", [arguments])
        assert code == 2 and len(lines) == 1 and message in lines[0], lines
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
@pytest.mark.parametrize(
    "number", [signal.SIGTERM, pytest.param(signal.SIGINT, marks=pytest.mark.soak)]
)
def test_a_stopped_command_goes_on(number, tmp_path, config, alone):
    """A Ray of its own ends with the command."""
    root = tmp_path / "run"
    first = Command(tmp_path / "log", config, root, "--workers=2", _SWEEP)
    first.wait_for("*/train/*/*/checkpoints/iteration-4", 1)
    first.send(number)
    code, lines = first.end()
    assert code == 3, lines
    assert any(line.startswith("Stopped. The same command goes on from here") for line in lines)
    code, lines = Command(tmp_path / "log", config, root, "--workers=2", _SWEEP).end()
    assert code == 0, lines
    _check_sweep(root, alone)
    assert any("2 Ray workers did" in line for line in lines)


@pytest.mark.slow
@pytest.mark.parametrize(
    "number, late",
    [
        (signal.SIGINT, False),
        pytest.param(signal.SIGTERM, False, marks=pytest.mark.soak),
        pytest.param(signal.SIGINT, True, marks=pytest.mark.soak),
        pytest.param(signal.SIGTERM, True, marks=pytest.mark.soak),
    ],
)
def test_a_command_that_is_stopped_twice_ends_at_once_with_its_processes(
    number, late, tmp_path, config
):
    """While workers are to stop, or late: while they, which have stopped, and their Ray end."""
    root = tmp_path / "run"
    command = Command(tmp_path / "log", config, root, "--workers=2")
    command.wait_for("train/*/*/checkpoints/iteration-2", 1)
    processes = command.processes()
    assert len(processes) >= 4  # Ray's own, and two workers
    command.send(number)
    if late:
        command.wait_until_told("Stopped.")
    time.sleep(0.3)
    command.send(number)
    code, lines = command.end(60)
    assert code == 3, lines
    assert any(line.startswith("Stopped. The same command goes on") for line in lines)
    assert not [line for line in lines if "Traceback" in line]
    end = time.monotonic() + 30
    while left := [process for process in processes if os.path.exists(f"/proc/{process}")]:
        assert time.monotonic() < end, left
        time.sleep(0.1)


@pytest.mark.slow
def test_a_killed_command_goes_on_and_leaves_no_process(tmp_path, config, alone):
    root = tmp_path / "run"
    first = Command(tmp_path / "log", config, root, "--workers=2", _SWEEP)
    first.wait_for("*/train/*/*/checkpoints/iteration-4", 1)
    first.send(signal.SIGKILL)
    assert first.end()[0] == -signal.SIGKILL
    code, lines = Command(tmp_path / "log", config, root, "--workers=2", _SWEEP).end()
    assert code == 0, lines
    _check_sweep(root, alone)


@pytest.mark.slow
def test_a_study_is_trained_by_workers(tmp_path, run_all):
    """What it finds is the same."""
    arguments = ["--study=maml_sinusoid", "--seeds=2", "--quick"]
    for name, flags in (("alone", []), ("workers", ["--workers=2"])):
        [(code, lines)] = run_all(
            "reproduce", [[*arguments, f"--out_dir={tmp_path / name}", *flags]]
        )
        assert code == 0, lines
    read = lambda name: json.loads((tmp_path / name / "results.json").read_text())
    results = [read(name) | {"seconds": None} for name in ("alone", "workers")]
    assert results[0] == results[1]


@pytest.fixture(scope="module")
def nodes(tmp_path_factory):
    """A cluster with one node, of one CPU; for tests that leave it with one."""
    found = Nodes(tmp_path_factory.mktemp("nodes") / "log")
    yield found
    found.close()


@pytest.fixture
def train(nodes, config, tmp_path):
    """() -> a `Command` on the cluster."""
    flags = ["--workers=2", f"--ray_address={nodes.address}", _SWEEP]
    return lambda: Command(
        tmp_path / "log", config, tmp_path / "run", *flags, environment=nodes.environment
    )


@pytest.mark.soak
def test_a_cluster_with_too_few_cpus_is_refused(train):
    code, lines = train().end()
    assert code == 2 and len(lines) == 1, lines
    assert "expected workers to be at most 1, the CPUs of the Ray cluster" in lines[0]


@pytest.mark.soak
def test_a_cluster_of_another_version_is_refused(nodes, train, tmp_path):
    _tell_version(nodes, "1.0.0")
    code, lines = train().end()
    _tell_version(nodes, ray.__version__)
    assert code == 2 and len(lines) == 1, lines
    assert "expected ray_address to be that of a running Ray cluster" in lines[0]
    assert "1.0.0" in lines[0] and not (tmp_path / "run").exists()


@pytest.mark.soak
def test_a_node_is_killed_and_the_sweep_ends_with_the_same_bits(nodes, train, tmp_path, alone):
    nodes.add()
    command = train()
    command.wait_for("*/train/*/*/checkpoints/iteration-2", 2)
    nodes.kill(1)
    code, lines = command.end()
    assert code == 0, lines
    # Ray may start the new worker on the node that is gone, before it knows.
    assert len([line for line in lines if "was lost; a new one starts, and" in line]) == 1
    _check_sweep(tmp_path / "run", alone)


@pytest.mark.soak
def test_a_head_that_vanishes_is_told_in_a_line(nodes, train):
    """The last test of this cluster. A worker may be told to be lost before that is known."""
    nodes.add()
    command = train()
    command.wait_for("*/train/*/*/checkpoints/iteration-2", 1)
    nodes.kill(0)
    code, lines = command.end(45)
    errors = [line for line in lines if "% " not in line and "was lost" not in line]
    assert code == 5 and len(errors) == 1, lines
    assert errors[0].startswith("error: the head of the Ray cluster at")
    assert "has vanished" in errors[0]


def _tell_version(nodes, version):
    command = [sys.executable, "-c", _ANOTHER_RAY, nodes.address, version]
    subprocess.run(command, env=nodes.environment, check=True, capture_output=True)


def _check_sweep(root, other):
    """Two sweeps have the same bits."""
    runs = sorted(path.name for path in root.iterdir() if path.is_dir())
    assert runs == ["inner_learning_rate=0.1", "inner_learning_rate=0.2"]
    for name in runs:
        check_same(root / name, other / name)
    for name in ("sweep.csv", "sweep.md"):
        assert (root / name).read_bytes() == (other / name).read_bytes()
    assert os.path.getsize(root / "sweep.png") > 1000
