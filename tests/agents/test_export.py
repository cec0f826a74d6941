"""An export adapts and acts where only TensorFlow is, with the numbers of the live learner."""

import json
import os
import pathlib
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf
from tf_agents.trajectories import policy_step
from tf_agents.trajectories import time_step as ts

import tfcaml
from tests.places import Places
from tests.recall import Recall
from tfcaml import environments, keys, learners, nest
from tfcaml.agents import AdaptedPolicy, export
from tfcaml.agents.adapted_policy import new_episode, with_episode
from tfcaml.errors import ConfigError
from tfcaml.learners import anil, cavia, maesn, maml, meta_sgd, mlsh, rl2, tesp
from tfcaml.learners.caml import learner as caml
from tfcaml.policies import distributions
from tfcaml.types import Trajectory

pytestmark = pytest.mark.slow

SCRIPT = pathlib.Path(__file__).parent / "only_tensorflow.py"
NAMES = (
    *("anil", "caml", "cavia", "contextual", "epg", "gru", "maesn", "maml", "meta_sgd", "mil"),
    *("mlsh", "prototypical", "recall", "rl2", "tesp"),
)
PLACES = ("contextual", "mil")
STROKES = ("prototypical",)
# The others are particles.
SLIDES = ("cavia", "epg", "gru", "maesn", "meta_sgd", "mlsh", "recall", "rl2", "tesp")
EPISODIC = ("gru", "maesn", "mlsh", "recall", "rl2")  # of policies that remember an episode
NUM_TASKS, SHOTS = 3, 4
SHOWN = {"episodes_per_update": SHOTS, "multiplier": 1.0, "demonstrations": {"per_task": 5}}
STEP = {"inner_learning_rate": 0.1}
DRAWN = environments.StrokesConfig(way=2, shots=2, size=8)  # SHOTS labelled images
SEED = keys.from_int(11)


def noisy(params, seed, scale=0.3):
    """Weights moved at random, so that no two leaves or rows are alike."""
    rng = np.random.default_rng(seed)
    return nest.map(lambda x: x + rng.normal(size=x.shape, scale=scale).astype(np.float32), params)


class Stored(learners.MAML):
    """Starts at random, and keeps that beside what is adapted."""

    starts_at_random = True

    def start(self, meta, num_tasks, key=()):
        drawn = tf.random.stateless_uniform([num_tasks, 2], key[0])
        return super().start(meta, num_tasks)._replace(memory={"drawn": drawn})

    def adapt(self, meta, fast, support):
        fast = super().adapt(meta, fast, support)
        return fast._replace(memory={"drawn": fast.memory["drawn"] + 1})

    def acting(self, meta, fast):
        shift = tf.reduce_sum(fast.memory["drawn"], axis=1)
        return {"weights": fast.params["weights"] + shift[:, None]}


@pytest.fixture(scope="module")
def trained(particle, policy, slide, gaussian_policy, gru_policy):
    """name -> learner with meta parameters far from the initial ones."""
    shots = {"episodes_per_update": SHOTS}
    found = {
        "maml": learners.MAML(particle, policy, maml.MAMLConfig(**shots)),
        "meta_sgd": learners.MetaSGD(slide, gaussian_policy, meta_sgd.MetaSGDConfig(**shots)),
        "anil": learners.ANIL(particle, policy, anil.ANILConfig(**shots)),
        "cavia": learners.CAVIA(slide, config=cavia.CAVIAConfig(**shots, inner_learning_rate=0.1)),
        "maesn": learners.MAESN(slide, config=maesn.MAESNConfig(**shots, num_training_tasks=3)),
        "gru": learners.MAML(slide, gru_policy, maml.MAMLConfig(**shots)),
        "tesp": learners.TESP(
            slide, config=tesp.TESPConfig(**shots, encoder_units=3, buffer_size=4)
        ),
        "epg": learners.EPG(slide, config=learners.EPG.Config(**shots, memory=2)),
        "mlsh": learners.MLSH(slide, config=mlsh.MLSHConfig(**shots, period=4, master_steps=2)),
        "rl2": learners.RL2(slide, config=rl2.RL2Config(units=3, test_episodes_per_update=SHOTS)),
        "recall": Stored(slide, Recall(), maml.MAMLConfig(**shots)),
        "mil": learners.MIL(Places("vector"), config=learners.MIL.Config(**SHOWN, **STEP)),
        "contextual": learners.Contextual(
            Places("vector"), config=learners.Contextual.Config(**SHOWN)
        ),
        "prototypical": learners.Prototypical(environments.Strokes(DRAWN)),
        "caml": learners.CAML(
            particle, policy, caml.CAMLConfig(**shots, num_medoids=2, choice={"trial_episodes": 5})
        ),
    }
    for name in found.keys() - {"caml"}:
        scale = 0.1 if name in ("gru", *PLACES, *STROKES) else 0.3  # means of size 1
        meta = found[name].meta.read()
        kept = {"moments": meta["moments"]} if name in PLACES else {}  # no weights
        found[name].meta.write({**noisy(meta, seed=1, scale=scale), **kept})
    meta = found["mlsh"].meta.read()
    # Of two sub-policies, each of which has seen other states.
    moments = {"count": [9.0, 5.0], "mean": [[0.2], [-0.1]], "square": [[1.0], [0.5]]}
    meta["sub"]["seen"] = {name: tf.constant(value) for name, value in moments.items()}
    found["mlsh"].meta.write(meta)
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
        "places": Places("vector").population(0, 3).test,
        "strokes": environments.Strokes(DRAWN).population(0, 3).test,
    }


