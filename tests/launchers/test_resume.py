"""Runs that are stopped, killed and short of disk end as those that are not."""

import random
import re
import signal
import subprocess

import numpy as np
import pytest
import tensorflow as tf
from tensorboard.backend.event_processing import event_accumulator

from tfcaml.experiments import checkpoints
from tfcaml.reporting import tensorboard

# Every method differs in what its future depends on: medoids, stored trajectories and their
# optimiser slots; weights alone; step sizes; slots of the outer optimiser; a buffer of episodes.
_CONFIG = """
from tfcaml.configs import base
from tfcaml import environments, learners

COMMON = dict(num_iterations={iterations}, meta_batch_size=2, episodes_per_update=2)


def get_config():
    gradient = dict(COMMON, advantage=dict(baseline="time_step_mean"))
    methods = dict(
        caml=learners.CAML.Config(
            **COMMON, inner_updates=2, policies_per_clustering=12, num_medoids=2,
            choice=dict(trial_episodes=4), divergence=dict(num_states=20),
        ),
        reptile=learners.Reptile.Config(**COMMON, inner_updates=2),
        maml=learners.MAML.Config(**gradient),
        meta_sgd=learners.MetaSGD.Config(**gradient, outer=dict(optimizer="adam")),
        anil=learners.ANIL.Config(**gradient),
        cavia=learners.CAVIA.Config(**gradient, outer=dict(optimizer="adam")),
        tesp=learners.TESP.Config(
            **gradient, inner_updates=2, encoder_units=3, buffer_size=3, outer=dict(steps=2),
        ),
        hindsight_maml=learners.HindsightMAML.Config(
            **gradient, similarity=dict(steps=2), buffer=dict(capacity=10, window=20)
        ),
    )
    sections = {{name: base.section(name, methods[name]) for name in {methods}}}
    return base.experiment(
        base.section("{family}", environments.ENVIRONMENTS["{family}"][1](horizon=5)),
        sections.pop({methods}[0]),
        sections,
        policy=dict(fc_layer_params=(4,), activation="tanh"),
        evaluation=dict(num_tasks=2, num_updates=1, episodes=2),
        save_interval={save_interval},
        log_interval={log_interval},
    )
"""
METHODS = ("caml", "reptile", "maml", "meta_sgd", "hindsight_maml", "anil", "cavia", "tesp")


class Runs:
    """Runs of one config below one directory, and the commands that make them."""

    def __init__(
        self,
        directory,
        methods=METHODS,
        iterations=12,
        save_interval=2,
        log_interval=1,
        family="particle",
    ):
        self.directory, self.methods, self.iterations = directory, methods, iterations
        self.save_interval = save_interval
        self._config = directory / "tiny.py"
        text = _CONFIG.format(
            methods=methods,
            iterations=iterations,
            save_interval=save_interval,
            log_interval=log_interval,
            family=family,
        )
        self._config.write_text(text)

    def case(self, name, *flags, when=None, **settings):
        """What `stop_all` takes, of the run `name`; `when`: a pattern inside it."""
        root = self.directory / name
        case = {"arguments": [f"--config={self._config}", f"--root_dir={root}", "--nojit_compile"]}
        case["arguments"] += flags
        return case | settings | ({"when": str(root / when)} if when else {})

    def folder(self, name, method):
        return self.directory / name / "train" / method / "seed_0"

    def variables(self, name, method):
        """Everything the last checkpoint holds but the time it took: name -> array."""
        path = self.folder(name, method) / "checkpoints" / f"iteration-{self.iterations}"
        reader = tf.train.load_checkpoint(str(path / "variables"))
        names = [key for key in reader.get_variable_to_shape_map() if key.endswith("VALUE")]
        return {key: reader.get_tensor(key) for key in names if not key.startswith("seconds/")}

    def check_equal(self, name, other):
        """Two finished runs have the same numbers, and one event of each."""
        for method in self.methods:
            left, right = self.variables(name, method), self.variables(other, method)
            assert left.keys() == right.keys() and len(left) > 4
            for key in left:
                np.testing.assert_array_equal(left[key], right[key], err_msg=key)
            left, right = (events(self.folder(each, method)) for each in (name, other))
            assert left == right
        read = lambda each: (self.directory / each / "eval" / "evaluation.json").read_bytes()
        assert read(name) == read(other)


