"""What hindsight MAML adds to MAML: a similarity, a buffer, and who explores a new task."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

import tfcaml
from tfcaml import learners, nest, seeds
from tfcaml.checkpoints import Checkpoints
from tfcaml.errors import ConfigError
from tfcaml.hindsight_buffer import HindsightBufferConfig
from tfcaml.learners import HindsightMAML, HindsightMAMLConfig
from tfcaml.learners.variables import Variables

CONFIG = HindsightMAMLConfig(
    num_iterations=3,
    meta_batch_size=4,
    episodes_per_update=4,
    saved_episodes=2,
    buffer_capacity=6,
    num_similar=2,
    similarity_steps=3,
    baseline="time_step_mean",
    outer_optimizer="adam",
)


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


@pytest.mark.slow
def test_resumes_to_the_bit_and_resets(learner, population, tmp_path):
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
    stored = learner.buffer_state.read()
    held = np.flatnonzero(learner.buffer.held(stored))
    entries = nest.take(stored["entries"], held)
    offered = stored["returns"].numpy()[:12]
    assert int(stored["offered"]) == 12
    expected = np.sort(offered)[::-1][:3]  # a quarter of twelve
    assert set(entries.mean_return.numpy()) <= set(expected) and len(held) >= 1
    assert entries.trajectory.reward.shape[1:] == [2, 10]
    displaced = entries.task["displacement"].numpy()
    support = population.support["displacement"].numpy()
    assert all((support == each).all(axis=(1, 2)).any() for each in displaced)


@pytest.mark.slow
def test_similar_policies_explore_in_its_place(learner, population, constant_action):
    """The buffer is filled with one policy that always does the same."""
    learner.reset(0)
    task = nest.take(population.query, [0, 1])
    stored = learner.buffer_state.read()
    stored["order"] = tf.constant([0, 0, 1, 0, 0, 0])
    entries = stored["entries"]
    always = constant_action([2] * 6)
    stored["entries"] = entries._replace(task=nest.take(task, [0] * 6), params=always)
    learner.buffer_state.write(stored)
    state = learner.similarity_state.read()
    state["weights"]["bias"] = tf.constant(3.0)  # everything is similar
    learner.similarity_state.write(state)
    fast = learner.start(learner.meta.read(), 2)
    explore = tf.function(learner.explore, autograph=False)
    experience = explore(fast, task, seeds.from_int(0))
    done = experience.trajectory.action.numpy()
    np.testing.assert_array_equal(done[:, 2:], 2)  # half of the episodes
    assert (done[:, :2] != 2).any()
    later = explore(fast._replace(slots=tf.fill([2], 10.0)), task, seeds.from_int(0))
    np.testing.assert_array_equal(later.trajectory.action[:, :2], done[:, :2])
    assert (later.trajectory.action.numpy()[:, 2:] != 2).any()  # kappa is 0
    state["weights"]["bias"] = tf.constant(-30.0)  # nothing is
    learner.similarity_state.write(state)
    alone = explore(fast, task, seeds.from_int(0))
    np.testing.assert_array_equal(alone.trajectory.action, later.trajectory.action)
    plain = learner.advantage(alone.trajectory)
    np.testing.assert_allclose(alone.advantage, plain, rtol=1e-4, atol=1e-5)


@pytest.mark.slow
def test_small_samples_fall_back_to_own_episodes(particle, policy, population, constant_action):
    config = dataclasses.replace(CONFIG, min_effective_share=1.0)
    learner = HindsightMAML(particle, policy, config)
    stored = learner.buffer_state.read()
    stored["order"] = tf.constant([0, 0, 1, 0, 0, 0])
    stored["entries"] = stored["entries"]._replace(params=constant_action([2] * 6))
    learner.buffer_state.write(stored)
    state = learner.similarity_state.read()
    state["weights"]["bias"] = tf.constant(30.0)
    learner.similarity_state.write(state)
    fast = learner.start(learner.meta.read(), 1)
    found = learner.explore(fast, nest.take(population.query, [0]), seeds.from_int(0))
    own = found.trajectory.mask.numpy()
    np.testing.assert_array_equal(own[:, :2], 1)
    np.testing.assert_array_equal(own[:, 2:], 0)
    np.testing.assert_array_equal(found.advantage[:, 2:], 0)
    np.testing.assert_allclose(found.advantage, learner.advantage(found.trajectory), rtol=1e-6)


@pytest.mark.parametrize(
    "options",
    [
        {"guidance": 1.0},
        {"meta_batch_size": 1},
        {"saved_episodes": 0},
        {"buffer_capacity": 5},
        {"num_similar": 101},
        {"inner_estimator": "dice"},
        {"min_effective_share": 2.0},
        {"best": 0.0},
        {"nearest": 1.0},
    ],
)
def test_bad_settings_are_refused(options):
    with pytest.raises(ConfigError, match=next(iter(options))):
        HindsightMAMLConfig(**options)


def test_settings_are_those_of_its_parts():
    config = HindsightMAMLConfig(
        buffer_capacity=30, best=0.5, return_window=40, return_floor=0.0, nearest=0.2
    )
    assert config.buffer() == HindsightBufferConfig(30, 0.5, 40, 0.0)
    assert config.similarity().nearest == 0.2