def home(name):
    """Where a learner plays, of `tasks`."""
    homes = {"slide": SLIDES, "places": PLACES, "strokes": STROKES}
    return next((where for where, names in homes.items() if name in names), "particle")


@pytest.fixture(scope="module")
def live(trained, tasks, trial_returns):
    """name -> (what the export is called with, what the live learner gives)."""
    found = {}
    for name, learner in trained.items():
        task = tasks[home(name)]
        inputs = {"seed": SEED.numpy(), "random_start": learner.starts_at_random}
        meta = learner.meta.read()
        fast = learner.start(meta, NUM_TASKS, learner.task_keys(SEED, NUM_TASKS))
        if name == "caml":
            inputs["trial_returns"] = trial_returns
            params = nest.take(learner.arms(meta), [0, 1, 2])
            fast = fast._replace(params=params)

        @tf.function(autograph=False)
        def update(fast, key, learner=learner, task=task, meta=meta):
            trajectory = learner.sample(learner.acting(meta, fast), task, SHOTS, key)
            return trajectory, learner.adapt(meta, fast, learner.experience(meta, fast, trajectory))

        for k in range(2):
            trajectory, fast = update(fast, keys.from_int(k))
            fields = {name: x for name, x in trajectory._asdict().items() if name != "start"}
            for path, value in zip(nest.names(fields), tf.nest.flatten(fields), strict=True):
                inputs[f"trajectory_{k}/{path}"] = value.numpy()
        inputs["observation"] = trajectory.final_observation[:, 0].numpy()
        found[name] = inputs, expected_of(learner, fast, inputs["observation"])
        if name in EPISODIC:
            steps = two_episodes(trajectory)
            for field, value in steps._asdict().items():
                inputs[f"steps/{field}"] = value.numpy()
            found[name][1].update(live_through(learner, fast, steps))
    return found


def two_episodes(trajectory):
    """The first two episodes of each task as time steps [T, N, ...], the ends included."""
    length = trajectory.reward.shape[2]
    seen = tf.concat([trajectory.observation, trajectory.final_observation[:, :, None]], axis=2)
    kind = [ts.StepType.FIRST, *[ts.StepType.MID] * (length - 1), ts.StepType.LAST]
    kind = np.broadcast_to(np.stack(kind), seen.shape[:3])
    reward = tf.pad(trajectory.reward, [[0, 0], [0, 0], [1, 0]])
    steps = ts.TimeStep(tf.constant(kind, tf.int32), reward, tf.ones_like(reward), seen)
    both = lambda x: tf.concat([x[:, 0], x[:, 1]], axis=1)
    return nest.map(lambda x: tf.transpose(both(x), [1, 0, *range(2, x.shape.rank - 1)]), steps)


