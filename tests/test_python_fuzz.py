"""Whatever is given to a function of the package, it works or says in one line why not.

Cases by hypothesis, some hundreds in the long form (`make test-soak`). Each is a sound call, some
of whose arguments are replaced by others, left out, or joined by one that there is not.
"""

import inspect
import shutil
import traceback

import gymnasium
import hypothesis
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import strategies as st
from tf_agents.specs import tensor_spec

import tfcaml
from tfcaml import agents, divergence, environments, keys, learners, nest, policies
from tfcaml.environments import ENVIRONMENTS
from tfcaml.environments.mujoco import bodies
from tfcaml.errors import ConfigError, RunError, checked_call
from tfcaml.learners import LEARNERS
from tfcaml.reporting.divergence_monitor import DivergenceMonitorConfig

VALUES = [
    *(-1, 0, 1, 2, 2.5, float("nan"), float("inf"), -1e308, 10**30, True, False, None, 1j),
    *("", "six", "ü\n", b"six", [], {}, (), [1], [[1.0], [1.0, 2.0]], ["a"], {"a": 1}, {1: "a"}),
    *({"config": {}}, set(), object(), int, ValueError, lambda: 0, lambda *_: 0, range(3)),
    *(np.zeros(2), np.zeros([2, 2]), np.full([2, 2], np.nan), np.float64(1), np.int32(2)),
    *(np.array("a"), np.array([None]), tf.zeros([2]), tf.constant("a"), tf.zeros([0])),
    *(tf.Variable(1.0), tf.TensorSpec([2]), tf.TensorSpec([None]), tf.TensorSpec([], tf.string)),
    tensor_spec.BoundedTensorSpec([], tf.int32, 0, 3),
    tensor_spec.BoundedTensorSpec([2], tf.float32, -1, 1),
    environments.Particle,
    environments.Navigation(),
    environments.Navigation().population(0, 2),
    learners.MAML,
    learners.MAML.Config(),
    learners.CAML.Config,
]
FORMS = pytest.mark.parametrize(
    "number", [pytest.param(30, id="short"), pytest.param(600, id="long", marks=pytest.mark.soak)]
)


class Frozen(gymnasium.Env):
    """Nothing ever happens."""

    observation_space = gymnasium.spaces.Box(-1, 1, [2])
    action_space = gymnasium.spaces.Discrete(2)

    def reset(self, seed=None, options=None):
        return np.zeros(2, np.float32), {}

    def step(self, action):
        return np.zeros(2, np.float32), 0.0, False, False, {}


