"""What users do wrong in Python is said in one line, that names the thing and what is allowed."""

import dataclasses
import inspect
import io
import re

import gymnasium
import numpy as np
import pytest
import tensorflow as tf
from tf_agents.specs import tensor_spec

import tfcaml
from tests.environments.family_names import ATARI, WITHOUT_DATA
from tests.homes import FEW_SHOT, home
from tfcaml import agents, divergence, environments, keys, nest, policies, settings
from tfcaml.environments import ENVIRONMENTS, HostEnvironment
from tfcaml.errors import ConfigError
from tfcaml.experiments.ray_workers import RayWorkers
from tfcaml.learners import LEARNERS, MAML, Reptile
from tfcaml.learners.caml.config import ChoiceConfig, DivergenceConfig
from tfcaml.learners.hindsight.buffer import HindsightBufferConfig
from tfcaml.learners.hindsight.maml import GuidanceConfig
from tfcaml.learners.hindsight.task_similarity import TaskSimilarityConfig
from tfcaml.optimization.config import OuterConfig
from tfcaml.reporting.divergence_monitor import DivergenceMonitorConfig
from tfcaml.rollouts.ray_sampler import RaySampler


def refused(call, message):
    """`call` raises a ConfigError of one line that matches."""
    with pytest.raises(ConfigError, match=message) as found:
        call()
    line = str(found.value)
    assert "\n" not in line and 20 < len(line) < 1000, line


# Configs.

CONFIGS = {learner.Config for learner in LEARNERS.values()}
CONFIGS |= {config for _, config in ENVIRONMENTS.values()}
CONFIGS |= {ChoiceConfig, DivergenceConfig, HindsightBufferConfig, GuidanceConfig}
CONFIGS |= {TaskSimilarityConfig, OuterConfig, DivergenceMonitorConfig}
WRONG = {"int": ["ten", 2.5, None, True, [1], {}, np.zeros(2), 10**12], "str": [3, None, [], b"a"]}
WRONG |= {"float": ["ten", None, float("nan"), [1.0], np.zeros(2)], "bool": [1, "yes", None]}
WRONG |= {"tuple": ["ten", 2, {}, None]}  # a list may be empty


@pytest.mark.parametrize("config", sorted(CONFIGS, key=lambda x: x.__name__))
def test_every_config_refuses_other_names_and_types(config):
    config()
    for field in dataclasses.fields(config):
        refused(
            lambda name=field.name: config(**{name + "x": 1}),
            rf"^{config.__name__}: unknown field '{field.name}x'; did you mean .*{field.name}\? ",
        )
        kind = getattr(field.type, "__name__", field.type)
        for value in WRONG.get(kind, ["ten", 2, []]):
            if value is None and field.metadata.get("infinite"):
                continue
            given = lambda name=field.name, value=value: config(**{name: value})
            refused(given, rf"expected {field.name} to be .*; received {field.name}=")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"inner_lr": 0.1}, r"unknown field 'inner_lr'; did you mean inner_learning_rate\?"),
        ({"max_kl": 0.1}, r"unknown field 'max_kl'; did you mean outer\.max_kl\?"),
        ({"lr": 0.1}, r"did you mean outer\.learning_rate\?"),
        ({"outer": {"max_klm": 1}}, r"unknown field 'outer\.max_klm'; did you mean outer\.max_kl"),
        ({"outer": {"max_kl": "x"}}, r"expected outer\.max_kl to be a finite number"),
        ({"outer": 3}, "expected outer to be a dict of fields, or of class OuterConfig"),
        ({"num_iterations": 2.5}, "num_iterations to be a whole number .*; received .*=2.5"),
        ({"num_iterations": "ten"}, "num_iterations to be a whole number .*; received .*='ten'"),
    ],
)
def test_configs_of_learners(given, message):
    refused(lambda: MAML.Config(**given), message)


