"""Divergence followed from outside: of learners, and of policies that others trained."""

import contextlib
import io
import pathlib

import numpy as np
import pytest
from tensorboard.backend.event_processing import event_accumulator
from tf_agents.networks import actor_distribution_rnn_network

import tfcaml
from tfcaml import divergence, keys, nest
from tfcaml.errors import ConfigError
from tfcaml.learners import (
    CAML,
    FOMAML,
    MAMLRegression,
    NaturalPolicyGradient,
    PolicyGradient,
    Reptile,
)
from tfcaml.policies import NetworkPolicy
from tfcaml.reporting.divergence_monitor import DivergenceMonitor, DivergenceMonitorConfig, adapted

TINY = {"num_iterations": 3, "meta_batch_size": 2, "episodes_per_update": 3}
ALL = {"mean", "max", "silhouette", "group_silhouette", "ari", "nearest_neighbour"}
CONFIG = DivergenceMonitorConfig(interval=2, num_updates=2, num_clusters=2, bandwidth=1.0)


@pytest.fixture(scope="module")
def few(population):
    """Two entities of each of two groups as a population."""
    rows = [0, 1, 4, 5]
    return population._replace(
        train=nest.take(population.train, rows), train_group=population.train_group[rows]
    )


@pytest.fixture(scope="module")
def learner(particle, policy):
    """name -> learner, made once; in its state before training unless said otherwise."""
    made = {
        "fomaml": FOMAML(particle, policy, FOMAML.Config(**TINY, outer={"optimizer": "adam"})),
        "reptile": Reptile(particle, policy, Reptile.Config(**TINY, inner_updates=2)),
    }

    def get(name, fresh=True):
        if fresh:
            made[name].reset(1)
        return made[name]

    return get


def state(learner):
    """All that training changes, as a vector."""
    return np.concatenate([np.ravel(variable) for variable in learner.variables])


def images(directory):
    events = event_accumulator.EventAccumulator(
        str(directory), size_guidance={"tensors": 0}
    ).Reload()
    tags = events.Tags()["tensors"]
    shown = [tag for tag in tags if events.SummaryMetadata(tag).plugin_data.plugin_name == "images"]
    return {tag: [event.step for event in events.Tensors(tag)] for tag in shown}


@pytest.mark.slow
@pytest.mark.parametrize("name", ["fomaml", "reptile"])
def test_learners_are_followed_and_not_changed(name, learner, few, tmp_path):
    untrained = state(learner(name))
    history = tfcaml.train(learner(name), few, seed=3)
    alone = state(learner(name, fresh=False))
    monitor = DivergenceMonitor(tmp_path, CONFIG, seed=3)
    assert tfcaml.train(learner(name), few, seed=3, callback=monitor) == history
    np.testing.assert_array_equal(state(learner(name, fresh=False)), alone)
    assert not np.array_equal(alone, untrained)
    assert set(monitor.history) == ALL
    assert all(list(points) == [1, 2] for points in monitor.history.values())
    pictures = {f"divergence/{name}": [1, 2] for name in ("matrix", "map", "curves")}
    assert images(tmp_path) == pictures


@pytest.mark.slow
def test_what_is_recorded_is_the_divergence_of_the_adapted_policies(learner, few, tmp_path):
    reptile = learner("reptile")
    first, again, other = (
        DivergenceMonitor(tmp_path / str(i), CONFIG, seed).follow(
            7, reptile, few.train, few.train_group
        )
        for i, seed in enumerate((3, 3, 4))
    )
    np.testing.assert_array_equal(first.matrix, again.matrix)
    assert first.metrics == again.metrics
    assert np.abs(first.matrix - other.matrix).max() > 1e-4
    # Adapting is what evaluation does: the weights differ per entity, and from where they started.
    params, trajectory = adapted(reptile, few.train, 2, 1, keys.from_int(0))
    start = reptile.meta.read()["params"][0]
    assert all(np.abs(row - start).max() > 1e-3 for row in params[0])
    assert trajectory.mask.shape[:2] == (4, 1)
    unadapted, _ = adapted(reptile, few.train, 0, 1, keys.from_int(0))
    np.testing.assert_array_equal(unadapted[0], nest.repeat(start, 4))
    pairs = first.matrix[np.triu_indices(4, 1)]
    assert first.metrics["mean"] == pytest.approx(pairs.mean())
    assert first.metrics["max"] == pytest.approx(pairs.max())


