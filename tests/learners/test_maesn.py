"""MAESN and LatentSpace: what their latents are, and how they adapt, against plain NumPy."""

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

import tfcaml
from tests import by_hand
from tests.by_hand import ACTIONS, EPISODES, SIZE, TASKS, Phase, complex_step
from tests.learners.checks import assert_resumes, collected, error_of_gradient
from tfcaml import environments, keys, learners, losses, nest, training
from tfcaml.errors import ConfigError
from tfcaml.learners.maesn import divergence_from_prior, log_density
from tfcaml.losses import PolicyGradientLoss
from tfcaml.policies import LatentPolicy, Policy
from tfcaml.types import FastState, MetaBatch

ROWS, D = 4, 2  # training tasks; numbers of a latent
INDEX = [2, 0, 2]  # which of them the tasks of the batch are: one of them is drawn twice
SUPPORTS, QUERY = [Phase(11), Phase(12)], Phase(13)
RNG = np.random.default_rng(7)
NOISE = RNG.normal(size=(3, TASKS, EPISODES, D))  # epsilon of each phase
THETA = by_hand.weights(50, SIZE + D)  # kernel of the observation, kernel of the latent, biases
OF_LATENT = slice(SIZE * ACTIONS, (SIZE + D) * ACTIONS)
# Meta parameters as one vector: theta, mu, log sigma, and the step sizes of mu, log sigma, theta.
PARTS = {
    "theta": THETA,
    "mu": RNG.normal(size=(ROWS, D)),
    "log_sigma": 0.3 * RNG.normal(size=(ROWS, D)),
    "rate_mu": 0.5 + RNG.uniform(size=D),
    "rate_log_sigma": 0.5 + RNG.uniform(size=D),
    "rate_theta": 0.4 * RNG.normal(size=THETA.size),  # of both signs
}
ACTED = np.concatenate([x.ravel() for x in PARTS.values()])
META = ACTED + 0.02 * RNG.normal(size=ACTED.size)  # a little off those that acted


def unpack(vector):
    """The parts of a vector of meta parameters, by name."""
    sizes = np.cumsum([x.size for x in PARTS.values()])[:-1]
    pieces = np.split(vector, sizes)
    return {name: x.reshape(PARTS[name].shape) for name, x in zip(PARTS, pieces)}


def network(theta):
    return by_hand.split(tf.constant(theta), SIZE + D)


def make(learner_class=learners.MAESN, **settings):
    """A learner of the hand-made batch."""
    sizes = {"meta_batch_size": TASKS, "episodes_per_update": EPISODES, "num_training_tasks": ROWS}
    config = learner_class.Config(**{**sizes, "inner_updates": 2, "latent_size": D, **settings})
    policy = by_hand.with_latent(D)
    family = environments.Navigation()  # nothing is played
    family.action_spec = policy.action_spec
    return learner_class(family, policy, config)


def meta_of(learner, vector):
    """A vector of meta parameters as the learner has them."""
    part = unpack(vector)
    meta = {
        "params": network(part["theta"]),
        "latent": {name: tf.constant(part[name]) for name in ("mu", "log_sigma")},
    }
    if "rates" in learner.meta.read():
        meta["rates"] = {name: tf.constant(part[f"rate_{name}"]) for name in ("mu", "log_sigma")}
        if learner.config.adapt_network:
            meta["rates"]["policy"] = network(part["rate_theta"])
    return meta


def batch_of(learner, supports=SUPPORTS):
    """The `MetaBatch` of the phases, whose latents are those of `ACTED`."""
    meta, index, found = meta_of(learner, ACTED), tf.constant(INDEX), []
    fast = learner.resume(meta, TASKS, index)
    trajectory = lambda k, phase: phase.trajectory()._replace(episode_noise=tf.constant(NOISE[k]))
    for k, phase in enumerate(supports):
        found.append(learner.experience(meta, fast, trajectory(k, phase)))
        fast = learner.adapt(meta, fast, found[-1])
    query = learner.query_experience(meta, fast, trajectory(len(supports), QUERY))
    return MetaBatch(tuple(found), query, (), index)


# The same in NumPy. An episode acts by the weights of `by_hand`, its latent being a bias.


def of_episode(theta, z):
    shift = z @ theta[OF_LATENT].reshape(D, ACTIONS)
    return np.concatenate([theta[: SIZE * ACTIONS], theta[OF_LATENT.stop :] + shift])