def test_what_python_itself_refuses_of_configs_is_refused_alike():
    refused(lambda: MAML.Config(*range(30)), "MAMLConfig: too many positional arguments")
    refused(lambda: dataclasses.replace(MAML.Config(), inner_lr=0.1), "unknown field 'inner_lr'")


def test_numbers_of_numpy_become_those_of_python():
    config = MAML.Config(num_iterations=np.int64(3), inner_learning_rate=np.float64(0.5))
    assert type(config.num_iterations) is int and type(config.inner_learning_rate) is float
    assert settings.as_json(dataclasses.asdict(config))["num_iterations"] == 3


def test_configs_keep_their_signature():
    assert inspect.signature(MAML.Config).parameters["inner_updates"].default == 1


def test_a_config_of_the_users_own_is_checked_too():
    @dataclasses.dataclass(frozen=True)
    class Own(Reptile.Config):
        share: float = 0.5

    refused(lambda: Own(share="half"), "expected share to be a finite number; received share='half")


# Learners.


@pytest.fixture(scope="module")
def learner(particle, policy):
    config = Reptile.Config(num_iterations=2, inner_updates=1, episodes_per_update=2)
    return Reptile(particle, policy, config)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"inner_lr": 0.1}, r"MAML: unknown argument 'inner_lr'; did you mean config\.inner_learn"),
        ({"sed": 1}, r"MAML: unknown argument 'sed'; did you mean seed\?"),
        ({"config": {}}, r"config to be an instance of MAML\.Config, .*; received config=\{\}"),
        (
            {"config": Reptile.Config()},
            r"an instance of MAML\.Config, .*; received config=an instance of ReptileC",
        ),
        (
            {"config": MAML.Config},
            r"an instance of MAML\.Config, .*; received config=the class MAMLC",
        ),
        ({"config": 0}, r"an instance of MAML\.Config, .*; received config=0"),
        ({"seed": "one"}, "seed to be an integer .*received seed='one'"),
        ({"seed": -1}, "seed to be an integer .*received seed=-1"),
        ({"seed": 0.5}, "seed to be an integer"),
        ({"jit_compile": "yes"}, "jit_compile to be True, False or None; received jit_compile='ye"),
        ({"loss": "mse"}, "loss to be a TaskLoss; received loss='mse'"),
        ({"sampler": 3}, "sampler to be a function of .policy, environment, params, .*; received"),
        ({"sampler": lambda: 0}, r"sampler to be a function of \(policy, .*; received one of \(\)"),
        ({"policy": "mlp"}, "policy to be a Policy, as policies.mlp_policy.*; received .*'mlp'"),
        ({"environment": "particle"}, "environment to be a task family.*; received .*'particle'"),
        ({"environment": environments.Particle}, "environment to be a task family.*the class Part"),
    ],
)
def test_constructors_of_learners(given, message, particle, policy):
    refused(lambda: MAML(**{"environment": particle, "policy": policy, **given}), message)


@pytest.mark.parametrize("name", sorted(LEARNERS))
def test_every_learner_refuses_a_network_and_settings_beside_its_config(name, particle, policy):
    learner, family = LEARNERS[name], home(name) if name in FEW_SHOT else particle
    refused(lambda: learner(family, policy.network), "policy to be a Policy.*NetworkPolicy.netw")
    unknown = "num_iterations" if name == "nearest_neighbour" else r"config\.num_iterations\?"
    refused(lambda: learner(family, policy, num_iterations=3), unknown)
    refused(lambda: learner(family, config={"num_iterations": 3}), r"config to be an instance of ")
    refused(lambda: learner(), f"{learner.__name__}: missing a required argument: 'environment'")


def test_arguments_in_another_order(particle, policy):
    refused(lambda: MAML(policy, particle), "environment to be a task family")
    refused(lambda: MAML(particle, MAML.Config()), "policy to be a Policy")