@pytest.fixture(scope="module")
def calls(particle, policy, population, rollouts, tmp_path_factory):
    """name -> (function, its sound arguments)."""
    config = learners.Reptile.Config(num_iterations=1, inner_updates=1, episodes_per_update=2)
    learner = learners.Reptile(particle, policy, config)
    params, _, trajectories = rollouts
    one, other = ([nest.take(params, [i]), nest.take(trajectories, [i])] for i in range(2))
    one, other = divergence.Behaviour(*one), divergence.Behaviour(*other)
    seen, acts = particle.observation_spec, particle.action_spec
    apart = np.abs(np.subtract.outer(np.arange(6.0), np.arange(6.0)))
    logs = np.log([[0.5, 0.5], [0.1, 0.9]]).astype(np.float32)
    gaussian = {"loc_p": logs, "scale_p": -logs, "loc_q": logs, "scale_q": -logs}
    distribution = policy(one.params, trajectories.observation[:1, 0])
    tables = {"log_policy": logs[None], "transition": np.full([2, 2, 2], 0.4), "start": [1.0, 0]}
    tables["horizon"] = 3
    mapping = {"policy": policy, "one": one, "other": other}
    path = tmp_path_factory.mktemp("exports") / "model"

    def train(**given):
        learner.reset(0)
        tfcaml.train(**given)

    def export(**given):
        shutil.rmtree(path, ignore_errors=True)
        agents.export(**given)

    @checked_call  # of arguments, TensorFlow Probability makes its own errors
    def density(points, bandwidth=0.5, mask=None):
        divergence.KernelDensity(points, bandwidth, mask)

    table = {
        "train": (
            train,
            {
                **{"learner": learner, "population": population, "seed": 0, "max_bad_updates": 1},
                **{"callback": None, "progress": False},
            },
        ),
        "evaluate": (
            tfcaml.evaluate,
            {
                **{"learner": learner, "task": population.test, "num_updates": 1},
                **{"num_episodes": 2, "seed": 0},
            },
        ),
        "sample": (
            learner.sample,
            {
                **{"params": nest.repeat(policy.init(0), 3), "task": population.test},
                **{"num_episodes": 2, "key": keys.from_int(0)},
            },
        ),
        "step": (
            learner.train,
            {"task": nest.take(population.train, [0]), "key": keys.from_int(0), "index": ()},
        ),
        "export": (
            export,
            {"learner": learner, "directory": path, "environment": particle, "shots": 2},
        ),
        "check": (
            environments.check,
            {
                **{"environment": particle, "num_tasks": 2, "num_episodes": 2, "seed": 0},
                **{"quiet": True},
            },
        ),
        "HostEnvironment": (
            environments.HostEnvironment,
            {
                **{"make": Frozen, "tasks": lambda rng: {"gain": rng.uniform()}},
                **{"set_task": lambda environment, task: None, "horizon": 3, "num_train": 2},
                **{"max_retries": 1, "step_timeout": 5.0, "workers": 1, "worker": "thread"},
            },
        ),
        "mlp_policy": (
            policies.mlp_policy,
            {
                **{"observation_spec": seen, "action_spec": acts, "fc_layer_params": (3,)},
                **{"activation": "tanh", "one_hot": 0},
            },
        ),
        "NetworkPolicy": (
            policies.NetworkPolicy,
            {"network": policy.network, "action_spec": acts},
        ),
        "from_keras": (
            policies.NetworkPolicy.from_keras,
            {
                **{"model": tf.keras.layers.Dense(4), "observation_spec": seen},
                **{"action_spec": acts},
            },
        ),
        "ContextPolicy": (
            policies.ContextPolicy,
            {"policy": policy, "observation_spec": seen, "size": 2},
        ),
        "with_context": (policies.with_context, {"observation_spec": seen, "size": 2}),
        "init": (policy.init, {"seed": 0}),
        "population": (particle.population, {"seed": 0, "num_test": 2}),
        "AdaptedPolicy": (agents.AdaptedPolicy.of, {"learner": learner}),
        "policy_divergence_matrix": (
            divergence.policy_divergence_matrix,
            {
                **{"policy": policy, "params": params, "trajectories": trajectories},
                **{"bandwidth": 0.5, "weight": "uniform", "form": "hellinger", "num_states": 5},
                **{"seed": 0, "occupancy": "state", "time_indexed": False, "max_points": 9},
            },
        ),
        "state_bank": (
            divergence.state_bank,
            {"trajectories": trajectories, "max_points": 3, "seed": 0},
        ),
        "state_bank_distance": (
            divergence.state_bank_distance,
            {
                **{"policy": policy, "one": one.params, "other": other.params},
                **{"bank": tf.zeros([3, 2]), "weight": tf.ones([3])},
            },
        ),
        "visited_distance": (
            divergence.visited_distance,
            {**mapping, "bandwidth": 0.5, "max_points": 5},
        ),
        "trajectory_divergence": (divergence.trajectory_divergence, mapping),
        "k_medoids": (divergence.k_medoids, {"distances": apart, "k": 2, "seed": 0}),
        "agreement": (
            divergence.agreement,
            {"distances": apart, "groups": [0, 0, 0, 1, 1, 1], "seed": 0},
        ),
        "silhouette": (divergence.silhouette, {"distances": apart, "labels": [0, 0, 0, 1, 1, 1]}),
        "spread": (divergence.spread, {"distances": apart, "labels": [0, 0, 0, 1, 1, 1]}),
        "t_sne": (divergence.t_sne, {"distances": apart, "seed": 0, "perplexity": 2.0}),
        "KernelDensity": (
            density,
            {"points": logs, "bandwidth": 0.5, "mask": np.ones(2)},
        ),
        "jensen_shannon": (divergence.jensen_shannon, {"log_p": logs, "log_q": logs[::-1]}),
        "hellinger": (divergence.hellinger, {"log_p": logs, "log_q": logs[::-1]}),
        "root_jensen_shannon": (divergence.root_jensen_shannon, {"log_p": logs, "log_q": logs}),
        "symmetric_kl": (divergence.symmetric_kl, {"log_p": logs, "log_q": logs}),
        "gaussian_symmetric_kl": (divergence.gaussian_symmetric_kl, gaussian),
        "linear_bound": (divergence.linear_bound, {"symmetric_kl": logs}),
        "tight_bound": (divergence.tight_bound, {"symmetric_kl": -logs}),
        "gauss_hermite": (divergence.gauss_hermite, {"num_nodes": 4}),
        "action_distance": (
            divergence.action_distance,
            {
                **{"distribution": distribution, "other": distribution, "method": "bound"},
                **{"num_samples": 3, "seed": 0},
            },
        ),
        "euclidean": (divergence.euclidean, {"rows": logs}),
        "random_distances": (divergence.random_distances, {"size": 3, "seed": 0}),
        "pairs": (divergence.pairs, {"size": 3}),
        "square": (divergence.square, {"values": [1.0, 2.0, 3.0], "size": 3}),
        "mean_over_states": (divergence.mean_over_states, {"distance": logs, "weight": [1.0, 2.0]}),
        "equivalence_distance": (
            divergence.equivalence_distance,
            {"distance": -logs, "weight_p": -logs, "weight_q": -logs},
        ),
        "state_distributions": (divergence.state_distributions, tables),
        "state_visits": (divergence.state_visits, tables),
        "reachable": (divergence.reachable, tables),
        "tabular_divergence": (
            divergence.tabular_divergence,
            {
                **{"log_p": logs[None], "log_q": logs[None]},
                **{"visits_p": np.ones([1, 2]), "visits_q": np.ones([1, 2])},
            },
        ),
    }
    body = {"integrator": "euler", "timestep": 0.01}
    table["ant"] = bodies.ant, {**body, "gear": 150.0, "goal": True}
    table["legged"] = bodies.legged, {**body, "legs": 6, "gear": 150.0}
    table["reacher"] = bodies.reacher, {**body, "links": 4}
    table["wheeled"] = bodies.wheeled, {**body, "drive": "motor"}
    for name in ("maml", "reptile", "caml"):
        own = {"environment": particle, "policy": policy, "seed": 0, "jit_compile": False}
        own |= {"config": LEARNERS[name].Config(), "loss": None, "sampler": None}
        table[LEARNERS[name].__name__] = (LEARNERS[name], own)
    return table


