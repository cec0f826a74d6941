"""An export adapts and acts where only TensorFlow is, with the numbers of the live learner."""

import json
import os
import pathlib
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf
from tf_agents.trajectories import time_step as ts

import tfcaml
from tfcaml import keys, learners, nest
from tfcaml.agents import AdaptedPolicy, export
from tfcaml.errors import ConfigError
from tfcaml.learners import caml, maml, meta_sgd
from tfcaml.policies import distributions

pytestmark = pytest.mark.slow

SCRIPT = pathlib.Path(__file__).parent / "only_tensorflow.py"
NAMES = ("caml", "maml", "meta_sgd")
NUM_TASKS, SHOTS = 3, 4
SEED = keys.from_int(11)


def noisy(params, seed):
    """Weights moved at random, so that no two leaves or rows are alike."""
    rng = np.random.default_rng(seed)
    return nest.map(lambda x: x + rng.normal(size=x.shape, scale=0.3).astype(np.float32), params)


@pytest.fixture(scope="module")
def trained(particle, policy, slide, gaussian_policy):
    """name -> learner with meta parameters far from the initial ones."""
    shots = {"episodes_per_update": SHOTS}
    found = {
        "maml": learners.MAML(particle, policy, maml.MAMLConfig(**shots)),
        "meta_sgd": learners.MetaSGD(slide, gaussian_policy, meta_sgd.MetaSGDConfig(**shots)),
        "caml": learners.CAML(
            particle, policy, caml.CAMLConfig(**shots, num_medoids=2, choice={"trial_episodes": 5})
        ),
    }
    for name in ("maml", "meta_sgd"):
        found[name].meta.write(noisy(found[name].meta.read(), seed=1))
    meta = found["caml"].meta.read()
    fast = meta["medoids"]["fast"]
    meta["medoids"]["fast"] = fast._replace(params=noisy(fast.params, seed=2))
    found["caml"].meta.write(meta)
    return found


@pytest.fixture(scope="module")
def trial_returns():
    """Each task's best arm is another: a medoid, the other, the initial weights."""
    table = np.full([NUM_TASKS, 3, 5], np.nan, np.float32)
    table[:, :, 0] = [[-0.2, -3, -4], [-3, -0.2, -4], [-3, -3.5, -4]]  # medoids get 0 at home
    table[:, :2, 1] = table[:, :2, 0]
    return table


@pytest.fixture(scope="module")
def tasks(population):
    return {
        "particle": nest.take(population.test, [0, 1, 2]),
        "slide": {"goal": tf.constant([1.0, -1.0, 0.3])},
    }


@pytest.fixture(scope="module")
def live(trained, tasks, trial_returns):
    """name -> (what the export is called with, what the live learner gives)."""
    found = {}
    for name, learner in trained.items():
        task = tasks["slide" if name == "meta_sgd" else "particle"]
        inputs = {"seed": SEED.numpy()}
        meta = learner.meta.read()
        fast = learner.start(meta, NUM_TASKS)
        if name == "caml":
            inputs["trial_returns"] = trial_returns
            params = nest.take(learner.arms(meta), [0, 1, 2])
            fast = fast._replace(params=params)

        @tf.function(autograph=False)
        def update(fast, seed, learner=learner, task=task, meta=meta):
            trajectory = learner.sample(fast.params, task, SHOTS, seed)
            return trajectory, learner.adapt(meta, fast, learner.experience(meta, fast, trajectory))

        for k in range(2):
            trajectory, fast = update(fast, keys.from_int(k))
            for field, value in trajectory._asdict().items():
                inputs[f"trajectory_{k}/{field}"] = value.numpy()
        inputs["observation"] = trajectory.final_observation[:, 0].numpy()
        found[name] = inputs, expected_of(learner, fast, inputs["observation"])
    return found


def expected_of(learner, fast, observation):
    """The live learner's side of what only_tensorflow.py calls."""
    spec = ts.time_step_spec(learner.environment.observation_spec)
    make = lambda **how: AdaptedPolicy(spec, learner.policy, fast.params, **how)
    policy, time_step = make(emit_log_probability=True), ts.restart(observation, NUM_TASKS)
    state = policy.state_of(fast.params)
    step = policy.action(time_step, state, seed=SEED)
    values = distributions.tensors(policy.distribution(time_step, state).action)
    found = {
        "action": step.action,
        "log_probability": step.info.log_probability,
        "greedy": make(greedy=True).action(time_step, state).action,
        **{f"distribution/{key}": value for key, value in values.items()},
    }
    for i, x in enumerate(tf.nest.flatten(fast._asdict())):
        found[f"state/{i}"] = found[f"state_after_step/{i}"] = x
    return found