def test_a_policy_of_another_family(particle, policy, slide, gaussian_policy):
    message = r"policy.observation_spec to be that of Slide, .*\(1,\).*; received .*\(2,\)"
    refused(lambda: MAML(slide, policy), message)
    seen = particle.observation_spec
    three = tensor_spec.BoundedTensorSpec([], tf.int32, 0, 2)
    for action in (three, slide.action_spec):
        other = policies.mlp_policy(seen, action, (4,))
        refused(lambda other=other: MAML(particle, other), "policy.action_spec to be that of Parti")


# train, evaluate, sample, export.

WRONG_TASKS = {
    "a list": (lambda task: [task["displacement"]], "task to have the structure"),
    "a tensor": (lambda task: task["displacement"], "task to have the structure"),
    "lists": (lambda task: {"displacement": task["displacement"].numpy().tolist()}, "structure"),
    "one task": (lambda task: nest.map(lambda x: x[0], task), r"of shape \[N, 4, 2\] .*\[4, 2\]"),
    "float64": (lambda task: nest.map(lambda x: tf.cast(x, tf.float64), task), "dtype float32"),
    "NumPy's float64": (lambda task: nest.map(lambda x: x.numpy() * 1.0, task), None),
    "another key": (lambda task: {"displacements": task["displacement"]}, "structure"),
    "one key more": (lambda task: {**task, "more": task["displacement"]}, "structure"),
    "no tasks": (lambda task: nest.map(lambda x: x[:0], task), "1 at least"),
    "not a number": (lambda task: nest.map(lambda x: x * np.nan, task), "finite; received nan"),
    "nothing": (lambda task: None, "structure"),
}


@pytest.mark.parametrize("kind", WRONG_TASKS)
def test_tasks(kind, learner, population):
    change, message = WRONG_TASKS[kind]
    task = change(population.test)
    if message is None:  # NumPy keeps float32 here
        assert task["displacement"].dtype == np.float32
        return
    refused(lambda: tfcaml.evaluate(learner, task), message)
    params = nest.repeat(learner.policy.init(0), 3)
    refused(lambda: learner.sample(params, task, 2, keys.from_int(0)), message)
    if kind not in ("no tasks", "not a number"):  # looked at once, not in each iteration
        refused(lambda: learner.train(task, keys.from_int(0)), message)
    refused(
        lambda: tfcaml.train(learner, population._replace(train=task)),
        message.replace("task to", "train to"),
    )


def test_tasks_in_numpy_are_tasks(learner, population):
    plain = nest.map(np.asarray, population.test)
    found = [
        tfcaml.evaluate(learner, task, num_updates=0, num_episodes=2).returns
        for task in (plain, population.test)
    ]
    np.testing.assert_array_equal(*found)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"learner": "maml"}, "learner to be a learner, such as .*; received learner='maml'"),
        ({"learner": MAML}, "learner to be a learner, .*; received learner=the class MAML"),
        ({"population": None}, "population to be a whole Population.*; received population=None"),
        ({"seed": "x"}, "seed to be an integer"),
        ({"max_bad_updates": "x"}, "max_bad_updates to be a whole number"),
        ({"callback": 3}, r"callback to be a function of \(learner, population, metrics\)"),
        (
            {"callback": lambda learner, population: None},
            r"metrics\); received one of \(lear",
        ),
        ({"callback": lambda: None}, r"metrics\); received one of \(\)"),
        ({"progress": "bar"}, "progress to be True, False or None; received progress='bar'"),
        ({"num_iterations": 3}, "train: unknown argument 'num_iterations'; allowed are learner"),
        ({"cal": print}, r"train: unknown argument 'cal'; did you mean callback\?"),
    ],
)
def test_train(given, message, learner, population):
    refused(
        lambda: tfcaml.train(**{"learner": learner, "population": population, **given}), message
    )