def alone(phase, episode):
    """The phase with one episode of each task."""
    return phase.without(np.arange(EPISODES) != episode)


def standardized(value):
    return (value - value.mean()) / np.sqrt(np.mean((value - value.mean()) ** 2))


def inner_gradients(config, theta, mu, log_sigma, z, k, phase, task):
    """Gradients in theta, mu and log sigma of one inner step; z [EPISODES, D] are numbers."""
    advantage = by_hand.advantages(phase)[task]
    of_theta, of_mu, of_log_sigma = np.zeros_like(theta), 0.0 * mu, 0.0 * mu
    sigma, steps = np.exp(log_sigma), phase.lengths[task].sum()
    credit = standardized(advantage[:, 0])
    for e in range(EPISODES):
        latent = z[e]
        if config.latent_gradient == "reparameterized":
            latent = mu + sigma * NOISE[k, task, e]
        slope = by_hand.inner_gradient(
            config.inner_estimator, of_episode(theta, latent), alone(phase, e), task, advantage
        )
        slope = slope * phase.lengths[task][e] / steps
        of_bias = slope[SIZE * ACTIONS :]
        of_theta = of_theta + np.concatenate(
            [slope[: SIZE * ACTIONS], np.outer(latent, of_bias).ravel(), of_bias]
        )
        if config.latent_gradient == "reparameterized":
            of_latent = theta[OF_LATENT].reshape(D, ACTIONS) @ of_bias
            of_mu = of_mu + of_latent
            of_log_sigma = of_log_sigma + of_latent * sigma * NOISE[k, task, e]
        else:
            away = (z[e] - mu) / sigma
            of_mu = of_mu - credit[e] * away / sigma / EPISODES
            of_log_sigma = of_log_sigma - credit[e] * (away**2 - 1) / EPISODES
    return of_theta * config.adapt_network, of_mu, of_log_sigma


def adapted(config, vector, task, phases, given=None):
    """(theta', mu', log sigma') of a task, and the latents [EPISODES, D] of each phase.

    Args:
      given: those of each phase, as numbers; they follow mu and sigma unless given.
    """
    part = unpack(vector)
    theta, row = part["theta"], INDEX[task]
    mu, log_sigma, latents = part["mu"][row], part["log_sigma"][row], []
    for k, phase in enumerate(phases):
        latents.append(mu + np.exp(log_sigma) * NOISE[k, task])
        z = latents[-1] if given is None else given[k]
        gradients = inner_gradients(config, theta, mu, log_sigma, z, k, phase, task)
        if config.first_order:
            gradients = [np.real(x) for x in gradients]
        theta = theta - part["rate_theta"] * gradients[0]
        mu = mu - part["rate_mu"] * gradients[1]
        log_sigma = log_sigma - part["rate_log_sigma"] * gradients[2]
    return (theta, mu, log_sigma), latents


def outer_loss(config, vector, task, phases=SUPPORTS):
    """The surrogate of the adapted policy, and the divergence of the latents before it."""
    _, given = adapted(config, ACTED, task, phases)
    (theta, mu, log_sigma), _ = adapted(config, vector, task, phases, given)
    advantage, total = by_hand.advantages(QUERY)[task], 0.0
    for e in range(EPISODES):
        weights = of_episode(theta, mu + np.exp(log_sigma) * NOISE[len(phases), task, e])
        own = by_hand.surrogate(weights, alone(QUERY, e), task, advantage)
        total = total + own * QUERY.lengths[task][e] / QUERY.lengths[task].sum()
    part, row = unpack(vector), INDEX[task]
    mu, log_sigma = part["mu"][row], part["log_sigma"][row]
    penalty = np.sum(-log_sigma + (np.exp(2 * log_sigma) + mu**2 - 1) / 2)
    return total + config.kl_weight * penalty


VARIANTS = [
    {},
    {"adapt_network": True},
    {"latent_gradient": "reparameterized", "kl_weight": 0.0},
    {"latent_gradient": "reparameterized", "adapt_network": True},
    {"adapt_network": True, "inner_estimator": "likelihood_ratio", "first_order": True},
]


