"""RL^2: what its policy remembers, that trials are one to its loss, and that it learns."""

import numpy as np
import pytest
import tensorflow as tf

import tfcaml
from tests.trials.bandit import Bandit, BanditConfig
from tests.trials.checks import assert_resumes, collected, error_of_gradient
from tests.trials.gru_policy import GRUPolicy
from tests.trials.rl2 import RL2
from tfcaml import environments, keys, losses, nest
from tfcaml.errors import ConfigError
from tfcaml.rollouts import sampling


@pytest.fixture(scope="module")
def family():
    return Bandit(BanditConfig(num_arms=3, horizon=4))


@pytest.fixture(scope="module")
def population(family):
    return family.population(0, 5)


@pytest.fixture(scope="module")
def make(family):
    """(seed, **settings) -> a small RL2, of two episodes per trial."""

    def made(seed=0, **settings):
        sizes = {"meta_batch_size": 4, "episodes_per_update": 6, "num_iterations": 3}
        return RL2(family, GRUPolicy(family, 8), RL2.Config(**{**sizes, **settings}), seed=seed)

    return made


@pytest.fixture(scope="module")
def batch(make, population):
    """Of the first iteration."""
    return collected(make(), population)


def weights(policy, num_tasks, memory):
    """Parameters [N, ...] far from uniform, that begin with a memory."""
    network = nest.repeat(policy.init(1)["network"], num_tasks)
    return {"network": {**network, "output": 20 * network["output"]}, "memory": memory}


def test_it_trains_adapts_and_resumes(make, population, tmp_path):
    learner = make()
    history = assert_resumes(learner, population, tmp_path)
    assert {"return_before", "return_after", "kl"} <= set(history[0])
    found = tfcaml.evaluate(learner, population.test, num_updates=2, num_episodes=6)
    assert found.returns.shape == (3, 5, 6)


def test_each_step_is_told_what_the_last_one_brought(batch):
    """From episode to episode as well, with the end in between; a trial begins with nothing."""
    trial = batch.query.trajectory
    assert trial.mask.shape == [4, 6, 8] and np.all(trial.mask)
    ended = np.broadcast_to(np.arange(8) == 3, [4, 6, 8])[..., None]
    brought = np.concatenate([tf.one_hot(trial.action, 3), trial.reward[..., None], ended], axis=-1)
    np.testing.assert_array_equal(trial.info[:, :, 1:], brought[:, :, :-1])
    assert not np.any(trial.info[:, :, 0])


def test_the_policy_lives_through_a_trial_as_it_was_played(make, batch):
    learner = make()
    meta, trial = learner.meta.read(), batch.query.trajectory
    params = learner.acting(meta, learner.start(meta, 4))
    again = losses.action_log_prob(learner.policy, params, trial)
    np.testing.assert_allclose(again, trial.log_prob, rtol=1e-5, atol=1e-6)
    forgetful = losses.action_log_prob(
        learner.policy, params, trial._replace(info=tf.zeros_like(trial.info))
    )
    assert np.abs(forgetful - trial.log_prob).max() > 1e-4


class Cut(Bandit):
    """Pays less and less, and ends an episode that was paid twice."""

    def reset(self, task, key):
        state = tf.zeros([*key.shape[:2], 1])
        return state, state

    def step(self, task, state, action, noise):
        _, _, reward, _ = super().step(task, state, action, noise)
        state += reward[..., None]
        return state, state, reward, state[..., 0] >= 2


def test_what_is_remembered_is_what_a_rollout_remembers():
    """Of episodes that end at different times, begun with a memory; in parts as well."""
    family = Cut(BanditConfig(num_arms=3, horizon=5))
    policy, task = GRUPolicy(family, 4), family.population(0, 3).train
    rng = np.random.default_rng(0)
    memory = nest.map(
        lambda x: tf.constant(rng.normal(size=[3, 1, x.shape[1]]), tf.float32), policy.nothing()
    )
    params = weights(policy, 3, memory)
    rollout = sampling.begin(policy, family, params, task, keys.per_episode(keys.from_int(0), 3, 6))
    rollout, first = sampling.play(policy, family, params, task, rollout, 2)
    between = rollout.memory
    rollout, second = sampling.play(policy, family, params, task, rollout, 3)
    for part in (first, second):
        again = losses.action_log_prob(policy, params, part)
        np.testing.assert_allclose(
            again * part.mask, part.log_prob * part.mask, rtol=1e-4, atol=1e-5
        )
    whole = sampling.sample(policy, family, params, task, 6, keys.from_int(0))
    length = np.sum(whole.mask, axis=-1)
    assert len(np.unique(length)) > 2 and np.all(length >= 2)
    np.testing.assert_array_equal(whole.action[:, :, :2], first.action)
    remembered = policy.remember(params, whole)
    shorter = policy.relive(params, first)[:, :, -1]
    np.testing.assert_allclose(shorter, between["hidden"], rtol=1e-4, atol=1e-5)
    hidden = np.stack(
        [
            [policy.relive(params, whole)[n, e, int(length[n, e]) - 1] for e in range(6)]
            for n in range(3)
        ]
    )
    np.testing.assert_allclose(remembered["hidden"], hidden, rtol=1e-5)
    assert np.all(remembered["last"][..., -1] == 1)