@pytest.mark.slow
def test_learners_that_try_their_start_are_followed(particle, policy, few, tmp_path):
    sizes = {"policies_per_clustering": 4, "num_medoids": 2, "divergence": {"num_states": 20}}
    config = CAML.Config(**TINY, **sizes)
    learner = CAML(particle, policy, config)
    record = DivergenceMonitor(tmp_path, CONFIG).follow(0, learner, few.train)
    assert set(record.metrics) == {"mean", "max", "silhouette"}  # no groups were given
    assert learner.last_clustering is None


@pytest.fixture(scope="module")
def two_kinds(policy, constant_action, sample, population):
    """(params, trajectories) of six policies, three that go one way and three another."""
    params = constant_action([0, 0, 0, 3, 3, 3])
    task = nest.take(population.train, [0] * 6)
    return params, sample(params, task, 2, keys.from_int(0))


def test_own_policies_of_two_kinds_are_told_apart(policy, two_kinds, tmp_path):
    groups = [0, 0, 0, 1, 1, 1]
    record = DivergenceMonitor(tmp_path, CONFIG).record(0, policy, *two_kinds, groups)
    assert record.matrix.shape == (6, 6)
    assert record.metrics["ari"] == record.metrics["nearest_neighbour"] == 1
    assert record.metrics["silhouette"] == record.metrics["group_silhouette"] > 0.5
    crossed = [0, 1, 0, 1, 0, 1]
    record = DivergenceMonitor(tmp_path, CONFIG).record(1, policy, *two_kinds, crossed)
    found = divergence.agreement(record.matrix, crossed)
    named = ("ari", "group_silhouette", "nearest_neighbour")
    assert tuple(record.metrics[name] for name in named) == pytest.approx(found)
    assert found.ari < 0.2 and found.silhouette < 0 and record.metrics["silhouette"] > 0.5


@pytest.mark.parametrize("groups", [None, [2] * 6, range(6)])
def test_groups_that_tell_nothing_are_left_out(groups, policy, two_kinds, tmp_path):
    record = DivergenceMonitor(tmp_path, CONFIG).record(0, policy, *two_kinds, groups)
    assert set(record.metrics) == {"mean", "max", "silhouette"}


@pytest.mark.slow
def test_history_goes_on_where_an_earlier_run_stopped(policy, two_kinds, tmp_path):
    groups = [0, 0, 1, 1, 1, 1]
    whole = DivergenceMonitor(tmp_path / "whole", CONFIG)
    for step in (1, 3, 5):
        last = whole.record(step, policy, *two_kinds, groups)
    for steps in ((1, 3), (3, 5)):  # stopped, and resumed from before the last record
        monitor = DivergenceMonitor(tmp_path / "parts", CONFIG)
        for step in steps:
            monitor.record(step, policy, *two_kinds, groups)
    assert monitor.history == whole.history
    assert DivergenceMonitor(tmp_path / "whole", CONFIG).history == whole.history
    lines = last.figures["curves"].axes[1].lines
    assert [line.get_label() for line in lines] == [
        "silhouette",
        "group_silhouette",
        "ari",
        "nearest_neighbour",
    ]
    np.testing.assert_array_equal(lines[0].get_xdata(), [1, 3, 5])
    assert list(whole.history["silhouette"].values()) == lines[0].get_ydata().tolist()


SCRIPT = pathlib.Path(__file__).parents[1] / "agents" / "own_policies.py"
SMALL = {
    "UPDATES, INTERVAL, EPISODES = 40, 10, 10": "UPDATES, INTERVAL, EPISODES = 1, 1, 2",
    "ENTITIES = [0, 1, 4, 5, 8, 9]": "ENTITIES = [0, 4, 8]",
    "Particle()": "Particle(tfcaml.environments.ParticleConfig(horizon=4))",
    "num_clusters=3": "num_clusters=2",
}


