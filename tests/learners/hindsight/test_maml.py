"""What hindsight MAML adds to MAML: a similarity, a buffer, and who explores a new task."""

import dataclasses
import itertools

import numpy as np
import pytest
import tensorflow as tf

import tfcaml
from tests.dotted import nested
from tfcaml import environments, keys, learners, losses, nest, policies
from tfcaml.errors import ConfigError
from tfcaml.experiments.checkpoints import Checkpoints
from tfcaml.learners import HindsightMAML, HindsightMAMLConfig
from tfcaml.learners.hindsight.buffer import HindsightBufferConfig
from tfcaml.learners.hindsight.maml import GuidanceConfig
from tfcaml.learners.hindsight.task_similarity import TaskSimilarityConfig
from tfcaml.learners.state import Variables
from tfcaml.types import episode_return

CONFIG = HindsightMAMLConfig(
    num_iterations=3,
    meta_batch_size=4,
    episodes_per_update=4,
    saved_episodes=2,
    buffer={"capacity": 6},
    guidance={"num_similar": 2},
    similarity={"steps": 3},
    advantage={"baseline": "time_step_mean"},
    outer={"optimizer": "adam"},
)


def with_guidance(**changes):
    """`CONFIG` with changes of how others guide."""
    return dataclasses.replace(CONFIG, guidance=dataclasses.replace(CONFIG.guidance, **changes))


@pytest.fixture(scope="module")
def learner(particle, policy):
    return HindsightMAML(particle, policy, CONFIG)


def bits(learner):
    return [variable.numpy() for variable in learner.variables]


def same(left, right):
    return all(np.array_equal(a, b) for a, b in zip(left, right, strict=True))