def test_parts_of_populations_and_those_of_other_families(learner, population, slide):
    whole = r"population to be a whole Population, as family\.population\(seed\) gives it; received"
    refused(lambda: tfcaml.train(learner, population.train), whole)
    refused(lambda: tfcaml.train(learner, learner.environment), whole)
    refused(lambda: tfcaml.train(population, learner), "learner to be a learner")
    other = environments.Navigation().population(0)
    refused(lambda: tfcaml.train(learner, other), r"population\.train to have .*displacement.*goal")
    refused(lambda: tfcaml.evaluate(learner, other.test), r"task to have .*displacement.*goal")
    refused(lambda: tfcaml.evaluate(learner, population), r"a whole Population, whose \.test holds")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"num_updates": 1.5}, "num_updates to be a whole number"),
        ({"num_updates": "x"}, "num_updates to be a whole number"),
        ({"num_updates": -1}, "num_updates to be a whole number"),
        ({"num_episodes": 0}, "num_episodes to be a whole number"),
        ({"num_episodes": True}, "num_episodes to be a whole number"),
        ({"seed": None}, "seed to be an integer"),
        ({"episodes": 3}, r"evaluate: unknown argument 'episodes'; did you mean num_episodes\?"),
        ({"learner": 3}, "learner to be a learner"),
    ],
)
def test_evaluate(given, message, learner, population):
    given = {"learner": learner, "task": population.test, **given}
    refused(lambda: tfcaml.evaluate(**given), message)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"params": lambda x: x[:-1]}, "params to have the structure"),
        ({"params": lambda x: nest.map(lambda y: y[0], x)}, r"params\['?0'?\] of shape \[3, "),
        ({"params": lambda x: nest.map(lambda y: y[:2], x)}, r"params\['?0'?\] of shape \[3, "),
        ({"params": lambda x: "weights"}, "params to have the structure .*; received 'weights'"),
        ({"num_episodes": lambda x: 0}, "num_episodes to be a whole number"),
        ({"num_episodes": lambda x: 2.0}, "num_episodes to be a whole number"),
        (
            {"key": lambda x: 3},
            "key to be an int32 tensor of shape .* as keys.from_int.seed. gives",
        ),
        ({"key": lambda x: tf.zeros([3], tf.int32)}, "key to be an int32 tensor of shape"),
        ({"key": lambda x: tf.zeros([2])}, "key to be an int32 tensor of shape"),
    ],
)
def test_sample(given, message, learner, population):
    values = {
        "params": nest.repeat(learner.policy.init(0), 3),
        "task": population.test,
        "num_episodes": 2,
        "key": keys.from_int(0),
    }
    ((name, change),) = given.items()
    refused(lambda: learner.sample(**{**values, name: change(values[name])}), message)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"learner": "maml"}, "learner to be a learner"),
        ({"directory": 3}, "directory to be a path; received directory=3"),
        ({"environment": "particle"}, "environment to be a task family"),
        ({"environment": environments.Navigation()}, "policy.action_spec to be that of Navigation"),
        ({"shots": 0}, "shots to be a whole number"),
        ({"shots": "two"}, "shots to be a whole number"),
        ({"path": "x"}, "export: unknown argument 'path'"),
    ],
)
def test_export(given, message, learner, tmp_path):
    given = {"learner": learner, "directory": tmp_path / "model", **given}
    refused(lambda: agents.export(**given), message)
    assert not any(tmp_path.iterdir())


def test_bridges_to_tf_agents(learner, population):
    refused(lambda: agents.AdaptedPolicy.of("maml"), "learner to be a learner")
    refused(lambda: agents.MetaAgent(learner), "learner to be a learner of the gradient-based fam")
    refused(lambda: agents.ReinforceLoss("agent"), "expected agent to have total_loss")


# Families and policies.


class Named(gymnasium.Env):
    observation_space = gymnasium.spaces.Box(-1, 1, [2])
    action_space = gymnasium.spaces.Discrete(2)


