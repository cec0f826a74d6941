"""The programs as a user runs them."""

import json
import os
import pathlib
import subprocess
import sys

import pytest
from tfcaml.configs.caml import particles as caml_particles

from tfcaml.experiments.run_directory import RunDirectory

ROOT = pathlib.Path(__file__).parents[2]
SMALL = [
    "--nojit_compile",  # eight units and eight steps are not worth compiling
    "--config=caml/particles",
    "--config.environment.horizon=8",
    "--config.policy.fc_layer_params=(8,)",
    "--config.num_seeds=1",
    "--config.evaluation.episodes=2",
    "--config.evaluation.num_updates=1",
    "--config.learner.num_iterations=2",
    "--config.learner.meta_batch_size=2",
    "--config.learner.policies_per_clustering=4",
    "--config.learner.num_medoids=2",
    "--config.compared.joint.num_iterations=1",
    "--config.compared.reptile.num_iterations=1",
]


def test_bad_input_is_one_line_and_leaves_the_directory_alone(tmp_path, run_all):
    root, other = tmp_path / "run", tmp_path / "other"
    other.mkdir()
    (other / "config.json").write_text('{"config": {}, "seed": 0, "jit_compile": false}')
    (tmp_path / "file").write_text("")
    here = [f"--root_dir={root}", "--config=caml/particles"]
    cases = {
        "unknown config field 'learner.medoids' (did you mean num_medoids?)": [
            *here,
            "--config.learner.medoids=3",
        ],
        "unknown config field 'lerner.num_medoids'": [*here, "--config.lerner.num_medoids=3"],
        "unknown config field 'learner.choice.rul' (did you mean rule?)": [
            *here,
            "--config.learner.choice.rul=oracle",
        ],
        "learner caml: expected divergence.num_states to be >= 1": [
            *here,
            "--config.learner.divergence.num_states=0",
        ],
        "received advantage.discount=2.0": [
            *here,
            "--config.learner.advantage.discount=2.0",
        ],
        "expected config.learner.num_medoids to be a whole number, such as 8; received 'six'": [
            *here,
            "--config.learner.num_medoids=six",
        ],
        "such as 0.01; received 'fast'": [*here, "--config.learner.inner_learning_rate=fast"],
        "field by field, as by --config.learner.name=VALUE; received '--config.learner=maml'": [
            *here,
            "--config.learner=maml",
        ],
        "the flag --config=VALUE; received 'caml/particles', which is no flag": [
            here[0],
            "caml/particles",
        ],
        "inner_learning_rate to be > 0": [*here, "--config.learner.inner_learning_rate=-1"],
        "num_medoids to be at most policies_per_clustering=25": [
            *here,
            "--config.learner.num_medoids=26",
        ],
        "num_iterations * meta_batch_size = 100": [
            *here,
            "--config.learner.policies_per_clustering=200",
        ],
        "evaluation.num_tasks to be >= 1": [*here, "--config.evaluation.num_tasks=0"],
        "divergence_interval to be >= 0": [*here, "--config.divergence_interval=-1"],
        "divergence.num_clusters to be at most 24": [
            *here,
            "--config.divergence_interval=10",
            "--config.divergence.num_clusters=25",
        ],
        "seed to be >= 0": [*here, "--seed=-1"],
        "keep to be >= 1": [*here, "--keep=0"],
        "max_bad_updates to be >= 0": [*here, "--max_bad_updates=-1"],
        "received save_interval=0": [*here, "--save_interval=0"],
        "holds a run of another config": [f"--root_dir={other}", here[1]],
        "root_dir to be writable": [f"--root_dir={tmp_path / 'file' / 'run'}", here[1]],
        "(did you mean caml/particles?)": [here[0], "--config=caml/particle"],
        "to be the path of a Python file or one of": [here[0], "--config=nope.py"],
        "expected the flag --root_dir=VALUE; it is not given": [here[1], "--seed", "5"],
        "nosuch": [*here, "--nosuch=1"],
        "expected flags only": [*here, "extra"],
    }
    before = sorted(tmp_path.rglob("*"))
    for (message, arguments), (code, lines) in zip(
        cases.items(), run_all("train", list(cases.values())), strict=True
    ):
        assert code == 2, (arguments, lines)
        assert len(lines) == 1 and lines[0].startswith("error: "), (arguments, lines)
        assert message in lines[0]
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.slow
def test_train_then_evaluate_then_the_same_again(tmp_path):
    def launch(name, *arguments):
        return subprocess.run(
            [sys.executable, "-m", f"launchers.{name}", f"--root_dir={tmp_path}", *arguments],
            cwd=ROOT,
            capture_output=True,
            text=True,
            env={**os.environ, "PYTHONWARNINGS": ""},
            check=True,
        )

    trained = launch("train", *SMALL)
    assert "Mean return on held-out entities" in trained.stdout
    assert "100%" in trained.stderr
    first = (tmp_path / "eval" / "evaluation.json").read_bytes()
    evaluated = launch("evaluate")
    assert evaluated.stdout == trained.stdout
    assert (tmp_path / "eval" / "evaluation.json").read_bytes() == first
    json.loads(first)


