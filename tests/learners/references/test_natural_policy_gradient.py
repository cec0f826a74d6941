"""Independent policies by one trust region: each learns from its own episodes alone."""

import itertools

import numpy as np
import pytest
import tensorflow as tf

from tfcaml import environments, losses, nest, policies, training
from tfcaml.errors import ConfigError
from tfcaml.learners import NaturalPolicyGradient
from tfcaml.learners.references.natural_policy_gradient import NaturalPolicyGradientConfig
from tfcaml.optimization import inner, outer, trpo
from tfcaml.types import MetaBatch


@pytest.fixture(scope="module")
def rows(case):
    """A float64 case of three policies, and episodes that its `acted` played."""
    made = case(NaturalPolicyGradient, outer={"damping": 0.1, "cg_iterations": 200})
    query = made._experience(made.acted["params"])
    made.batch = MetaBatch((), query, made.learner.carry(None, query.trajectory))
    return made


@pytest.fixture(scope="module")
def step(rows):
    """(batch) -> how far one TRPO step moves each weight, nest of [N, ...]; compiled once."""

    @tf.function(autograph=False)
    def compiled(batch):
        meta, _, metrics = rows.learner.outer.step(rows.learner.objective, rows.acted, (), batch)
        moved = nest.map(lambda x, y: x - y, meta["params"], rows.acted["params"])
        return moved, metrics["step_accepted"]

    return compiled


def vectors(weights):
    """Nest of [N, ...] -> [N, P]."""
    return np.concatenate([np.reshape(x, [x.shape[0], -1]) for x in weights], axis=1)


def other_episodes_of_the_last(rows):
    """The batch, with what the last policy did and earned replaced."""
    other = rows._experience(rows.acted["params"])
    query = nest.map(lambda x, y: tf.concat([x[:2], y[2:]], axis=0), rows.batch.query, other)
    return rows.batch._replace(query=query)


def test_the_gradient_is_the_policy_gradient_of_each_row(rows, relative_error):
    query = rows.batch.query
    plain = lambda params: losses.policy_gradient(
        rows.learner.policy, params, query.trajectory, query.weight
    )
    _, expected = inner.gradient(plain, rows.acted["params"])
    expected = nest.ravel(nest.map(lambda g: g / 3, expected))[0]  # the mean over tasks
    assert relative_error(rows.gradient(rows.acted), expected) < 1e-10


def test_a_task_has_no_gradient_in_the_policies_of_others(rows):
    leaves = tf.nest.flatten(rows.acted)
    with tf.GradientTape() as tape:
        tape.watch(leaves)
        loss = rows.learner.objective(rows.acted, rows.batch).loss[1]
    gradient = vectors([tf.convert_to_tensor(g) for g in tape.gradient(loss, leaves)])
    assert not gradient[[0, 2]].any() and np.linalg.norm(gradient[1]) > 1e-3


def test_policies_share_the_length_of_a_step_and_nothing_else(rows, step):
    (one, accepted), (other, too) = step(rows.batch), step(other_episodes_of_the_last(rows))
    assert accepted == too == 1
    one, other = vectors(one), vectors(other)
    length, length_too = np.linalg.norm(one, axis=1), np.linalg.norm(other, axis=1)
    cosine = (one * other).sum(axis=1) / (length * length_too)
    np.testing.assert_allclose(cosine[:2], 1, atol=1e-6)
    assert cosine[2] < 0.9
    ratio = length / length_too
    assert ratio[0] == pytest.approx(ratio[1], rel=1e-3) and abs(ratio[0] - 1) > 1e-2


def test_a_step_by_parts_is_the_same_step(rows, step, monkeypatch):
    """Each part looks at its own rows of the weights."""
    whole, accepted = step(rows.batch)
    monkeypatch.setattr(trpo, "_STEPS_PER_PART", 20)  # of one task: three parts
    parts, too = tf.function(step.python_function, autograph=False)(rows.batch)
    assert accepted == too == 1
    np.testing.assert_allclose(vectors(parts), vectors(whole), rtol=1e-6, atol=1e-9)


def test_several_steps_of_adam_lower_the_loss(rows):
    """A loop, whose weights keep their shape."""
    optimizer = outer.adam(1e-2, num_steps=3)
    update = tf.function(optimizer.step, autograph=False)
    slots = optimizer.init(rows.acted)
    _, _, metrics = update(rows.learner.objective, rows.acted, slots, rows.batch)
    assert metrics["loss_after"] < metrics["loss_before"]


@pytest.fixture(scope="module")
def maze():
    return environments.Maze(environments.MazeConfig(num_train=4, horizon=12))


def test_experts_learn_to_arrive(maze):
    """Goals at most six steps away; linear policies, that is tables."""
    config = NaturalPolicyGradientConfig(
        meta_batch_size=4,
        episodes_per_update=20,
        advantage={"baseline": "time_step_mean"},
        outer={"max_kl": 0.1},
    )
    policy = policies.mlp_policy(maze.observation_spec, maze.action_spec, ())
    learner = NaturalPolicyGradient(maze, policy, config)
    population = maze.population(0)._replace(train=maze.task([2, 3, 5, 6]))
    history = [training.train_iteration(learner, population, 0) for _ in range(12)]
    returns = [row["return_after"] for row in history]
    assert returns[0] < 0.4 and min(returns[-2:]) > 0.9, returns
    assert all(row["kl"] <= 0.1 for row in history)
    assert learner._train.experimental_get_tracing_count() == 1
    assert learner.episodes_per_iteration == 80
    kernel = learner.meta.read()["params"][0].numpy()
    assert all(np.abs(a - b).max() > 0.1 for a, b in itertools.pairwise(kernel))


def test_errors(maze, rows):
    with pytest.raises(ConfigError, match=r"meta_batch_size to be 2, .*meta_batch_size=3"):
        rows.learner.start(rows.acted, 2)
    few = maze.population(0)._replace(train=maze.task([2, 3]))
    with pytest.raises(ConfigError, match="meta_batch_size to be at most 2, the training"):
        rows.learner.training_tasks(few, None)
    with pytest.raises(ConfigError, match="fisher_subsample to be 0: every policy needs"):
        NaturalPolicyGradientConfig(outer={"fisher_subsample": 2})