def _raises():
    raise OSError("no display")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            {"make": "CartPole-v1"},
            "make to be a function, which makes .*; received .*'CartPole-v1'",
        ),
        ({"make": Named()}, "make to be a function, which makes an environment, such as lambda"),
        ({"make": lambda env: env}, r"make to be a function of \(\); received one of \(env\)"),
        ({"make": lambda: 3}, "make.. to give a PyEnvironment, TFEnvironment or gymnasium.Env"),
        ({"make": _raises}, "make.. to give an environment; it raised OSError: no display"),
        ({"tasks": 3}, "tasks to be a function, or a pair of dicts"),
        ({"tasks": lambda: {}}, r"tasks to be a function of \(rng\); received one of \(\)"),
        ({"tasks": lambda rng: 3}, "task to be a dict of named numbers"),
        ({"set_task": "set"}, r"set_task to be a function of \(environment, task\); received"),
        (
            {"set_task": lambda task: 0},
            r"function of \(environment, task\); received one of \(task",
        ),
        ({"horizon": "long"}, "horizon to be a whole number"),
        ({"horizon": 0}, "horizon to be a whole number"),
        ({"horizon": 2.5}, "horizon to be a whole number"),
        ({"num_train": -1}, "num_train to be a whole number"),
        ({"max_retries": None}, "max_retries to be a whole number"),
        ({"step_timeout": "x"}, "step_timeout to be > 0"),
        ({"workers": 1.5}, "workers to be a whole number"),
        ({"worker": "fork"}, "worker to be one of"),
        ({"num_tasks": 3}, r"HostEnvironment: unknown argument 'num_tasks'; did you mean "),
    ],
)
def test_families_in_python(given, message):
    sound = {
        "make": Named,
        "tasks": lambda rng: {"gain": rng.uniform()},
        "set_task": lambda environment, task: None,
        "horizon": 5,
    }
    refused(lambda: HostEnvironment(**{**sound, **given}), message)


@pytest.mark.parametrize("name", [*sorted(set(ENVIRONMENTS) - {"atari"}), ATARI])
def test_families(name):
    family, config = ENVIRONMENTS[name]
    refused(lambda: family(horizonn=3), "unknown argument 'horizonn'; ")
    refused(
        lambda: family({"horizon": 3}),
        f"config to be an instance of {config.__name__}, .*; received",
    )
    if name in WITHOUT_DATA:
        return
    refused(lambda: family().population("zero"), "seed to be an integer")
    refused(lambda: family().population(0, "three"), "num_test to be a whole number")
    refused(lambda: family().population(0, 0), "num_test to be a whole number")


def test_the_check_of_families(particle, capsys):
    refused(lambda: environments.check("particle"), "environment to be a task family")
    refused(lambda: environments.check(particle, num_tasks=0), "num_tasks to be a whole number")
    refused(lambda: environments.check(particle, num_episodes="x"), "num_episodes to be a whole")
    refused(lambda: environments.check(particle, seed="x"), "seed to be an integer")
    environments.check(particle, num_tasks=2, num_episodes=3)
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith("Particle can be learned in. Checked: ")
    assert "3 episodes of each of 2 tasks" in line
    environments.check(particle, quiet=True)
    assert not capsys.readouterr().out


SEEN, ACTS = tf.TensorSpec([2]), tensor_spec.BoundedTensorSpec([], tf.int32, 0, 3)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: policies.mlp_policy("seen", ACTS), "observation_spec to be a TensorSpec of numb"),
        (
            lambda: policies.mlp_policy(environments.Particle(), ACTS),
            "observation_spec to be a Ten",
        ),
        (lambda: policies.mlp_policy(tf.TensorSpec([None]), ACTS), "of a known shape"),
        (lambda: policies.mlp_policy(tf.TensorSpec([2], tf.string), ACTS), "numbers or booleans"),
        (lambda: policies.mlp_policy(SEEN, 4), "action_spec to be a single BoundedTensorSpec"),
        (lambda: policies.mlp_policy(SEEN, {"a": ACTS}), "action_spec to be a single BoundedTens"),
        (lambda: policies.mlp_policy(SEEN, ACTS, 100), "fc_layer_params to be a list of units"),
        (lambda: policies.mlp_policy(SEEN, ACTS, ("a",)), "units in fc_layer_params to be a whole"),
        (lambda: policies.mlp_policy(SEEN, ACTS, (-3,)), "units in fc_layer_params to be a whole"),
        (lambda: policies.mlp_policy(SEEN, ACTS, (3,), tf.tanh), "policy.activation to be one of"),
        (lambda: policies.mlp_policy(SEEN, ACTS, layers=(3,)), "mlp_policy: unknown argument"),
        (lambda: policies.mlp_policy(SEEN), "mlp_policy: missing a required argument: 'action_sp"),
        (lambda: policies.NetworkPolicy("net", ACTS), "network to be a TF-Agents network"),
        (lambda: policies.NetworkPolicy.from_keras("net", SEEN, ACTS), "model to be a Keras 2 mod"),
        (lambda: policies.ContextPolicy("net", SEEN, 3), "policy to be a Policy"),
        (lambda: policies.with_context(SEEN, "x"), "size to be a whole number"),
        (lambda: policies.with_context(3, 2), "observation_spec to be a TensorSpec"),
    ],
)
def test_policies(call, message):
    refused(call, message)


