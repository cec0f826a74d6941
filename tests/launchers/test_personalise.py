"""launchers.personalise on CartPole, as a file taken along to a machine without tfcaml."""

import json
import os
import pathlib
import shutil
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf
from tf_agents.specs import tensor_spec

from tfcaml import environments, learners, policies
from tfcaml.agents import export
from tfcaml.learners import caml

gymnasium = pytest.importorskip("gymnasium")
ROOT = pathlib.Path(__file__).parents[2]
# Runs the file once per list of arguments, where these packages can't be imported.
SCRIPT = """
import contextlib, io, json, runpy, sys
sys.modules.update(dict.fromkeys(["tfcaml", "tf_agents", "tensorflow_probability", "tf_keras"]))
program = runpy.run_path(sys.argv[1])
results = []
for arguments in json.loads(sys.argv[2]):
    with contextlib.redirect_stdout(io.StringIO()) as out:
        with contextlib.redirect_stderr(io.StringIO()) as err:
            code = program["main"](arguments)
    results.append([code, out.getvalue().splitlines(), err.getvalue().splitlines()])
print(json.dumps(results))
"""


class CartPoleSpecs(environments.TaskFamily):
    """What a policy for CartPole-v1 sees and does."""

    horizon = 40
    observation_spec = tf.TensorSpec([4], tf.float32)
    action_spec = tensor_spec.BoundedTensorSpec([], tf.int32, 0, 1)
    task_spec = {"length": tf.TensorSpec([], tf.float32)}


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A policy that pushes left, with a medoid that balances the pole."""
    specs = CartPoleSpecs()
    policy = policies.mlp_policy(specs.observation_spec, specs.action_spec, (4,))
    config = caml.CAMLConfig(
        num_medoids=1, choice={"trial_episodes": 4}, inner_updates=2, episodes_per_update=3
    )
    learner = learners.CAML(specs, policy, config)
    meta = learner.meta.read()
    kernel, bias, head, head_bias = meta["initial"]
    meta["initial"] = (kernel, bias, 0 * head, tf.constant([20.0, -20.0]))
    # Pushes to where the pole falls: the sign of its angle and its speed.
    kernel = tf.zeros_like(kernel).numpy()
    kernel[2:, 0] = 10, 3
    head = tf.zeros_like(head).numpy()
    head[0] = -20, 20
    medoid = tuple(tf.constant(x)[None] for x in (kernel, bias, head, head_bias))
    saved = meta["medoids"]["fast"]
    meta["medoids"]["fast"] = saved._replace(params=medoid)
    learner.meta.write(meta)
    directory = tmp_path_factory.mktemp("personalise") / "model"
    export(learner, directory)
    return directory


@pytest.fixture(scope="module")
def others(tmp_path_factory):
    """Models that start at random, say something of each step, or draw for each episode."""
    shots = {"episodes_per_update": 2, "inner_updates": 1}
    made = {
        "epg": learners.EPG(CartPoleSpecs(), config=learners.EPG.Config(**shots, memory=2)),
        "maesn": learners.MAESN(
            CartPoleSpecs(), config=learners.MAESN.Config(**shots, num_training_tasks=3)
        ),
        "mlsh": learners.MLSH(
            CartPoleSpecs(), config=learners.MLSH.Config(**shots, warm_up=0, period=3)
        ),
    }
    root = tmp_path_factory.mktemp("others")
    for name, learner in made.items():
        export(learner, root / name)
    return [root / name for name in made]


def launch(cases):
    """[(exit code, lines on stdout, lines on stderr)], one per list of arguments."""
    environment = {k: v for k, v in os.environ.items() if k != "TF_USE_LEGACY_KERAS"}
    result = subprocess.run(
        [
            *(sys.executable, "-W", "ignore", "-c", SCRIPT),
            *(str(ROOT / "launchers" / "personalise.py"), json.dumps(cases)),
        ],
        env={**environment, "PYTHONPATH": ""},
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout.splitlines()[-1])


@pytest.mark.slow
def test_table_and_errors(model, tmp_path):
    good = [f"--model={model}", "--env=CartPole-v1"]
    other = shutil.copytree(model, tmp_path / "other")
    card = json.loads((other / "card.json").read_text())
    (other / "card.json").write_text(json.dumps({**card, "adapts_to": "demonstrations"}))
    bad = {
        "the following arguments are required: --env": good[:1],
        "expected --model to be an export; received '/nowhere'": ["--model=/nowhere", good[1]],
        "cannot make --env=Nonsense-v9": [good[0], "--env=Nonsense-v9"],
        "the model expects observations like {'shape': [4]": [good[0], "--env=MountainCar-v0"],
        "expected --set to name a number of CartPole-v1; received 'lenght=1'": [
            *good,
            "--set=lenght=1",
        ],
        "expected length to be like 0.5; received 'long'": [*good, "--set=length=long"],
        "expected --episodes to be >= 3; received 2": [*good, "--episodes=2"],
        "expected --updates to be >= 0; received -1": [*good, "--updates=-1"],
        "expected --seed to be >= 0": [*good, "--seed=-1"],
        "received one that adapts to demonstrations": [f"--model={other}", good[1]],
    }
    entity = [*good, "--episodes=5", "--seed=1", "--updates=1"]
    heavy = [*entity, "--set=force_mag=0.5", "--set", "gravity=20"]
    results = launch([*bad.values(), entity, entity, heavy, good])
    for message, (code, out, err) in zip(bad, results):
        assert (code, out, len(err)) == (2, [], 1)
        assert err[0].startswith("error: ") and message in err[0], err
    first, again, weak, default = results[len(bad) :]
    assert first == again
    code, (header, *rows), err = first
    assert (code, err) == (0, [])
    assert header.split() == ["policy", "episodes", "before", "mean", "return", "lowest", "highest"]
    assert [row[:16].rstrip() for row in rows] == ["at the start", "after update 1"]
    numbers = np.array([row[16:].split() for row in rows], float)
    np.testing.assert_array_equal(numbers[:, 0], [4, 9])  # trials, then the episodes played
    assert numbers[0, 1] == 40  # the trials have found the medoid
    assert weak[1][1] != rows[0]
    assert float(weak[1][1][16:].split()[1]) < 40  # too weak to balance
    assert len(default[1]) == 1 + 3


@pytest.mark.slow
def test_policies_that_start_at_random_or_remember_an_episode(others):
    same = ["--env=CartPole-v1", "--seed=2", "--updates=1"]
    for code, (_, *rows), err in launch([[f"--model={model}", *same] for model in others]):
        assert (code, err) == (0, [])
        assert [row[:16].rstrip() for row in rows] == ["at the start", "after update 1"]
        numbers = np.array([row[16:].split() for row in rows], float)
        np.testing.assert_array_equal(numbers[:, 0], [0, 2])
        assert np.all(numbers[:, 1] >= 1)  # a reward for each step