def events(folder):
    """What TensorBoard reads: tag -> [(step, value)] in the order of steps, without timings."""
    found = event_accumulator.EventAccumulator(str(folder), size_guidance={"tensors": 0}).Reload()
    rows = {}
    for tag in found.Tags()["tensors"]:
        values = [(row.step, row.tensor_proto.SerializeToString()) for row in found.Tensors(tag)]
        steps = sorted(step for step, _ in values)
        assert len(set(steps)) == len(steps), (tag, steps)
        if tag.startswith("train"):
            own = tensorboard.read_scalars(folder)[tag]
            assert sorted(own) == steps
        timing = tag.endswith("per_second") or tag.startswith("_hparams_")
        rows[tag] = [(step, None if timing else value) for step, value in sorted(values)]
    return rows


@pytest.fixture(scope="module")
def runs(tmp_path_factory, stop_all):
    """Runs of CAML and Reptile; the one called "whole" is uninterrupted."""
    made = Runs(tmp_path_factory.mktemp("runs"), METHODS[:2])
    [(code, lines)] = stop_all("train", [made.case("whole")])
    assert code == 0, lines
    return made


def check_stopped(runs, stop_all):
    """R1 and R3: each method is stopped half way, by one or the other signal, once while saving."""
    first, second = (f"train/{method}/seed_0/checkpoints/" for method in runs.methods)
    halves = [
        runs.case("parts", when=first + "iteration-[46]", signals=[signal.SIGTERM]),
        runs.case("parts", when=second + "*.part", signals=[signal.SIGINT]),
    ]
    *stopped, last, again = stop_all("train", [*halves, runs.case("parts"), runs.case("parts")])
    for code, lines in stopped:
        assert code == 3, lines
        assert "Stopped. The same command goes on from here" in lines[-1]
    assert last[0] == again[0] == 0, last[1]
    assert last[1][-6:] == again[1][-6:]
    runs.check_equal("parts", "whole")


@pytest.mark.slow
def test_stopped_runs_end_as_whole_ones(runs, stop_all):
    check_stopped(runs, stop_all)


@pytest.mark.slow
def test_stopped_runs_of_the_gradient_family_end_as_whole_ones(tmp_path, stop_all):
    made = Runs(tmp_path, METHODS[2:4])
    assert stop_all("train", [made.case("whole")])[0][0] == 0
    check_stopped(made, stop_all)


@pytest.mark.slow
def test_stopped_and_killed_runs_of_a_simulated_robot_end_as_whole_ones(tmp_path, stop_all):
    made = Runs(tmp_path, ("reptile", "maml"), family="ant_velocity")
    assert stop_all("train", [made.case("whole")])[0][0] == 0
    check_stopped(made, stop_all)
    check_killed(made, stop_all, 2, 4.0)


def kills(runs, name, number, rng, longest):
    """SIGKILL at random moments; every other one in the midst of saving."""
    saving = "train/*/seed_0/checkpoints/*.part"
    for index in range(number):
        if index % 2:
            yield runs.case(name, signals=[9], when=saving, after=rng.uniform(0, 0.03))
        else:
            yield runs.case(name, signals=[9], when="config.json", after=rng.uniform(0, longest))