def test_weights_are_drawn_from_a_seed(policy):
    for seed in ("x", 1.5, -1, None):
        refused(lambda seed=seed: policy.init(seed), "seed to be an integer")


# Divergence.

APART = np.array([[0.0, 1.0], [1.0, 0.0]])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: divergence.k_medoids("abc", 2), r"distances to be \[n, n\] numbers"),
        (lambda: divergence.k_medoids([[0, 1], [1]], 2), r"distances to be \[n, n\] numbers"),
        (lambda: divergence.k_medoids(APART[0], 2), r"distances to be \[n, n\]; received shape"),
        (lambda: divergence.k_medoids(APART * np.nan, 2), "distances to be finite"),
        (lambda: divergence.k_medoids(APART, "two"), "k to be a whole number from 1 to 2"),
        (lambda: divergence.k_medoids(APART, 1.5), "k to be a whole number from 1 to 2"),
        (lambda: divergence.agreement(APART, [0]), "groups to be one number or name for each of 2"),
        (lambda: divergence.silhouette(APART, 3), "labels to be one number or name for each of 2"),
        (lambda: divergence.spread([1, 2], [0, 1]), r"distances to be \[n, n\]"),
        (lambda: divergence.t_sne("abc"), r"distances to be \[n, n\] numbers"),
        (lambda: divergence.t_sne(np.zeros([5, 5]), perplexity=9), "perplexity to be a number > 0"),
        (lambda: divergence.KernelDensity("abc"), "points to be an array of numbers"),
        (lambda: divergence.KernelDensity(APART, {}), "bandwidth to be a number, a covariance or"),
        (lambda: divergence.KernelDensity(APART, mask=[1.0]), "mask to be of shape"),
        (lambda: divergence.jensen_shannon("a", "b"), "log_p to be an array of numbers"),
        (lambda: divergence.jensen_shannon(APART, np.zeros(3)), "shapes of log_p and log_q"),
        (lambda: divergence.hellinger(APART, None), "log_q to be an array of numbers"),
        (lambda: divergence.symmetric_kl(1.0, 2.0), "number of axes of log_p to be >= 1"),
        (lambda: divergence.action_distance(APART, APART), "distribution to be a tfd.Distribution"),
        (lambda: divergence.gauss_hermite(0), "num_nodes to be a whole number"),
        (lambda: divergence.euclidean("rows"), "rows to be an array of numbers"),
        (lambda: divergence.random_distances(2.5, 0), "size to be a whole number"),
        (lambda: divergence.square([1.0, 2.0], 4), r"values to be \[6\], one for each pair of 4"),
        (lambda: divergence.policy_divergence_matrix(1, 2, 3), "policy to be a Policy"),
        (lambda: divergence.state_bank(APART), "trajectories to be a Trajectory"),
    ],
)
def test_divergences(call, message):
    refused(call, message)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"params": 3}, "params to have the structure"),
        ({"trajectories": {}}, "trajectories to be a Trajectory"),
        ({"num_states": "many"}, "num_states to be a whole number"),
        ({"max_points": 0}, "max_points to be a whole number"),
        ({"bandwidth": {}}, "bandwidth to be a number, a covariance, or"),
        ({"bandwidth": [1, "x"]}, "bandwidth to be a number, a covariance, or"),
        ({"form": 3}, "form to be one of"),
        ({"weight": ["density"]}, "weight to be one of"),
        ({"seed": -1}, "seed to be an integer"),
        ({"time_indexed": "yes"}, "time_indexed to be True or False"),
        ({"states": 3}, r"unknown argument 'states'; did you mean num_states\?"),
    ],
)
def test_the_matrix_of_divergences(given, message, policy, rollouts):
    params, _, trajectories = rollouts
    given = {"policy": policy, "params": params, "trajectories": trajectories, **given}
    refused(lambda: divergence.policy_divergence_matrix(**given), message)