@pytest.mark.slow
def test_meta_parameters_are_those_of_maml(learner, particle, policy, population):
    fields = {field.name for field in dataclasses.fields(learners.MAML.Config)}
    shared = {name: value for name, value in vars(CONFIG).items() if name in fields}
    plain = learners.MAML(particle, policy, learners.MAML.Config(**shared))
    learner.reset(0)
    for each in (learner, plain):
        tfcaml.train(each, population, seed=0)
    for a, b in zip(plain.meta.variables, learner.meta.variables, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


@pytest.fixture(params=["hindsight_maml", "hindsight_cloning", "hindsight_relabelling"])
def each_learner(request, particle, policy, learner):
    """(hindsight MAML or an alternative, its population)."""
    if request.param == "hindsight_maml":
        return learner, particle.population(seed=0)
    learner_class = learners.LEARNERS[request.param]
    maze = environments.Maze(environments.MazeConfig(horizon=5))
    linear = policies.mlp_policy(maze.observation_spec, maze.action_spec, ())
    config = learner_class.Config(**vars(CONFIG))
    return learner_class(maze, linear, config), maze.population(seed=0)


@pytest.mark.slow
def test_resumes_to_the_bit_and_resets(each_learner, tmp_path):
    learner, population = each_learner

    def saved(learner):
        variables = {}
        for name, item in learner.checkpointed().items():
            named = item.named() if isinstance(item, Variables) else {"": item}
            variables |= {f"{name}/{key}": variable for key, variable in named.items()}
        return Checkpoints(tmp_path, variables, {})

    learner.reset(0)
    first = bits(learner)
    tfcaml.training.train_iteration(learner, population, 0)
    saved(learner).save(1)
    metrics = [tfcaml.training.train_iteration(learner, population, 0) for _ in range(2)]
    whole = bits(learner)
    assert metrics[-1]["hindsight_size"] >= 1 and not metrics[-1]["bad_update"]
    learner.reset(1)
    assert saved(learner).restore() == 1
    for _ in range(2):
        tfcaml.training.train_iteration(learner, population, 0)
    assert same(bits(learner), whole)
    learner.reset(0)
    assert same(bits(learner), first) and not same(first, whole)


@pytest.mark.slow
def test_the_buffer_holds_the_best_of_the_query(learner, population):
    learner.reset(0)
    tfcaml.train(learner, population, seed=0)
    stored = learner.state["hindsight"].read()
    held = np.flatnonzero(learner.buffer.held(stored))
    entries = nest.take(stored["entries"], held)
    offered = stored["returns"].numpy()[:12]
    assert int(stored["offered"]) == 12
    expected = np.sort(offered)[::-1][:3]  # a quarter of twelve
    assert set(entries.mean_return.numpy()) <= set(expected) and len(held) >= 1
    assert entries.trajectory.reward.shape[1:] == [2, 10]
    displaced = entries.task["displacement"].numpy()
    support = population.train["displacement"].numpy()
    assert all((support == each).all(axis=(1, 2)).any() for each in displaced)


@pytest.mark.slow
def test_similar_policies_explore_in_its_place(
    learner, population, constant_action, remember, monkeypatch
):
    """The buffer holds one policy that always does the same, of the entity of both tasks."""
    task = nest.take(population.test, [0, 0])
    remember(learner, nest.take(task, [0]), constant_action([2]))
    fast = learner.start(learner.meta.read(), 2)
    explore = tf.function(learner.explore, autograph=False)
    guided, own = explore(fast, task, keys.from_int(0))
    done = guided.action.numpy()
    np.testing.assert_array_equal(done[:, 2:], 2)  # half of the episodes
    np.testing.assert_array_equal(own, [[True, True, False, False]] * 2)
    assert (done[:, :2] != 2).any()
    slots = tf.constant([0.0, 5.0, 10.0, 99.0])
    np.testing.assert_allclose(learner.kappa(fast._replace(slots=slots)), [0.5, 0.25, 0, 0])
    for slots in (10.0, 99.0):
        later, own = explore(fast._replace(slots=tf.fill([2], slots)), task, keys.from_int(0))
        np.testing.assert_array_equal(later.action[:, :2], done[:, :2])
        assert (later.action.numpy()[:, 2:] != 2).any() and own.numpy().all()
    elsewhere, own = explore(fast, nest.take(population.test, [0, 1]), keys.from_int(0))
    np.testing.assert_array_equal(elsewhere.action[0], done[0])
    np.testing.assert_array_equal(own, [[True, True, False, False], [True] * 4])
    remember(learner, nest.take(task, [0]), constant_action([2]), similar=False)
    alone, own_alone = explore(fast, task, keys.from_int(0))
    np.testing.assert_array_equal(alone.action, later.action)
    plain, credits = learner.loss.advantage(alone), []
    for name in losses.IMPORTANCE_WEIGHTS:
        monkeypatch.setattr(learner, "config", with_guidance(importance_weights=name))
        found = learner.off_policy(fast, task, alone, own_alone)
        np.testing.assert_allclose(found.weight, plain, rtol=1e-4, atol=1e-5)
        np.testing.assert_array_equal(found.trajectory.mask, alone.mask)
        own = tf.constant([[True, True, False, False]] * 2)
        credits.append(learner.off_policy(fast, task, guided, own).weight.numpy())
    for one, other in itertools.combinations(credits, 2):
        assert np.abs(one - other)[:, 2:].max() > 0.1


@pytest.mark.slow
def test_small_samples_fall_back_to_own_episodes(
    learner, population, constant_action, remember, monkeypatch
):
    task = nest.take(population.test, [0])
    remember(learner, task, constant_action([2]))
    monkeypatch.setattr(learner, "config", with_guidance(min_effective_share=1.0))
    fast = learner.start(learner.meta.read(), 1)
    explore = tf.function(learner.explore, autograph=False)
    trajectory, own = explore(fast, task, keys.from_int(0))
    found = learner.off_policy(fast, task, trajectory, own)
    mask = found.trajectory.mask.numpy()
    np.testing.assert_array_equal(mask[:, :2], 1)
    np.testing.assert_array_equal(mask[:, 2:], 0)
    np.testing.assert_array_equal(found.weight[:, 2:], 0)
    np.testing.assert_allclose(found.weight, learner.loss.advantage(found.trajectory), rtol=1e-6)


def test_experts_are_looked_back_on(particle, policy, population, sample, constant_action):
    """Policies that were trained elsewhere, with more episodes than the learner's own."""
    config = dataclasses.replace(CONFIG, episodes_per_update=2, saved_episodes=4)
    learner = HindsightMAML(particle, policy, config)
    params, task = constant_action([0, 3, 1, 2]), nest.take(population.train, [0, 5, 10, 15])
    trajectory = sample(params, task, 4, keys.from_int(0))
    later_are_better = trajectory.reward + tf.range(4.0)[:, None]
    trajectory = trajectory._replace(reward=later_are_better)
    metrics = learner.look_back(params, trajectory, task, keys.from_int(1), similarity_steps=40)
    before, after = (float(metrics[f"similarity_loss_{when}"]) for when in ("before", "after"))
    assert after < 0.8 * before
    assert int(metrics["hindsight_size"]) == 1  # the best quarter
    mean_return = tf.reduce_mean(episode_return(trajectory), axis=1).numpy()
    best = int(mean_return.argmax())
    stored = learner.state["hindsight"].read()
    held = np.flatnonzero(learner.buffer.held(stored))
    entry = nest.map(lambda x: x[0], nest.take(stored["entries"], held))
    np.testing.assert_array_equal(entry.params[-1], params[-1][best])
    np.testing.assert_array_equal(entry.trajectory.action, trajectory.action[best, :2])
    assert entry.mean_return == mean_return[best]  # of all four episodes
    few = lambda n, e: (
        nest.map(lambda x: x[:n], params),
        nest.map(lambda x: x[:n, :e], trajectory),
        nest.map(lambda x: x[:n], task),
        keys.from_int(1),
    )
    for shape, message in (
        ((1, 4), "policies to be >= 2, to have a pair of tasks; received policies=1"),
        ((4, 1), "episodes of each policy to be >= 2; received episodes of each policy=1"),
    ):
        with pytest.raises(ConfigError, match=message):
            learner.look_back(*few(*shape))


@pytest.mark.parametrize(
    "options",
    [
        {"guidance.share": 1.0},
        {"guidance.updates": 0},
        {"meta_batch_size": 1},
        {"saved_episodes": 0},
        {"buffer.capacity": 5},
        {"buffer.window": 5},
        {"guidance.num_similar": 101},
        {"inner_estimator": "dice"},
        {"guidance.min_effective_share": 2.0},
        {"buffer.best": 0.0},
        {"similarity.nearest": 1.0},
        {"guidance.importance_weights": "some"},
        {"guidance.min_similarity": 0.1, "similarity.objective": "regression"},
    ],
)
def test_bad_settings_are_refused(options):
    with pytest.raises(ConfigError, match=f"expected {next(iter(options))} to be"):
        HindsightMAMLConfig(**nested(options))


def test_settings_are_those_of_its_parts(particle, policy):
    settings = {"buffer.capacity": 30, "similarity.nearest": 0.2, "guidance.updates": 3}
    learner = HindsightMAML(particle, policy, HindsightMAMLConfig(**nested(settings)))
    assert learner.buffer.config == HindsightBufferConfig(capacity=30)
    assert learner.similarity.config == TaskSimilarityConfig(nearest=0.2)
    assert learner.config.guidance == GuidanceConfig(updates=3)