@pytest.mark.parametrize("settings", VARIANTS)
def test_the_inner_step_and_the_outer_gradient(settings):
    """A task drawn twice gives its row both gradients; rows of absent tasks get none."""
    learner = make(**settings)
    config, meta, batch = learner.config, meta_of(learner, META), batch_of(learner)
    if config.inner_estimator == "log_likelihood":  # else the step is not that of who acted
        fast = learner.readapt(meta_of(learner, ACTED), batch).params
        for i in range(TASKS):
            theta, mu, log_sigma = adapted(config, ACTED, i, SUPPORTS)[0]
            np.testing.assert_allclose(fast["mu"][i], mu, rtol=1e-8)
            np.testing.assert_allclose(fast["log_sigma"][i], log_sigma, rtol=1e-8)
            if config.adapt_network:
                own = by_hand.join(nest.take(fast["policy"], [i]))[0]
                np.testing.assert_allclose(own, theta, rtol=1e-8)
    assert ("policy" in learner.readapt(meta, batch).params) == config.adapt_network
    leaves = tf.nest.flatten(meta)
    with tf.GradientTape() as tape:
        tape.watch(leaves)
        loss = learner.objective(meta, batch).loss
        mean = tf.reduce_mean(loss)
    gradient = [tf.convert_to_tensor(x) for x in tape.gradient(mean, leaves)]
    gradient = tf.nest.pack_sequence_as(meta, gradient)
    expected = [outer_loss(config, META, i) for i in range(TASKS)]
    np.testing.assert_allclose(loss, expected, rtol=1e-8)
    of_tasks = [complex_step(lambda x: outer_loss(config, x, i), META) for i in range(TASKS)]
    truth = unpack(sum(of_tasks) / TASKS)
    close = lambda found, name: np.testing.assert_allclose(
        found, truth[name], rtol=1e-7, atol=1e-11
    )
    close(by_hand.join(gradient["params"]), "theta")
    for name in ("mu", "log_sigma"):
        close(gradient["latent"][name], name)
        close(gradient["rates"][name], f"rate_{name}")
        assert not np.any(gradient["latent"][name][1]) and not np.any(gradient["latent"][name][3])
        twice = [unpack(of_tasks[i])[name][2] for i in (0, 2)]
        assert min(np.abs(x).max() for x in twice) > 1e-3
    if config.adapt_network:
        close(by_hand.join(gradient["rates"]["policy"]), "rate_theta")


def test_latent_space_learns_without_inner_steps_and_adapts_by_one_step_size():
    learner = make(learners.LatentSpace, latent_learning_rate=0.7)
    config, meta = learner.config, meta_of(learner, META)
    assert set(learner.meta.read()) == {"params", "latent"}
    batch = batch_of(learner, ())
    loss = learner.objective(meta, batch).loss
    expected = [outer_loss(config, META, i, ()) for i in range(TASKS)]
    np.testing.assert_allclose(loss, expected, rtol=1e-8)
    once = {**PARTS, "rate_mu": np.full(D, 0.7), "rate_log_sigma": np.full(D, 0.7)}
    vector = np.concatenate([x.ravel() for x in once.values()])
    fast = learner.readapt(meta_of(learner, ACTED), batch_of(learner)).params
    assert set(fast) == {"mu", "log_sigma"}
    for i in range(TASKS):
        _, mu, log_sigma = adapted(config, vector, i, SUPPORTS)[0]
        np.testing.assert_allclose(fast["mu"][i], mu, rtol=1e-8)
        np.testing.assert_allclose(fast["log_sigma"][i], log_sigma, rtol=1e-8)


def test_it_steps_the_network_by_a_rate_of_its_own_where_that_is_adapted():
    rates = {"adapt_network": True, "inner_learning_rate": 0.3, "latent_learning_rate": 0.7}
    learner = make(learners.LatentSpace, **rates)
    once = {
        name: np.full_like(x, 0.3 if name == "rate_theta" else 0.7) for name, x in PARTS.items()
    }
    once = {name: once[name] if name.startswith("rate") else PARTS[name] for name in PARTS}
    vector = np.concatenate([x.ravel() for x in once.values()])
    fast = learner.readapt(meta_of(learner, ACTED), batch_of(learner)).params
    for i in range(TASKS):
        theta = adapted(learner.config, vector, i, SUPPORTS)[0][0]
        np.testing.assert_allclose(by_hand.join(fast["policy"])[i], theta, rtol=1e-8)