# tfcaml.train tells what it does.


@pytest.fixture
def run(learner, population):
    """(**options) -> the metrics of two iterations from the beginning."""

    def train(**options):
        learner.reset(0)
        return tfcaml.train(learner, population, **options)

    return train


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_training_is_silent_where_nobody_watches_unless_asked(run, monkeypatch):
    stream = io.StringIO()
    monkeypatch.setattr("sys.stderr", stream)
    history = run()
    assert not stream.getvalue()
    assert run(progress=True) == history
    assert re.fullmatch(
        r"100% Reptile iteration 2/2  return -?[\d.]+  0:00 left\n", stream.getvalue()
    )


def test_training_shows_a_bar_on_a_terminal_unless_told_not_to(run, monkeypatch):
    stream = Terminal()
    monkeypatch.setattr("sys.stderr", stream)
    history = run(progress=False)
    assert not stream.getvalue()
    assert run() == history
    assert "Reptile iteration 2/2" in stream.getvalue()


def test_callbacks_get_the_metrics_of_the_iteration(run, learner, population):
    seen = []
    history = run(callback=lambda *arguments: seen.append(arguments))
    assert [metrics for _, _, metrics in seen] == history and len(history) == 2
    assert all(one is learner and two is population for one, two, _ in seen)


def test_nothing_is_trained_where_something_is_refused(learner, population):
    learner.reset(0)
    refused(lambda: tfcaml.train(learner, population, callback=lambda learner: 0), "callback")
    assert int(learner.iteration) == 0


# Workers. Nothing of Ray is started where something is refused.


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: RayWorkers(0), "expected workers to be a whole number from 1 to 10000"),
        (
            lambda: RayWorkers(10_000),
            r"expected workers to be at most \d+, .*received workers=10000",
        ),
        (lambda: RayWorkers(2, timeout=np.inf), "expected worker_timeout to be finite"),
        (lambda: RaySampler(lambda: None, 2, timeout=np.inf), "expected timeout to be finite"),
        (lambda: RayWorkers("two"), "expected workers to be a whole number .*; received .*'two'"),
        (lambda: RayWorkers(2, timeout=0), "expected worker_timeout to be > 0"),
        (lambda: RayWorkers(2, timeout=None), "expected worker_timeout to be > 0"),
        (lambda: RayWorkers(2, adress="a:1"), r"unknown argument 'adress'; did you mean address\?"),
        (lambda: RayWorkers(2, "head"), "expected ray_address to be HOST:PORT of the head"),
        (lambda: RaySampler(3, 2), "expected make to be a function of"),
        (lambda: RaySampler(lambda seed: None, 2), "expected make to be a function of"),
        (lambda: RaySampler(lambda: None, 2.5), "expected workers to be a whole number"),
        (lambda: RaySampler(lambda: None, 2, timeout=-1), "expected timeout to be > 0"),
        (lambda: RaySampler(lambda: None, 2, ["a:1"]), "expected ray_address to be HOST:PORT"),
    ],
)
def test_workers(call, message):
    refused(call, message)