def live_through(learner, fast, steps):
    """The live learner's side of what only_tensorflow.py does of that name."""
    policy = AdaptedPolicy.of(learner, emit_log_probability=True)
    state = policy.state_of(learner.acting(learner.meta.read(), fast))
    found = {"means": [], "actions": [], "log_probabilities": []}

    @tf.function(autograph=False)
    def act(now, state, seed):
        # The one of an export has no key, and draws what it draws for an episode by this one.
        blind = {**state, "key": nest.repeat(keys.from_int(0), NUM_TASKS)}
        return policy.distribution(now, blind).action.mean(), policy.action(now, state, seed=seed)

    for t in range(steps.reward.shape[0]):
        mean, step = act(nest.map(lambda x: x[t], steps), state, SEED + tf.constant([0, t]))
        state = step.state
        found["means"].append(mean)
        found["actions"].append(step.action)
        found["log_probabilities"].append(policy_step.get_log_probability(step.info))
    return {name: tf.stack(values) for name, values in found.items()}


def expected_of(learner, fast, observation):
    """The live learner's side of what only_tensorflow.py calls."""
    make = lambda **how: AdaptedPolicy.of(learner, **how)
    policy, time_step = make(emit_log_probability=True), ts.restart(observation, NUM_TASKS)
    state = policy.state_of(learner.acting(learner.meta.read(), fast))
    step = policy.action(time_step, state, seed=SEED)
    values = distributions.tensors(
        policy.distribution(
            time_step, {**state, "key": nest.repeat(keys.from_int(0), NUM_TASKS)}
        ).action
    )
    found = {
        "action": step.action,
        "log_probability": policy_step.get_log_probability(step.info),
        "greedy": make(greedy=True).action(time_step, state, seed=0).action,
        **{f"distribution/{key}": value for key, value in values.items()},
    }
    adapted = {name: part for name, part in fast._asdict().items() if tf.nest.flatten(part)}
    meta, key = learner.meta.read(), learner.task_keys(SEED, NUM_TASKS)
    first = learner.acting(meta, learner.start(meta, NUM_TASKS, key))
    if learner.policy.outlives_episodes:
        first = learner.acting(meta, fast)
    episode = new_episode(learner.policy, first, keys.from_int(0))
    for i, x in enumerate(tf.nest.flatten(with_episode(adapted, episode))):
        found[f"state/{i}"] = x
    after = with_episode(adapted, step.state.get("episode", {}))
    for i, x in enumerate(tf.nest.flatten(after)):
        found[f"state_after_step/{i}"] = x
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
            np.testing.assert_allclose(found[key], value, rtol=1e-6, atol=1e-6, err_msg=key)


def test_a_recurrent_export_is_the_policy_as_it_lives_through_episodes(exports, live, trained):
    """The very distributions that `unroll` gives of the two episodes, one after the other."""
    learner, (inputs, _) = trained["gru"], live["gru"]
    with np.load(exports[0] / "gru" / "outputs.npz", allow_pickle=False) as found:
        names = [f"state/{i}" for i in range(len(found.files)) if f"state/{i}" in found]
        leaves = [tf.constant(found[name]) for name in names]
        means = found["means"]
    first = learner.start(learner.meta.read(), NUM_TASKS)
    state = with_episode(
        {"params": first.params, "slots": first.slots},
        new_episode(learner.policy, first.params, SEED),
    )
    params = tf.nest.pack_sequence_as(state, leaves)["params"]
    fields = {
        name: tf.constant(inputs[f"trajectory_1/{name}"][:, :2]) for name in Trajectory._fields[:7]
    }
    expected = learner.policy.unroll(params, Trajectory(**fields)).mean()
    expected = tf.reshape(expected, [NUM_TASKS, 2, 6])
    played = means.reshape(2, 7, NUM_TASKS)[:, :6].transpose(2, 0, 1)
    np.testing.assert_allclose(played, expected, rtol=0, atol=1e-6)
    shuffled = Trajectory(**{**fields, "observation": fields["observation"][:, :, ::-1]})
    other = tf.reshape(learner.policy.unroll(params, shuffled).mean(), [NUM_TASKS, 2, 6])
    assert np.abs(other[:, :, ::-1] - expected).max() > 1e-3  # it remembers


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
    with pytest.raises(
        ConfigError, match=r"shots to be a whole number from 1 to .*; received shots=0"
    ):
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