def run(number, strategy, check):
    """`check` of so many cases; a smaller one that fails is not worth the time of finding it."""
    settings = hypothesis.settings(max_examples=number, phases=[hypothesis.Phase.generate])
    settings(hypothesis.given(strategy)(check))()


def works_or_says_why(function, given):
    """Calls a function; fails unless it returns or raises one of our errors of one line."""
    try:
        function(**given)
    except (ConfigError, RunError) as error:
        assert str(error) and "\n" not in str(error) and len(str(error)) < 2000, str(error)
    except Exception as error:
        last = traceback.extract_tb(error.__traceback__)[-1]
        shown = {name: tfcaml.errors.shown(value) for name, value in given.items()}
        name = getattr(function, "__qualname__", function)
        raise AssertionError(f"{name}({shown}): {last.filename}:{last.lineno}") from error


@FORMS
def test_calls(number, calls, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # any text is a path
    every = [value for _, sound in calls.values() for value in sound.values()]
    values = st.sampled_from(VALUES) | st.sampled_from(every)

    def check(name, replaced, left_out, more):
        function, sound = calls[name]
        given = {**sound, **{list(sound)[i % len(sound)]: value for i, value in replaced}}
        given = {name: value for i, (name, value) in enumerate(given.items()) if i not in left_out}
        works_or_says_why(function, {**given, **more})

    cases = st.tuples(
        st.sampled_from(sorted(calls)),
        st.lists(st.tuples(st.integers(0, 20), values), min_size=1, max_size=2),
        st.sets(st.integers(0, 20), max_size=1),
        st.just({}) | st.just({}) | st.just({"num_task": 1}),
    )
    run(number, cases, lambda case: check(*case))


CONFIGS = sorted(
    {learner.Config for learner in LEARNERS.values()}
    | {config for _, config in ENVIRONMENTS.values()}
    | {DivergenceMonitorConfig},
    key=lambda config: config.__name__,
)


@FORMS
def test_configs(number):
    values = st.sampled_from(VALUES) | st.integers() | st.floats() | st.text(max_size=5)

    def check(config, replaced, name):
        fields = list(inspect.signature(config).parameters)
        given = {fields[i % len(fields)]: value for i, value in replaced}
        works_or_says_why(config, {**given, **({name: 1} if name else {})})

    nested = st.dictionaries(st.sampled_from(["max_kl", "baseline", "x"]), values, max_size=2)
    cases = st.tuples(
        st.sampled_from(CONFIGS),
        st.lists(st.tuples(st.integers(0, 40), values | nested), min_size=1, max_size=3),
        st.just("") | st.just("") | st.text(max_size=8),
    )
    run(number, cases, lambda case: check(*case))