@pytest.fixture(scope="module")
def exports(trained, live, tmp_path_factory):
    """The exports, used by a process that can import TensorFlow only: (directory, its output)."""
    root = tmp_path_factory.mktemp("exports")
    for name, learner in trained.items():
        export(learner, root / name / "model")
        np.savez(root / name / "inputs.npz", **live[name][0])
    environment = {k: v for k, v in os.environ.items() if k != "TF_USE_LEGACY_KERAS"}
    result = subprocess.run(
        [sys.executable, str(SCRIPT), str(root)],
        cwd=root,
        env={**environment, "PYTHONPATH": "", "TF_CPP_MIN_LOG_LEVEL": "3"},
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stderr
    return root, result.stdout


def test_nothing_but_tensorflow_is_needed(exports):
    assert exports[1].splitlines()[-1] == "loaded of the forbidden: []"


@pytest.mark.parametrize("name", NAMES)
def test_adapt_and_action_equal_the_live_ones(exports, live, name):
    _, expected = live[name]
    with np.load(exports[0] / name / "outputs.npz", allow_pickle=False) as found:
        assert set(found) == set(expected)
        for key, value in expected.items():
            assert found[key].dtype == value.dtype.as_numpy_dtype, key
            np.testing.assert_allclose(found[key], value, rtol=0, atol=1e-6, err_msg=key)


@pytest.mark.parametrize("name", NAMES)
def test_files_are_these_and_no_others(exports, name):
    model = exports[0] / name / "model"
    files = sorted(str(path.relative_to(model)) for path in model.rglob("*") if path.is_file())
    assert files == [
        "card.json",
        "fingerprint.pb",
        "saved_model.pb",
        "variables/variables.data-00000-of-00001",
        "variables/variables.index",
    ]


@pytest.fixture(scope="module")
def loaded(exports):
    return {name: tf.saved_model.load(str(exports[0] / name / "model")) for name in NAMES}


def test_state_stands_for_any_number_of_rows(loaded, live):
    """One task alone gets what it got among three, and seeds don't depend on the batch."""
    inputs, _ = live["maml"]
    model, state = loaded["maml"], loaded["maml"].get_initial_state(1)
    fields = [name for name in inputs if name.startswith("trajectory_0/")]
    first = {name.split("/")[1]: tf.constant(inputs[name]) for name in fields}
    alone = model.adapt(nest.map(lambda x: x[1:2], first), state)
    among = model.adapt(trajectories=first, policy_state=model.get_initial_state(3))
    for one, three in zip(tf.nest.flatten(alone), tf.nest.flatten(among), strict=True):
        np.testing.assert_allclose(one[0], three[1], rtol=0, atol=1e-6)


def test_trials_of_caml(loaded, trained, trial_returns):
    model, learner = loaded["caml"], trained["caml"]
    arms = learner.arms(learner.meta.read())
    states = model.trial_state([0, 1, 2])
    for found, expected in zip(states["params"], arms, strict=True):
        np.testing.assert_array_equal(found, expected)
    assert all(np.all(x == 0) for x in map(np.asarray, tf.nest.flatten(states["slots"])))
    empty = np.full_like(trial_returns, np.nan)
    np.testing.assert_array_equal(model.next_trial(empty, SEED), [2, 2, 2])  # the fallback first
    fallback = np.where(np.arange(3)[:, None] == 2, trial_returns, np.nan)
    np.testing.assert_array_equal(model.next_trial(fallback, SEED), [0, 0, 0])
    once = np.where(np.arange(5) == 0, trial_returns, np.nan)
    np.testing.assert_array_equal(model.next_trial(once, SEED), [0, 1, 0])  # the better goes on
    full = np.nan_to_num(trial_returns)
    np.testing.assert_array_equal(model.next_trial(full, SEED), [-1, -1, -1])


def test_card_says_what_is_in_it(exports, loaded, trained):
    card = json.loads((exports[0] / "caml" / "model" / "card.json").read_text())
    assert card["learner"] == "CAML"
    assert card["config"]["inner_learning_rate"] == trained["caml"].config.inner_learning_rate
    assert card["shots"] == SHOTS
    assert card["trials"] == {
        "rule": "successive_halving",
        "episodes": 5,
        "arms": 3,
        "medoids": 2,
    }
    assert card["environment"]["name"] == "Particle"
    assert card["environment"]["options"]["horizon"] == card["environment"]["horizon"] == 10
    assert card["environment"]["action_spec"]["maximum"] == 3
    assert card["versions"] == {"tfcaml": tfcaml.__version__, "tensorflow": tf.__version__}
    adapt = card["functions"]["adapt"]
    assert adapt["takes"]["trajectories"]["observation"]["shape"] == [None, SHOTS, 10, 2]
    assert adapt["takes"]["policy_state"] == adapt["returns"]
    assert card["functions"]["action"]["does"]
    state = loaded["caml"].get_initial_state(2)
    for spec, value in zip(
        [*card["functions"]["get_initial_state"]["returns"]["params"]],
        state["params"],
        strict=True,
    ):
        assert [2, *spec["shape"][1:]] == list(value.shape)
    assert "trials" not in json.loads((exports[0] / "maml" / "model" / "card.json").read_text())


def test_bad_arguments_leave_the_directory_alone(trained, tmp_path):
    (tmp_path / "notes.txt").write_text("")
    with pytest.raises(ConfigError, match="directory to be new or empty"):
        export(trained["maml"], tmp_path)
    with pytest.raises(ConfigError, match="shots to be >= 1; received shots=0"):
        export(trained["maml"], tmp_path / "model", shots=0)
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def test_shots_that_teach_nothing_are_refused(particle, policy, slide, trained, tmp_path):
    """Of one episode, less the mean over episodes, nothing is left."""
    one_is_few = [
        trained["caml"],
        learners.Reptile(slide, trained["meta_sgd"].policy),
        learners.MAML(particle, policy, maml.MAMLConfig(inner_estimator="dice")),
    ]
    for learner in one_is_few:
        with pytest.raises(ConfigError, match=r"shots to be more: .* are 0 .* received shots=1"):
            export(learner, tmp_path / "model", shots=1)
    assert not (tmp_path / "model").exists()
    assert export(trained["maml"], tmp_path / "model", shots=1)["shots"] == 1  # linear features