def check_killed(runs, stop_all, number, longest):
    """R2: kills, each followed by a look at what is left; then to the end."""
    name = f"killed_{number}"
    rng = random.Random(0)
    before = dict.fromkeys(runs.methods, 0)
    for case in kills(runs, name, number, rng, longest):
        [(code, lines)] = stop_all("train", [case])
        assert code in (-9, 0), lines
        for method in runs.methods:
            folder = runs.folder(name, method)
            if not folder.exists():
                continue
            saved = checkpoints.newest_step(folder / "checkpoints")
            assert saved >= before[method]
            before[method] = saved
            logged = tensorboard.read_scalars(folder).get("train/return_before", {0: 0})
            assert max(logged) <= saved + runs.save_interval
    [(code, lines)] = stop_all("train", [runs.case(name)])
    assert code == 0, lines
    runs.check_equal(name, "whole")


@pytest.mark.slow
def test_killed_runs_end_as_whole_ones(runs, stop_all):
    """R2, short form."""
    cases = list(kills(runs, "killed", 4, random.Random(1), 4.0))
    *killed, (code, lines) = stop_all("train", [*cases, runs.case("killed")])
    assert [each[0] for each in killed] == [-9] * 4, killed
    assert code == 0, lines
    runs.check_equal("killed", "whole")
    assert not list((runs.directory / "killed").rglob("*.part"))


HALVES = ("full", "damaged", "gone")


@pytest.fixture(scope="module")
def small(tmp_path_factory, stop_all):
    """Reptile alone with few events; `results`: what became of each run, the first half of most."""
    made = Runs(tmp_path_factory.mktemp("small"), METHODS[1:2], log_interval=100)
    when = "train/reptile/seed_0/checkpoints/iteration-4"
    cases = {name: made.case(name, when=when, signals=[15]) for name in HALVES}
    cases["whole"] = made.case("whole")
    cases["full, again"] = made.case("full", "--save_interval=1", limit=600)
    cases["twice"] = made.case("twice", signals=[15, 15], when="config.json", gap=0.1)
    made.results = dict(zip(cases, stop_all("train", list(cases.values()))))
    assert [made.results[name][0] for name in (*HALVES, "whole")] == [3, 3, 3, 0], made.results
    return made


@pytest.fixture(scope="module")
def resumed(small, stop_all):
    """`small` once its halves were run again, with damaged checkpoints: results, and what was."""
    newest = _newest(small, "damaged")
    (newest / "manifest.json").unlink()
    for path in (small.folder("gone", "reptile") / "checkpoints").glob("*/variables.index"):
        path.write_bytes(b"")
    before = tree(small.directory / "gone")
    left = list((small.directory / "full").rglob("*.part")), _newest(small, "full").name
    full, damaged, gone, fresh = (
        *(small.case(name) for name in HALVES),
        small.case("gone", "--allow_fresh_start", "--keep=1"),
    )
    results = stop_all("train", [full, damaged, gone, fresh])
    return {"results": results, "newest": newest, "before": before, "left": left}


def _newest(runs, name):
    folder = runs.folder(name, "reptile") / "checkpoints"
    return folder / f"iteration-{checkpoints.newest_step(folder)}"


def tree(directory):
    return {path: path.read_bytes() for path in directory.rglob("*") if path.is_file()}


@pytest.mark.slow
def test_a_second_signal_ends_at_once(small):
    """R3: while the first iteration is built; the next command would train from the beginning."""
    assert small.results["twice"][0] == -signal.SIGTERM
    assert (small.directory / "twice" / "config.json").exists()
    assert not list((small.directory / "twice").rglob("iteration-*"))


def test_a_directory_that_cannot_be_written_is_one_line(tmp_path, stop_all):
    """R6: where even the superuser may not write."""
    case = Runs(tmp_path).case("nowhere")
    case["arguments"][1] = "--root_dir=/proc/1/nowhere"
    [(code, lines)] = stop_all("train", [case])
    assert code == 2 and len(lines) == 1
    assert "root_dir to be writable" in lines[0]