def test_weights_of_one_row_are_those_of_all_tasks(make, batch):
    learner = make()
    meta, trial = learner.meta.read(), batch.query.trajectory
    shared = learner.acting(meta, learner.start(meta, 4))
    own = {**shared, "network": nest.repeat(meta["params"], 4)}
    assert nest.leading(shared["network"]) == 1
    scores = [losses.action_log_prob(learner.policy, p, trial) for p in (shared, own)]
    np.testing.assert_allclose(*scores, rtol=1e-5, atol=1e-6)


def test_rewards_count_for_the_actions_of_earlier_episodes(make, batch):
    """Reward to go of the whole trial, less its mean over the task's trials, standardised."""
    reward, to_go = np.asarray(batch.query.trajectory.reward, np.float64), np.zeros([4, 6, 8])
    for t in reversed(range(8)):
        to_go[:, :, t] = reward[:, :, t] + (0.99 * to_go[:, :, t + 1] if t < 7 else 0)
    advantage = to_go - to_go.mean(axis=1, keepdims=True)
    advantage /= np.sqrt(np.mean(advantage**2, axis=(1, 2), keepdims=True))
    np.testing.assert_allclose(batch.query.weight, advantage, rtol=1e-4, atol=1e-5)


def test_metrics_are_of_episodes(make, batch):
    reward = batch.query.trajectory.reward.numpy()
    found = [float(x) for x in make().returns(batch)]
    expected = [reward[:, :, part].sum(-1).mean() for part in (slice(0, 4), slice(4, 8))]
    np.testing.assert_allclose(found, expected, rtol=1e-5)


@pytest.mark.parametrize("of_actions", ["discrete", "continuous"])
def test_the_outer_gradient_agrees_with_central_differences(of_actions, make, batch):
    learner, collection = make(), batch
    if of_actions == "continuous":
        family = environments.Navigation(environments.NavigationConfig(horizon=3))
        config = RL2.Config(meta_batch_size=3, episodes_per_update=4)
        learner = RL2(family, GRUPolicy(family, 4), config)
        collection = collected(learner, family.population(0, 4))
    assert error_of_gradient(learner, collection) < 1e-6


def test_inner_steps_that_descend_nothing_have_no_settings():
    with pytest.raises(ConfigError, match="inner_learning_rate"):
        RL2.Config(inner_learning_rate=0.5)


def test_the_bandit_conforms(family):
    environments.check(family)


class OneOfTwo(Bandit):
    """One of two arms always pays and the other never: a single pull tells."""

    def population(self, seed, num_test=10):
        return super().population(seed, num_test)

    def step(self, task, state, action, noise):
        best = tf.argmax(task["p"], axis=1, output_type=tf.int32)[:, None]
        reward = tf.cast(action == best, tf.float32)
        return state, state, reward, tf.zeros(action.shape, tf.bool)


def test_it_learns_to_explore_and_to_remember():
    """From chance, 1.5 of 3 in each episode, towards one mistake in every other trial."""
    family = OneOfTwo(BanditConfig(num_arms=2, horizon=3))
    settings = {"num_iterations": 20, "meta_batch_size": 20, "outer": {"learning_rate": 0.02}}
    learner = RL2(family, GRUPolicy(family, 16), RL2.Config(**settings))
    population = family.population(0)
    history = tfcaml.train(learner, population)
    assert abs(history[0]["return_before"] - 1.5) < 0.2
    found = tfcaml.evaluate(learner, population.test, num_updates=1, num_episodes=20)
    first, second = found.returns.mean(axis=(1, 2))
    print(first, second)
    assert first > 2.2 and second > 2.8
