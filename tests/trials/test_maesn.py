"""MAESN: what its latents are, how they adapt, and that it learns."""

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

import tfcaml
from tests.trials.checks import assert_resumes, collected, error_of_gradient
from tests.trials.goals import SemicircleGoals, SemicircleGoalsConfig
from tests.trials.latent_policy import LatentPolicy
from tests.trials.maesn import MAESN, divergence_from_prior, log_density
from tfcaml import environments, losses, nest, training
from tfcaml.errors import ConfigError
from tfcaml.policies import Policy


class TwoLayers(Policy):
    """A Gaussian whose mean is that of four hidden units, in the dtype of its weights."""

    def __init__(self, family):
        self.action_spec = family.action_spec

    def init(self, seed):
        normal = lambda i, *shape: tf.random.stateless_normal(shape, [seed, i])
        return {"first": normal(0, 4, 4), "second": normal(1, 4, 2), "log_std": tf.zeros([2])}

    def __call__(self, params, observation):
        hidden = tf.tanh(tf.matmul(nest.vectors(observation, 2), params["first"]))
        mean = tf.matmul(hidden, params["second"])
        std = tf.broadcast_to(tf.exp(params["log_std"])[:, None], mean.shape)
        return tfp.distributions.MultivariateNormalDiag(mean, std)


@pytest.fixture(scope="module")
def family():
    return SemicircleGoals(SemicircleGoalsConfig(horizon=6, num_training=7))


@pytest.fixture(scope="module")
def population(family):
    return family.population(0, 4)


@pytest.fixture(scope="module")
def make(family):
    """(seed, **settings) -> a small MAESN that adapts its network too."""

    def made(seed=0, **settings):
        sizes = {"meta_batch_size": 3, "episodes_per_update": 5, "num_iterations": 3}
        small = {"num_training_tasks": 7, "outer": {"cg_iterations": 3}, "adapt_network": True}
        config = MAESN.Config(**{**sizes, **small, **settings})
        return MAESN(family, LatentPolicy(TwoLayers(family), 2), config, seed=seed)

    return made


@pytest.fixture(scope="module")
def learner(make):
    """One for all that compiles it."""
    return make()


@pytest.fixture(scope="module")
def batch(learner, population):
    """Of the first iteration."""
    learner.reset(0)
    return collected(learner, population)


def test_it_trains_adapts_and_resumes(learner, population, tmp_path):
    history = assert_resumes(learner, population, tmp_path)
    assert any(row["step_accepted"] for row in history)
    found = tfcaml.evaluate(learner, population.test, num_updates=2, num_episodes=3)
    assert found.returns.shape == (3, 4, 3) and not found.bad_updates.any()


def test_rows_of_absent_tasks_stay_and_the_others_move(learner, population, batch):
    learner.reset(0)
    before = learner.meta.read()
    assert training.train_iteration(learner, population, 0)["step_accepted"]
    after = learner.meta.read()
    for name, rows in after["latent"].items():
        moved = np.any(rows != before["latent"][name], axis=1)
        np.testing.assert_array_equal(np.flatnonzero(moved), np.unique(batch.index))
    moved = nest.map(lambda x, y: np.any(x != y), after["rates"], before["rates"])
    assert all(tf.nest.flatten(moved))


def test_new_tasks_start_at_the_prior_and_training_tasks_where_they_were(make):
    learner = make()
    meta = learner.meta.read()
    latent = meta["latent"] = {"mu": meta["latent"]["mu"], "log_sigma": tf.ones([7, 2])}
    new = learner.start(meta, 3).params
    assert not np.any(new["mu"]) and not np.any(new["log_sigma"]) and new["mu"].shape == [3, 2]
    known = learner.begin(meta, 3, tf.constant([5, 0, 5])).params
    for name, rows in latent.items():
        np.testing.assert_array_equal(known[name], rows.numpy()[[5, 0, 5]])


def test_a_latent_is_drawn_once_per_episode(make, batch):
    learner = make()
    meta, trajectory = learner.meta.read(), batch.support[0].trajectory
    params = learner.acting(meta, learner.resume(meta, 3, batch.index))
    latent = learner.policy.initial_memory(params, 5, trajectory.episode_noise).numpy()
    np.testing.assert_array_equal(trajectory.start, latent)
    assert len(np.unique(latent.round(5), axis=0).reshape(-1, 2)) == 15
    again = losses.action_log_prob(learner.policy, params, trajectory._replace(start=()))
    np.testing.assert_allclose(again, trajectory.log_prob, rtol=1e-5, atol=1e-5)


def test_the_query_is_played_with_the_adapted_latents(make, batch):
    learner = make()
    trajectory = batch.query.trajectory
    params = learner.acting(learner.meta.read(), learner.readapt(learner.meta.read(), batch))
    again = losses.action_log_prob(learner.policy, params, trajectory)
    np.testing.assert_allclose(again, trajectory.log_prob, rtol=1e-4, atol=1e-4)
    unadapted = learner.acting(
        learner.meta.read(), learner.resume(learner.meta.read(), 3, batch.index)
    )
    other = losses.action_log_prob(learner.policy, unadapted, trajectory)
    assert np.abs(other - trajectory.log_prob).max() > 0.1