@pytest.mark.slow
def test_a_full_disk_is_one_line_and_costs_no_checkpoint(small, resumed):
    """R6: no file may grow past 600 bytes, as on a disk that is full."""
    code, lines = small.results["full, again"]
    assert code == 4, lines
    [line] = [line for line in lines if not re.match(r" *\d+%", line)]  # but for the progress
    failed = re.search(r"error: cannot write \S+/iteration-(\d+): File too large;", line)
    parts, newest = resumed["left"]
    assert parts == [] and newest == f"iteration-{int(failed[1]) - 1}"
    assert resumed["results"][0][0] == 0
    small.check_equal("full", "whole")


@pytest.mark.slow
def test_a_damaged_checkpoint_is_one_warning(small, resumed):
    """R4, by the launcher."""
    code, lines = resumed["results"][1]
    assert code == 0, lines
    assert [str(resumed["newest"]) in line for line in lines].count(True) == 1, lines
    small.check_equal("damaged", "whole")


@pytest.mark.slow
def test_without_a_whole_checkpoint_only_a_fresh_start_goes_on(small, resumed):
    """R4, by the launcher; neither refusing nor starting afresh costs what was there."""
    (refused, message), (allowed, _) = resumed["results"][2:]
    assert refused == 2 and "--allow_fresh_start" in message[-1]
    assert sum("damaged checkpoint" in line for line in message) == len(message) - 1 == 2
    assert allowed == 0
    small.check_equal("gone", "whole")
    folder = small.folder("gone", "reptile") / "checkpoints"
    names = [path.name for path in folder.iterdir() if not path.name.endswith(".aside")]
    assert names == ["iteration-12"]
    for path, data in resumed["before"].items():
        if path.is_relative_to(folder):
            assert (folder / f"{path.parent.name}.aside" / path.name).read_bytes() == data


@pytest.mark.soak
def test_fifty_kills(tmp_path, stop_all):
    """R2, long form: fifty kills of long runs of all methods."""
    made = Runs(tmp_path, iterations=60, save_interval=4)
    [(code, lines)] = stop_all("train", [made.case("whole")])
    assert code == 0, lines
    check_killed(made, stop_all, 50, 20.0)


@pytest.mark.soak
@pytest.mark.parametrize("method", METHODS)
def test_long_runs_resume_exactly(method, tmp_path, stop_all):
    """R1, long form: 200 iterations straight, and half of them in another process."""
    made = Runs(tmp_path, (method,), iterations=200, save_interval=10)
    when = f"train/{method}/seed_0/checkpoints/iteration-100"
    results = stop_all(
        "train",
        [made.case("whole"), made.case("parts", when=when, signals=[15]), made.case("parts")],
    )
    assert [code for code, _ in results] == [0, 3, 0]
    made.check_equal("parts", "whole")


@pytest.fixture
def disk(tmp_path):
    """(size) -> a directory on a disk of that size; called again, the disk grows."""
    folder = tmp_path / "disk"
    folder.mkdir()

    def resize(size):
        options = f"size={size}" + (",remount" if folder.is_mount() else "")
        command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]
        found = subprocess.run(command, capture_output=True, text=True)
        if found.returncode:
            pytest.skip(f"no disk of its own without the right to mount one: {found.stderr}")
        return folder

    yield resize
    if folder.is_mount():
        subprocess.run(["umount", str(folder)], check=True)


@pytest.mark.soak
def test_a_disk_that_fills_up(disk, stop_all):
    """R6, long form: the disk of the run grows each time it is full, until the run fits."""
    made = Runs(disk("100k"), METHODS[:2], iterations=24, save_interval=2)
    sizes = ("100k", "150k", "250k", "400k", "600k", "20m")
    codes = []
    for size in sizes:
        disk(size)
        [(code, lines)] = stop_all("train", [made.case("parts")])
        codes.append(code)
        if code == 4:
            assert lines[-1].startswith("error: cannot write ") and "No space left" in lines[-1]
            assert not list((made.directory / "parts").rglob("iteration-*.part"))
    assert codes[0] == 4 and codes[-1] == 0 and set(codes) == {0, 4}, (codes, lines)
    assert stop_all("train", [made.case("whole")])[0][0] == 0
    made.check_equal("parts", "whole")