@pytest.mark.slow
def test_networks_that_tf_agents_trained_apart(tmp_path):
    """The script of the README: the divergences are those of each network by itself."""
    code = SCRIPT.read_text()
    for old, new in {**SMALL, "runs/own": str(tmp_path)}.items():
        assert code.count(old) == 1, old
        code = code.replace(old, new)
    variables, output = {}, io.StringIO()
    with contextlib.redirect_stdout(output):
        exec(compile(code, SCRIPT.name, "exec"), variables)
    assert output.getvalue().count("\n") == 2
    monitor, episodes = variables["monitor"], variables["played"]
    assert all(list(points) == [0, 1] for points in monitor.history.values())
    assert episodes.mask.shape[:2] == (3, 2) and np.all(episodes.mask[:, :, :4] == 1)
    # Each row of the stacked weights is that network, as the policy sees it.
    params = nest.stack([tuple(actor.trainable_variables) for actor in variables["actors"]])
    observation = episodes.observation[:, 0]
    ours = variables["policy"](params, observation).logits
    for actor, row, logits in zip(variables["actors"], observation, ours):
        theirs = actor(row, step_type=(), network_state=())[0].logits
        np.testing.assert_allclose(logits, theirs, atol=1e-5)


def test_errors(particle, policy, two_kinds, population, tmp_path):
    monitor = DivergenceMonitor(tmp_path, DivergenceMonitorConfig(num_clusters=7))
    with pytest.raises(ConfigError, match=r"expected k to be .* 1 to 6, .*received k=7"):
        monitor.record(0, policy, *two_kinds)
    monitor = DivergenceMonitor(tmp_path, CONFIG)
    with pytest.raises(ConfigError, match=r"groups.* to be 6, the number of policies"):
        monitor.record(0, policy, *two_kinds, [0, 1])
    with pytest.raises(ConfigError, match="expected history to be of one record at least"):
        monitor.figure()
    network = actor_distribution_rnn_network.ActorDistributionRnnNetwork(
        particle.observation_spec, particle.action_spec, lstm_size=(4,)
    )
    recurrent = NetworkPolicy(network, particle.action_spec)
    with pytest.raises(ConfigError, match="policies with memory have no occupancy"):
        monitor.record(0, recurrent, *two_kinds)
    with pytest.raises(ConfigError, match="policies with memory have no occupancy"):
        monitor.follow(0, Reptile(particle, recurrent), population.train)
    sinusoid = tfcaml.environments.Sinusoid()
    regression = tfcaml.policies.mlp_policy(sinusoid.observation_spec, sinusoid.action_spec, (4,))
    with pytest.raises(ConfigError, match=r"adapts a policy to any entity.*=.MAMLRegression"):
        monitor.follow(0, MAMLRegression(sinusoid, regression), sinusoid.population(0).train)
    for one_each in (PolicyGradient, NaturalPolicyGradient):
        with pytest.raises(ConfigError, match="adapts a policy to any entity"):
            monitor.follow(0, one_each(particle, policy), population.train)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"interval": 0}, "interval to be >= 1"),
        ({"num_updates": -1}, "num_updates to be >= 0"),
        ({"episodes": 0}, "episodes to be >= 1"),
        ({"num_clusters": 0}, "num_clusters to be > 0"),
        ({"bandwidth": 0.0}, "bandwidth to be > 0"),
    ],
)
def test_bad_settings(options, message):
    with pytest.raises(ConfigError, match=message):
        DivergenceMonitorConfig(**options)


def test_matrix_is_what_the_divergence_module_gives(policy, two_kinds, tmp_path):
    record = DivergenceMonitor(tmp_path, CONFIG).record(0, policy, *two_kinds)
    direct = divergence.policy_divergence_matrix(policy, *two_kinds, bandwidth=1.0, seed=0).numpy()
    np.testing.assert_allclose(record.matrix, direct, atol=0.1)  # other places, same integral