@pytest.mark.parametrize(
    "rule, scales", [("once", [1, 1, 0.5, 0.5, 0.5]), ("cumulative", [1, 1, 0.5, 0.25, 0.125])]
)
def test_steps_beyond_those_trained_are_shortened(rule, scales):
    learner = make(later_step_rule=rule)
    found = [learner.step_scale(tf.fill([2], float(k))).numpy() for k in range(5)]
    np.testing.assert_allclose(found, np.repeat(scales, 2).reshape(5, 2))


def test_densities_and_divergences_are_those_of_the_distribution():
    draw = lambda: tf.constant(np.random.default_rng(0).normal(size=(3, 2)))
    latent, zeros = {"mu": draw(), "log_sigma": draw()}, tf.zeros([2], tf.float64)
    prior = tfp.distributions.MultivariateNormalDiag(zeros, 1 + zeros)
    normal = tfp.distributions.MultivariateNormalDiag(latent["mu"], tf.exp(latent["log_sigma"]))
    divergence = normal.kl_divergence(prior)
    np.testing.assert_allclose(divergence_from_prior(latent), divergence, rtol=1e-12)
    z = np.random.default_rng(1).normal(size=(3, 4, 2))
    expected = normal.log_prob(z.swapaxes(0, 1)).numpy().T + np.log(2 * np.pi)
    np.testing.assert_allclose(log_density(latent, z), expected, rtol=1e-12)


def test_what_values_are_fitted_to_does_not_know_the_latent():
    """Else it would explain away what the latent brings."""
    learner = make()
    meta, fast = meta_of(learner, ACTED), learner.start(meta_of(learner, ACTED), TASKS)
    played = SUPPORTS[0].trajectory()
    first, second = (
        learner.experience(meta, fast, played._replace(episode_noise=tf.constant(noise)))
        for noise in NOISE[:2]
    )
    assert not np.any(first.trajectory.start == second.trajectory.start)
    np.testing.assert_array_equal(first.weight, second.weight)
    np.testing.assert_array_equal(first.extra, second.extra)
    np.testing.assert_allclose(
        first.extra,
        np.apply_along_axis(standardized, 1, by_hand.advantages(SUPPORTS[0])[:, :, 0]),
        rtol=1e-8,
    )


# Learners that play.


class TwoLayers(Policy):
    """A Gaussian whose mean is that of four hidden units, in the dtype of its weights."""

    def __init__(self, family):
        self.action_spec = family.action_spec

    def init(self, seed):
        normal = lambda i, *shape: tf.random.stateless_normal(shape, [seed, i])
        return {"first": normal(0, 4, 4), "second": normal(1, 4, 2), "log_std": tf.zeros([2])}

    def __call__(self, params, observation):
        mean = tf.matmul(tf.tanh(tf.matmul(observation, params["first"])), params["second"])
        std = tf.broadcast_to(tf.exp(params["log_std"])[:, None], mean.shape)
        return tfp.distributions.MultivariateNormalDiag(mean, std)


@pytest.fixture(scope="module")
def family():
    return environments.PointRing(environments.PointRingConfig(horizon=6, num_train=7))


@pytest.fixture(scope="module")
def population(family):
    return family.population(0, 4)


@pytest.fixture(scope="module")
def small(family):
    """(class, **settings) -> a small learner."""

    def made(learner_class=learners.MAESN, **settings):
        sizes = {"meta_batch_size": 3, "episodes_per_update": 5, "num_iterations": 3}
        sizes |= {"num_training_tasks": 7, "outer": {"cg_iterations": 3}}
        policy = LatentPolicy(TwoLayers(family), family.observation_spec, 2)
        return learner_class(family, policy, learner_class.Config(**{**sizes, **settings}))

    return made


@pytest.fixture(scope="module", params=[learners.MAESN, learners.LatentSpace])
def learner(request, small):
    """One for all that compiles it."""
    return small(request.param)


def test_it_trains_adapts_and_resumes(learner, population, tmp_path):
    """Rows of tasks of the batch move, and the others stay to the bit."""
    history = assert_resumes(learner, population, tmp_path)
    assert any(row["step_accepted"] for row in history)
    found = tfcaml.evaluate(learner, population.test, num_updates=2, num_episodes=3)
    assert found.returns.shape == (3, 4, 3) and not found.bad_updates.any()
    learner.reset(0)
    before, index = learner.meta.read(), training.draw(learner, population, 0)[2]
    assert training.train_iteration(learner, population, 0)["step_accepted"]
    after = learner.meta.read()
    for name, rows in after["latent"].items():
        moved = np.any(rows != before["latent"][name], axis=1)
        np.testing.assert_array_equal(np.flatnonzero(moved), np.unique(index))
    for name in {"params", "rates"} & set(after):
        changed = nest.map(lambda x, y: np.any(x != y), after[name], before[name])
        assert all(tf.nest.flatten(changed))


