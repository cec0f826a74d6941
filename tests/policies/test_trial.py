"""A policy that is told what its last step was, and remembers a trial."""

import numpy as np
import pytest
import tensorflow as tf
from tf_agents.specs import tensor_spec

from tests.eager import PlainRecurrent
from tfcaml import environments, keys, losses, nest
from tfcaml.environments import Bandit, BanditConfig
from tfcaml.policies import TrialPolicy, rnn_policy, with_last_step
from tfcaml.rollouts import sampling

SPEC = {"place": tf.TensorSpec([2]), "clock": tf.TensorSpec([], tf.int32)}
FORCE = tensor_spec.BoundedTensorSpec([2], tf.float32, -1, 1)
CHOICE = tensor_spec.BoundedTensorSpec([], tf.int32, 0, 2)


def test_what_is_told_is_the_last_action_its_reward_and_whether_it_was_the_end():
    for action_spec, acted, action in (
        (FORCE, [[[0.5, -2.0]]], tf.constant([[[0.5, -2.0]]])),
        (CHOICE, [[[0.0, 0.0, 1.0]]], tf.constant([[2]])),
    ):
        seen = with_last_step(SPEC, action_spec)
        assert seen.shape == [3 + len(acted[0][0]) + 2]
        policy = TrialPolicy(PlainRecurrent(seen, action_spec), SPEC)
        memory = policy.initial_memory(nest.repeat(policy.init(0), 1), 1)
        assert not np.any(memory["last"]) and policy.info_spec.shape == [len(acted[0][0]) + 2]
        for ended in (False, True):
            after = policy.observe(memory, action, tf.constant([[3.0]]), tf.constant([[ended]]))
            expected = np.concatenate([acted, [[[3.0, float(ended)]]]], axis=-1)
            np.testing.assert_array_equal(after["last"], expected)
            np.testing.assert_array_equal(after["hidden"], memory["hidden"])


def test_names_and_the_head_are_those_of_the_policy_within():
    within = PlainRecurrent(with_last_step(SPEC, FORCE), FORCE)
    policy = TrialPolicy(within, SPEC)
    assert policy.names[:2] == ("memory/hidden", "memory/last")
    leaves = tf.nest.flatten(policy.init(0))
    assert len(policy.names) == len(leaves)
    assert [policy.names[i] for i in policy.head] == [
        f"policy/{within.names[i]}" for i in within.head
    ]


@pytest.fixture(scope="module")
def family():
    return Bandit(BanditConfig(num_arms=3, horizon=4))


def params_of(policy, rows, num_tasks):
    """Weights of so many rows; memories that are not empty."""
    rng = np.random.default_rng(0)
    memory = nest.map(
        lambda x: tf.constant(rng.normal(size=[num_tasks, *x.shape]), tf.float32), policy.nothing()
    )
    weights = nest.map(lambda x: 2 * x, policy.init(1)["policy"])
    return {"memory": memory, "policy": nest.repeat(weights, rows)}


@pytest.mark.parametrize("cell", ["gru", "lstm"])
def test_weights_of_one_row_are_those_of_all_tasks(cell, family):
    """In rollouts, which are lived through again, and in what is remembered after them."""
    seen = with_last_step(family.observation_spec, family.action_spec)
    policy = TrialPolicy(rnn_policy(seen, family.action_spec, cell, 3), family.observation_spec)
    task = family.population(0, 2).test

    @tf.function(autograph=False)
    def played(params):
        key = keys.per_episode(keys.from_int(0), 2, 3)
        rollout = sampling.begin(policy, family, params, task, key)
        rollout, trajectory = sampling.play(policy, family, params, task, rollout, 4)
        again = losses.action_log_prob(policy, params, trajectory)
        return trajectory, rollout.memory, again, policy.remember(params, trajectory)

    found = [played(params_of(policy, rows, 2)) for rows in (1, 2)]
    for left, right in zip(*map(tf.nest.flatten, found)):
        np.testing.assert_allclose(left, right, rtol=1e-5, atol=1e-6)
    trajectory, memory, again, remembered = found[0]
    np.testing.assert_allclose(again, trajectory.log_prob, rtol=1e-5, atol=1e-6)
    nest.map(
        lambda x, y: np.testing.assert_allclose(x, y, rtol=1e-4, atol=1e-6), remembered, memory
    )
    assert np.any(trajectory.info[:, :, 0] != 0)  # of the memory that was given


def test_any_family_can_be_played():
    """Such as one whose actions are numbers, step by step as from a dict of observations."""
    family = environments.Navigation(environments.NavigationConfig(horizon=3))
    seen = with_last_step(family.observation_spec, family.action_spec)
    policy = TrialPolicy(PlainRecurrent(seen, family.action_spec), family.observation_spec)
    task = family.population(0, 2).test
    params = params_of(policy, 1, 2)
    trajectory = sampling.sample(policy, family, params, task, 2, keys.from_int(0))
    np.testing.assert_array_equal(trajectory.info[:, :, 1:, :2], trajectory.action[:, :, :-1])
    np.testing.assert_array_equal(trajectory.info[:, :, 1:, 2], trajectory.reward[:, :, :-1])