@pytest.mark.slow
def test_a_run_that_fails_has_an_exit_code_of_its_own(tmp_path, run_all):
    """Steps of 1e38 lead to weights that nothing can be learned with."""
    arguments = [
        f"--root_dir={tmp_path}",
        "--config=maml/navigation",
        "--max_bad_updates=1",
        "--config.num_seeds=1",
        "--config.save_interval=1",
        "--config.environment.horizon=4",
        "--config.policy.fc_layer_params=(4,)",
        "--config.learner.meta_batch_size=2",
        "--config.learner.episodes_per_update=2",
        "--config.learner.outer.fisher_subsample=0",
        "--config.learner.inner_learning_rate=1e38",
    ]
    ((code, lines),) = run_all("train", [arguments])
    assert code == 5, lines
    assert lines[-1].startswith("error: maml with seed 0: MAML skipped 2 of 2 updates that were")
    assert lines[-1].endswith("/train/maml/seed_0/checkpoints/iteration-1")
    assert sum("update skipped" in line for line in lines) == 2
    assert not any("Traceback" in line for line in lines)


_OWN = """
from tfcaml.configs import base
from tfcaml import environments
from tests.launchers import own


def get_config():
    config = own.Halved.Config(num_iterations=1, inner_updates=1, episodes_per_update=2)
    return base.experiment(
        base.section("tests.launchers.own:Plane", environments.ParticleConfig(horizon=3)),
        base.section("tests.launchers.own:Halved", config),
        policy=dict(fc_layer_params=(4,), activation="tanh"),
        evaluation=dict(num_tasks=1, num_updates=1, episodes=1),
    )
"""


@pytest.mark.slow
def test_classes_and_directories_with_names_of_ones_own(serve, tmp_path, fingerprint):
    """A path that is a pattern; a learner and a family that no registry has: train to export."""
    (tmp_path / "own.py").write_text(_OWN)
    root = tmp_path / "a [1]*?\\b" / "ü\n☃'"
    train = (f"--config={tmp_path / 'own.py'}", f"--root_dir={root}", "--nojit_compile")
    assert serve("train", *train, plan=True)[0] == 3
    for _ in range(2):  # the second goes on with what the first has left
        code, lines = serve("train", *train)
        assert code == 0, lines
    (tmp_path / "a1").mkdir()
    saved = json.loads((root / "config.json").read_text())["config"]
    assert saved["learner"]["name"] == "tests.launchers.own:Halved"
    plugin = "--plugin=tests.launchers.own"
    first = (root / "eval" / "evaluation.json").read_bytes()
    code, lines = serve("evaluate", f"--root_dir={root}", plugin)
    assert code == 0, lines
    assert (root / "eval" / "evaluation.json").read_bytes() == first
    code, lines = serve("export", f"--root_dir={root}", f"--out={tmp_path / 'ü ☃'}", plugin)
    assert code == 0, lines
    assert json.loads((tmp_path / "ü ☃" / "card.json").read_text())["learner"] == "Halved"
    before = fingerprint(tmp_path)
    out = [f"--root_dir={root}", f"--out={tmp_path / 'a[1]'}"]
    for name, arguments, message in (
        ("evaluate", [f"--root_dir={root}"], "name it yourself with --plugin=tests.launchers.own"),
        ("export", out, "name it yourself with --plugin=tests.launchers.own"),
        ("export", [*out, plugin], "directory to be a path without [ and"),
        ("train", [train[0], f"--root_dir={tmp_path}/a\udcff"], "root_dir to be UTF-8"),
    ):
        code, lines = serve(name, *arguments)
        assert code == 2 and len(lines) == 1 and message in lines[0], lines
    assert fingerprint(tmp_path) == before


@pytest.fixture(scope="module")
def untrained(tmp_path_factory):
    """A run whose main method, the untrained policy, is finished, and whose other is not begun."""
    config = caml_particles.get_config().to_dict()
    config["environment"]["horizon"] = 8
    config["policy"]["fc_layer_params"] = (8,)
    config["learner"] = {"name": "random", "episodes_per_update": 4}
    config["compared"] = {"reptile": config["compared"]["reptile"]}
    root = tmp_path_factory.mktemp("run")
    RunDirectory(root, {"config": config, "seed": 3, "jit_compile": False})
    return root


def test_export_and_its_errors(untrained, tmp_path, run_all):
    out = tmp_path / "model"
    here, there = f"--root_dir={untrained}", f"--out={out}"
    bad = {
        "method to be one of random, reptile; received method='maml'": [
            here,
            there,
            "--method=maml",
        ],
        "reptile with seed 3 is trained for 0 of": [here, there, "--method=reptile"],
        "directory to be new or empty": [here, f"--out={untrained}"],
        "expected the flag --out=VALUE; it is not given": [here],
    }
    results = run_all("export", [*bad.values(), [here, there, "--seed=4"]])
    for message, (code, lines) in zip(bad, results):
        assert code == 2 and len(lines) == 1, lines
        assert lines[0].startswith("error: ") and message in lines[0], (message, lines)
    code, lines = results[-1]
    assert code == 0, lines
    assert lines[-3:] == [
        "random, seed 4: an update learns from 4 episodes",
        f"model  {out}",
        f"card   {out}/card.json",
    ]
    card = json.loads((out / "card.json").read_text())
    assert card["learner"] == "RandomInitialization" and card["shots"] == 4
    assert card["environment"]["options"]["horizon"] == 8
