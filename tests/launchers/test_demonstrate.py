"""`tfcaml demonstrate`, and training from its file."""

import numpy as np
import pytest

from tfcaml import environments, nest
from tfcaml.experiments.experiment import Experiment
from tfcaml.rollouts.demonstrations import Demonstrations

pytest.importorskip("mujoco")

_REACH = """
from tfcaml.configs import base
from tfcaml import environments, learners


def get_config():
    own = {"per_task": 3, "noise": 0.3, "attempts": 1, "steps": 5}
    shared = {"num_iterations": 1, "meta_batch_size": 2, "demonstrations": own}
    return base.experiment(
        base.section("colour_reach", environments.ColourReachConfig(horizon=12, num_train=4)),
        base.section("mil", learners.MIL.Config(**shared)),
        {"cloning": base.section("cloning", learners.Cloning.Config(**shared))},
        policy=dict(fc_layer_params=(4,), activation="relu"),
        evaluation=dict(num_tasks=2, num_updates=1, episodes=2),
        num_seeds=2,
    )
"""


@pytest.fixture(scope="module")
def reach(tmp_path_factory):
    """The file of a tiny config."""
    path = tmp_path_factory.mktemp("reach") / "reach.py"
    path.write_text(_REACH)
    return path


@pytest.mark.slow
def test_learning_from_the_file_is_learning_from_the_expert(reach, serve, tmp_path):
    """To the bit, but for what a file does not tell; new tasks are demonstrated anew."""
    family = environments.ColourReach(environments.ColourReachConfig(horizon=12, num_train=4))
    kept = []
    for suffix in (".npz", ".tfrecord"):
        path = tmp_path / "new" / suffix[1:] / f"shown{suffix}"
        flags = [f"--config={reach}", f"--path={path}", "--num_tasks=3"]
        code, lines = serve("demonstrate", *flags, seconds=600)
        assert code == 0, lines
        told = [line for line in lines if line.startswith(("tasks", "demonstrations  ", "file"))]
        assert told[0].split() == ["tasks", "14", "(8", "training,", "6", "test)"]
        assert told[1].startswith("demonstrations  3 of each, ") and "of them successes" in told[1]
        assert str(path) in told[2] and [x.name for x in path.parent.iterdir()] == [path.name]
        kept.append(Demonstrations.load(path, family))
    nest.map(np.testing.assert_array_equal, *map(tuple, kept))
    assert kept[0].mask.shape == [14, 3, 12]
    for seed in range(2):
        population = family.population(seed, 3)
        for tasks in (population.train, population.test):
            assert kept[0].of(tasks).action.shape[0] == nest.leading(tasks)
    trained = []
    for name, more in (("file", [f"--demonstrations={path}"]), ("expert", [])):
        root = tmp_path / name
        flags = [f"--config={reach}", f"--root_dir={root}", *more]
        code, lines = serve("train", *flags, seconds=600)
        assert code == 0, lines
        assert not any("nan" in line for line in lines)
        trained.append(Experiment.open(root).trained("mil", 1).meta.read())
    nest.map(np.testing.assert_array_equal, *trained)


def test_what_cannot_be_demonstrated_is_one_line(reach, run_all, tmp_path):
    there = tmp_path / "there.npz"
    there.write_bytes(b"")
    new = f"--path={tmp_path / 'new.npz'}"
    cases = {
        "path to be that of a new file": [f"--config={reach}", f"--path={there}"],
        "path to be a path with .npz or .tfrecord": [f"--config={reach}", "--path=x.txt"],
        "path to be writable": [f"--config={reach}", f"--path={there / 'x.npz'}"],
        "a config whose learner learns from demonstrations": ["--config=caml/particles", new],
        "demonstrations.path to be left out": [
            *(f"--config={reach}", new, "--config.learner.demonstrations.path=x.npz"),
        ],
        "num_tasks to be a whole number": [f"--config={reach}", new, "--num_tasks=0"],
        "--path=VALUE": [f"--config={reach}"],
    }
    for message, (code, lines) in zip(cases, run_all("demonstrate", [*cases.values()])):
        assert code == 2 and len(lines) == 1 and message in lines[0], lines
    assert [path.name for path in tmp_path.iterdir()] == ["there.npz"]


def test_files_that_cannot_be_learned_from_are_one_line(reach, run_all, tmp_path):
    root = f"--root_dir={tmp_path / 'run'}"
    (tmp_path / "text.npz").write_text("no arrays")
    cases = {
        "path of a file that there is": [f"--config={reach}", f"--demonstrations={tmp_path}/x.npz"],
        "to hold demonstrations": [f"--config={reach}", f"--demonstrations={tmp_path}/text.npz"],
        "demonstrations to be left out: learner does not": [
            *("--config=caml/particles", f"--demonstrations={tmp_path}/text.npz"),
        ],
    }
    arguments = [[root, *case] for case in cases.values()]
    for message, (code, lines) in zip(cases, run_all("train", arguments)):
        assert code == 2 and len(lines) == 1 and message in lines[0], lines
    assert not (tmp_path / "run").exists()