@pytest.mark.parametrize("adapt_network", [False, True])
def test_latents_step_along_the_score_of_what_episodes_earned(make, batch, adapt_network):
    """The released code's inner step by hand; the network's own loss adds its slope in them."""
    learner = make(adapt_network=adapt_network)
    meta = learner.meta.read()
    meta["rates"]["mu"] = tf.constant([0.3, 2.0])
    before = learner.resume(meta, 3, batch.index)
    after = learner.adapt(meta, before, batch.support[0])
    weight = np.asarray(batch.support[0].weight)[:, :, 0]
    credit = weight - weight.mean(axis=1, keepdims=True)
    credit /= weight.std(axis=1, keepdims=True)
    params, trajectory = learner.acting(meta, before), batch.support[0].trajectory
    with tf.GradientTape() as tape:
        moved = {name: params[name] for name in ("mu", "log_sigma")}
        tape.watch(moved)
        again = {**params, **moved}, trajectory._replace(start=())  # z of its noise once more
        loss = losses.policy_gradient(learner.policy, *again, batch.support[0].weight)
    slope = tape.gradient(loss, moved)
    assert all(np.abs(x).max() > 1e-3 for x in slope.values())
    slope = nest.map(lambda x: x.numpy() * adapt_network, slope)
    mu, log_sigma = (before.params[name].numpy()[:, None] for name in ("mu", "log_sigma"))
    deviation = batch.support[0].trajectory.start.numpy() - mu
    score = deviation * np.exp(-2 * log_sigma)
    step = (score * credit[..., None]).mean(axis=1) - slope["mu"]
    np.testing.assert_allclose(
        after.params["mu"], mu[:, 0] + [0.3, 2.0] * step, rtol=1e-4, atol=1e-5
    )
    step = ((deviation * score - 1) * credit[..., None]).mean(axis=1) - slope["log_sigma"]
    np.testing.assert_allclose(
        after.params["log_sigma"], log_sigma[:, 0] + step, rtol=1e-4, atol=1e-5
    )
    assert ("network" in after.params) == adapt_network
    moved = nest.map(lambda x, y: np.any(x != y), after.params, before.params)
    assert all(tf.nest.flatten(moved))


@pytest.mark.parametrize("adapt_network", [False, True])
def test_the_outer_gradient_agrees_with_central_differences(make, population, adapt_network):
    learner = make(adapt_network=adapt_network, inner_updates=2)
    assert error_of_gradient(learner, collected(learner, population)) < 1e-6


def test_densities_and_divergences_are_those_of_the_distribution():
    rng = np.random.default_rng(0)
    latent = {
        "mu": tf.constant(rng.normal(size=(3, 2))),
        "log_sigma": tf.constant(rng.normal(size=(3, 2))),
    }
    prior = tfp.distributions.MultivariateNormalDiag(
        tf.zeros([2], tf.float64), tf.ones([2], tf.float64)
    )
    normal = tfp.distributions.MultivariateNormalDiag(latent["mu"], tf.exp(latent["log_sigma"]))
    np.testing.assert_allclose(
        divergence_from_prior(latent), normal.kl_divergence(prior), rtol=1e-12
    )
    z = rng.normal(size=(3, 4, 2))
    expected = normal.log_prob(z.swapaxes(0, 1)).numpy().T
    np.testing.assert_allclose(log_density(latent, z), expected + np.log(2 * np.pi), rtol=1e-12)


def test_distances_are_paid_in_training_alone(family, population):
    task = {"goal": tf.constant([[0.0, 1.0]] * 2), "sparse": tf.constant([False, True])}
    state = tf.constant([[[0.0, 0.65], [0.0, 0.75]]] * 2)
    reward = family.step(task, state, tf.zeros([2, 2, 2]), ())[2]
    np.testing.assert_allclose(reward, [[-0.35, -0.25], [0, 0.75]], rtol=1e-5)
    assert not np.any(population.train["sparse"]) and np.all(population.test["sparse"])
    environments.check(family)


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"outer": {"fisher_subsample": 2}}, "fisher_subsample to be 0"),
        ({"kl_weight": -0.1}, "kl_weight"),
        ({"latent_size": 0}, "latent_size"),
        ({"outer": {"optimizer": "adam", "fisher_subsample": 5}}, "outer.fisher_subsample to be 0"),
    ],
)
def test_what_cannot_work_is_refused(settings, message, make):
    with pytest.raises(ConfigError, match=message):
        make(**settings)


def test_only_training_tasks_that_stay_can_have_rows(make, population):
    with pytest.raises(ConfigError, match="num_training_tasks to be 7"):
        tfcaml.train(make(num_training_tasks=8), population)
    with pytest.raises(ConfigError, match="num_training_tasks to be 0"):
        tfcaml.train(make(), population._replace(draw=lambda num_tasks, key: population.train))


@pytest.mark.slow
def test_it_learns():
    """With the network of `make_policy`; returns of training are minus distances."""
    family = SemicircleGoals(SemicircleGoalsConfig(horizon=15, num_training=10))
    settings = {"meta_batch_size": 10, "num_training_tasks": 10, "num_iterations": 15}
    config = MAESN.Config(adapt_network=True, outer={"cg_iterations": 5}, **settings)
    policy = MAESN.make_policy(family, config, fc_layer_params=(16,), activation="relu")
    learner, population = MAESN(family, policy, config), family.population(0)
    history = tfcaml.train(learner, population)
    before, after = ([row[name] for row in history] for name in ("return_before", "return_after"))
    print(np.round(before, 2), np.round(after, 2))
    assert np.mean(after[-3:]) > np.mean(after[:3]) + 1
    assert np.mean(after[-3:]) > np.mean(before[-3:]) + 1
