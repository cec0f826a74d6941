"""Jobs that Ray workers do end as those of one process, whatever happens to the workers."""

import io

import pytest
from tfcaml.configs import base

from tests.experiments.faulty import FaultyConfig
from tests.experiments.same_runs import check_same
from tfcaml import environments
from tfcaml.errors import ConfigError, RunError
from tfcaml.experiments.experiment import Experiment
from tfcaml.experiments.ray_workers import RayWorkers, _Worker

pytestmark = pytest.mark.slow  # Ray and its workers take ten seconds to start
ITERATIONS = 8


def content(faults, seconds=0.0):
    """A config of two methods, of which the main one meets with `faults`, and two seeds."""
    shared = {"num_iterations": ITERATIONS, "meta_batch_size": 2, "episodes_per_update": 2}
    main = FaultyConfig(**shared, inner_updates=2, faults=str(faults), seconds=seconds)
    other = FaultyConfig(**shared, inner_updates=1)
    return base.experiment(
        base.section("particle", environments.ParticleConfig(horizon=5)),
        base.section("tests.experiments.faulty:Faulty", main),
        {"other": base.section("tests.experiments.faulty:Faulty", other)},
        policy={"fc_layer_params": (4,), "activation": "tanh"},
        evaluation={"num_tasks": 2, "num_updates": 1, "episodes": 2},
        num_seeds=2,
        save_interval=2,
    ).to_dict()


def experiment(root, faults="", seconds=0.0, **options):
    return Experiment.create(root, content(faults, seconds), 3, jit_compile=False, **options)


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """The run without workers."""
    root = tmp_path_factory.mktemp("alone")
    made = experiment(root)
    assert made.train(io.StringIO())
    made.evaluate()
    return root


@pytest.fixture(scope="module")
def workers():
    """Two workers, which all tests of this file use."""
    with RayWorkers(2, timeout=120) as found:
        yield found


@pytest.fixture
def faults(tmp_path):
    """A function that makes the main method meet something after an iteration; () -> the folder."""
    folder = tmp_path / "faults"
    folder.mkdir()

    def meet(*names):
        for name in names:
            (folder / name).touch()
        return folder

    return meet


def test_a_run_is_that_of_one_process(alone, workers, tmp_path):
    made, told = experiment(tmp_path), io.StringIO()
    assert made.train(told, workers)
    summary, _ = made.evaluate()
    check_same(tmp_path, alone)
    assert set(summary["methods"]) == {"Faulty", "other"}
    last = told.getvalue().splitlines()[-1]
    assert last.startswith("100%") and "iteration 8/8" in last
    assert "2 Ray workers did 4 jobs" in workers.summary()
    page = (tmp_path / "report.html").read_text()
    assert "Time of training, all seeds" in page and "not known" not in page


def test_a_killed_worker_is_replaced_and_its_job_goes_on(alone, workers, faults, tmp_path, caplog):
    """After a checkpoint, and before the first one."""
    before = workers.lost
    made = experiment(tmp_path / "run", faults("die-1", "die-5"))
    assert made.train(io.StringIO(), workers)
    lines = [line for line in caplog.messages if "was lost" in line]
    assert workers.lost - before == len(lines) == 2
    assert all("a new one starts, and Faulty seed" in line for line in lines)
    assert {line.split()[-1] for line in lines} == {"0", "4"}, lines
    made.evaluate()
    check_same(tmp_path / "run", alone)


def test_a_worker_that_hangs_is_replaced(alone, workers, faults, tmp_path, caplog, monkeypatch):
    """The limit is short, so that a busy machine may well exceed it once more."""
    monkeypatch.setattr(workers, "_timeout", 20.0)
    before = workers.hung
    made = experiment(tmp_path / "run", faults("hang-3"))
    assert made.train(io.StringIO(), workers)
    assert workers.hung > before
    assert any("did no iteration for 20 seconds; a new one starts" in x for x in caplog.messages)
    made.evaluate()
    check_same(tmp_path / "run", alone)


@pytest.mark.soak
def test_a_job_that_always_loses_its_worker_ends_the_run(workers, faults, tmp_path):
    made = experiment(tmp_path / "run", faults("always-3"))
    with pytest.raises(RunError, match="lost 3 workers, one after the other, without getting from"):
        made.train(io.StringIO(), workers)


def test_a_failure_stops_the_others_at_a_checkpoint(workers, faults, tmp_path):
    made = experiment(tmp_path / "run", faults("fail-5"), seconds=0.3)
    with pytest.raises(RunError, match=r"Faulty with seed .: it failed; the last good .*-4$"):
        made.train(io.StringIO(), workers)
    assert "it failed" in (tmp_path / "run" / "report.html").read_text()
    # The same command goes on, here without workers.
    assert experiment(tmp_path / "run", tmp_path / "faults", seconds=0.3).train(io.StringIO())


def test_a_run_that_is_stopped_goes_on_with_the_same_numbers(alone, workers, tmp_path):
    """Told to stop while both workers train."""
    stop = lambda: any(tmp_path.glob("train/*/*/checkpoints/iteration-2"))
    made = experiment(tmp_path, seconds=0.3, should_stop=stop)
    assert not made.train(io.StringIO(), workers)
    saved = [made.trainer.saved_iteration(name, 3) for name in ("Faulty", "other")]
    assert min(saved) < ITERATIONS
    again = experiment(tmp_path, seconds=0.3)
    assert again.train(io.StringIO(), workers)
    again.evaluate()
    check_same(tmp_path, alone)


def test_an_error_of_the_users_is_told_in_a_line(workers, tmp_path, monkeypatch):
    """Such as damaged checkpoints."""
    made = experiment(tmp_path)
    assert made.train(io.StringIO(), workers)
    for path in tmp_path.glob("train/other/seed_4/checkpoints/*/manifest.json"):
        path.write_text("{")
    again = experiment(tmp_path)
    with pytest.raises(ConfigError, match=r"no checkpoint in .* can be read"):
        again.train(io.StringIO(), workers)


def test_a_node_that_does_not_see_the_directory(tmp_path):
    made = experiment(tmp_path / "run")
    run = {"root": str(tmp_path / "elsewhere"), "content": made.directory.config, "options": {}}
    answer = _Worker([]).train(run, "Faulty", 3)
    kind, message = answer["raised"]
    assert kind == "ConfigError" and "every node has to see it, and node" in message


def test_more_workers_than_cpus_are_refused(workers):
    """Of the Ray that this process has."""
    with pytest.raises(ConfigError, match="expected workers to be at most 2, the CPUs of the Ray"):
        RayWorkers(3)