@pytest.mark.parametrize("latent_gradient", ["likelihood_ratio", "reparameterized"])
def test_the_outer_gradient_agrees_with_central_differences(small, population, latent_gradient):
    learner = small(latent_gradient=latent_gradient, adapt_network=True)
    batch = collected(learner, population)
    assert error_of_gradient(learner, batch) < 1e-6
    played, meta = batch.query.trajectory, learner.meta.read()
    params = learner.acting(meta, learner.readapt(meta, batch))
    again = losses.action_log_prob(learner.policy, params, played)
    np.testing.assert_allclose(again, played.log_prob, rtol=1e-4, atol=1e-4)


def test_new_tasks_start_at_the_prior_and_training_tasks_where_they_were(small):
    learner = small()
    meta = learner.meta.read()
    assert meta["latent"]["mu"].shape == [7, 2] and np.unique(meta["latent"]["mu"]).size == 14
    np.testing.assert_array_equal(meta["rates"]["mu"], [1, 1])
    meta["latent"]["log_sigma"] = tf.ones([7, 2])
    new = learner.start(meta, 3).params
    assert not np.any(new["mu"]) and not np.any(new["log_sigma"]) and new["mu"].shape == [3, 2]
    known = learner.begin(meta, 3, tf.constant([5, 0, 5])).params
    for name, rows in meta["latent"].items():
        np.testing.assert_array_equal(known[name], rows.numpy()[[5, 0, 5]])


def test_its_own_policy_is_an_mlp_with_a_latent(family):
    config = learners.MAESN.Config(latent_size=3, num_training_tasks=7)
    learner = learners.MAESN(family, config=config)
    assert isinstance(learner.policy, LatentPolicy) and learner.policy.size == 3
    fast = learner.start(learner.meta.read(), 2)
    assert isinstance(fast, FastState)
    trajectory = learner.sample(
        learner.acting(learner.meta.read(), fast), family.population(0, 2).test, 2, keys.from_int(0)
    )
    assert trajectory.episode_noise.shape == [2, 2, 3]


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"outer": {"fisher_subsample": 2}}, "outer.fisher_subsample to be 0"),
        ({"outer": {"optimizer": "ppo"}}, "outer.optimizer to be trpo"),
        ({"kl_weight": -0.1}, "kl_weight to be >= 0"),
        ({"latent_size": 0}, "latent_size to be >= 1"),
        ({"num_training_tasks": 0}, "num_training_tasks to be >= 1"),
        ({"latent_learning_rate": 0.0}, "latent_learning_rate"),
        ({"latent_gradient": "score"}, "latent_gradient to be one of likelihood_ratio, repa"),
        ({"later_step_rule": "never"}, "later_step_rule to be one of once, cumulative"),
    ],
)
def test_what_cannot_work_is_refused(settings, message):
    for learner_class in (learners.MAESN, learners.LatentSpace):
        with pytest.raises(ConfigError, match=message):
            learner_class.Config(**settings)


def test_what_does_not_go_together_is_refused(small, family, population):
    with pytest.raises(ConfigError, match="num_training_tasks to be 7, the training tasks of the"):
        tfcaml.train(small(num_training_tasks=8), population)
    endless = population._replace(draw=lambda num_tasks, key: population.train)
    with pytest.raises(ConfigError, match="num_training_tasks to be left to a family of finitely"):
        tfcaml.train(small(), endless)
    rule = r"policy to be a LatentPolicy of latent_size=2; received policy='{}'"
    with pytest.raises(ConfigError, match=rule.format("TwoLayers")):
        learners.MAESN(family, TwoLayers(family))
    wide = LatentPolicy(TwoLayers(family), family.observation_spec, 3)
    with pytest.raises(ConfigError, match=rule.format("LatentPolicy of 3")):
        learners.MAESN(family, wide)
    policy = LatentPolicy(TwoLayers(family), family.observation_spec, 2)
    with pytest.raises(ConfigError, match="loss to be left out, or a LatentLoss"):
        learners.MAESN(family, policy, loss=PolicyGradientLoss(policy, learners.MAESN.Config()))
