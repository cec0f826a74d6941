"""The losses of TF-Agents' agents: their own numbers, their second derivative, their limits."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf
from tf_agents.agents.dqn import dqn_agent
from tf_agents.agents.reinforce import reinforce_agent
from tf_agents.networks import actor_distribution_network, q_network
from tf_agents.trajectories import time_step as ts

import tfcaml
from tfcaml import agents, learners, nest, sampling, seeds, training
from tfcaml.agents.trajectories import from_tf_agents, to_tf_agents
from tfcaml.errors import ConfigError

KINDS = ("reinforce", "reinforce_value", "ppo_clip", "ppo_kl")
SETTINGS = {"meta_batch_size": 3, "episodes_per_update": 4, "inner_learning_rate": 0.3}


def make_learner(loss, environment, cls=learners.MAML, **settings):
    settings = {"outer_optimizer": "adam", **SETTINGS, **settings}
    return cls(environment, loss.policy, cls.Config(**settings), loss=loss)


@pytest.fixture(scope="module")
def losses(make_agent, particle):
    return {kind: agents.agent_loss(make_agent(kind, particle)) for kind in KINDS}


@pytest.fixture(scope="module")
def batches(losses, particle, population):
    """kind -> (params [3, ...], `Experience`) of three policies in three entities."""

    def collect(loss):
        params = nest.stack([loss.policy.init(seed) for seed in range(3)])
        task = nest.map(lambda x: x[:3], population.support)
        trajectory = sampling.sample(loss.policy, particle, params, task, 4, seeds.from_int(0))
        params = nest.map(lambda x: 1.1 * x, params)  # not quite those that acted
        return params, loss.experience(params, trajectory)

    return {kind: tf.function(collect, autograph=False)(loss) for kind, loss in losses.items()}


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_second_order_agrees_with_central_differences(kind, losses, particle, population):
    loss = losses[kind]
    learner = make_learner(loss, particle)
    task = population.sample(3, seeds.from_int(0))
    meta = learner.meta.read()
    batch = tf.function(learner.collect, autograph=False)(meta, task, seeds.from_int(1))
    vector, unravel = nest.ravel(meta)
    vector += 0.05 * np.random.default_rng(0).normal(size=vector.shape).astype(np.float32)
    size = sum(x.shape.num_elements() for x in loss.policy.network.trainable_variables)
    of_actor = tf.cast(tf.range(len(vector)) < size, tf.float32)

    @tf.function(autograph=False)
    def gradient(vector):
        with tf.GradientTape() as tape:
            tape.watch(vector)
            value = tf.reduce_mean(learner.objective(unravel(vector), batch).loss)
        return value, tape.gradient(value, vector)

    second = gradient(vector)[1] * of_actor  # the value network's part is by far the larger one
    norm = tf.norm(second)
    step = 1e-3 * second / norm
    truth = (gradient(vector + step)[0] - gradient(vector - step)[0]) / 2e-3
    assert abs(truth - norm) / norm < 1e-2
    learner.config = dataclasses.replace(learner.config, first_order=True)
    first = tf.function(gradient.python_function, autograph=False)(vector)[1] * of_actor
    assert tf.norm(first - second) / norm > 1e-2


@pytest.mark.slow
@pytest.mark.parametrize("value", [False, True])
def test_inner_step_is_the_agents_own_train(value, make_agent, particle, population):
    """`agent.train` with plain gradient descent is one step of adaptation."""
    kind = "reinforce_value" if value else "reinforce"
    agent = make_agent(kind, particle, optimizer=tf.keras.optimizers.SGD(0.01))
    loss = agents.ReinforceLoss(agent)
    learner = make_learner(loss, particle, inner_learning_rate=0.01)
    meta = learner.meta.read()
    task = nest.map(lambda x: x[:2], population.support)
    fast = learner.start(meta, 2)
    trajectory = learner.sample(fast.params, task, 4, seeds.from_int(0))
    assert tf.reduce_all(trajectory.mask == 1)
    support = learner.experience(fast.params, trajectory)
    adapted = learner.adapt(meta, fast, support)
    data = to_tf_agents(trajectory)
    for i in range(2):
        loss.assign(meta["params"])
        info = agent.train(nest.map(lambda x: x[i], data))
        np.testing.assert_allclose(info.loss, loss(fast.params, support)[i], rtol=1e-4)
        for mine, theirs in zip(adapted.params, loss.policy.functional.variables):
            np.testing.assert_allclose(mine[i], theirs, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("kind", ["ppo_clip", "ppo_kl"])
def test_ppo_loss_is_the_agents_own(kind, losses, batches):
    loss, (params, experience) = losses[kind], batches[kind]
    value = loss(params, experience)
    agent, data = loss.agent, to_tf_agents(experience.trajectory)
    for i in range(3):
        loss.assign(nest.map(lambda x: x[i], params))
        row, own = nest.map(lambda x: x[i], (data, experience))
        steps = ts.TimeStep(row.step_type, row.reward, row.discount, row.observation)
        acted = agent.collect_policy.distribution(steps).info["dist_params"]
        info = agent.get_loss(
            steps,
            row.action,
            own.trajectory.log_prob,
            own.extra["return"],
            own.advantage,
            acted,
            tf.ones_like(row.reward),
            agent.train_step_counter,
            False,
        )
        np.testing.assert_allclose(value[i], info.loss, rtol=1e-4)
    assert len(set(np.round(value.numpy(), 3))) == 3


def test_ppo_advantages_are_the_agents_own(losses, batches):
    loss, (params, experience) = losses["ppo_clip"], batches["ppo_clip"]
    # The agent wants to see the step after the last one.
    one_more = lambda x: tf.concat([x, x[:, :, :1]], axis=2)
    data = nest.map(one_more, to_tf_agents(experience.trajectory))
    data = data._replace(
        observation=tf.concat(
            [data.observation[:, :, :-1], experience.trajectory.final_observation[:, :, None]], 2
        ),
        policy_info={"dist_params": nest.map(one_more, experience.extra["dist_params"])},
    )
    for i in range(3):
        loss.assign(nest.map(lambda x: x[i], params))
        info = loss.agent._preprocess(nest.map(lambda x: x[i], data)).policy_info
        np.testing.assert_allclose(experience.extra["return"][i], info["return"][:, :-1], 1e-3)
        advantage = info["advantage"][:, :-1].numpy()
        advantage = (advantage - advantage.mean()) / advantage.std()
        np.testing.assert_allclose(experience.advantage[i], advantage, rtol=1e-2, atol=1e-3)


@pytest.mark.parametrize("kind", KINDS)
def test_a_task_is_alone_with_its_weights(kind, losses, batches):
    loss, (params, experience) = losses[kind], batches[kind]
    together = loss(params, experience)
    alone = [loss(*nest.map(lambda x: x[i : i + 1], (params, experience)))[0] for i in range(3)]
    np.testing.assert_allclose(together, alone, rtol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_padding_changes_nothing(kind, losses, batches):
    loss, (params, experience) = losses[kind], batches[kind]
    cut = np.ones(experience.trajectory.mask.shape, np.float32)
    cut[:, 1, 6:] = 0
    cut = experience.trajectory._replace(
        mask=tf.constant(cut), reward=experience.trajectory.reward * cut
    )

    def longer(x):
        return tf.concat([x, tf.ones_like(x[:, :, :4])], axis=2)

    fields = {name: nest.map(longer, getattr(cut, name)) for name in cut._fields[:-1]}
    blank = tf.zeros([3, 4, 4])
    for name in ("mask", "reward", "terminated"):
        fields[name] = tf.concat([getattr(cut, name), blank], axis=2)
    padded = cut._replace(**fields)
    value = [loss(params, loss.experience(params, data)) for data in (cut, padded)]
    np.testing.assert_allclose(*value, rtol=1e-4, atol=1e-5)


def test_normalisation_sees_living_steps_only(losses, batches):
    loss, (params, experience) = losses["reinforce"], batches["reinforce"]
    mask = np.ones(experience.trajectory.mask.shape, np.float32)
    mask[:, :, 4:] = 0
    trajectory = experience.trajectory._replace(
        mask=tf.constant(mask), reward=experience.trajectory.reward * mask
    )
    value = loss.experience(params, trajectory).advantage.numpy()
    living = value[:, :, :4]
    np.testing.assert_allclose(value.mean((1, 2)), living.mean((1, 2)), rtol=1e-5)
    np.testing.assert_allclose(value.std((1, 2)), living.std((1, 2)), rtol=1e-5)


def test_round_trip_of_trajectories(random_trajectory):
    trajectory = random_trajectory(0)
    back = from_tf_agents(to_tf_agents(trajectory), trajectory.log_prob)
    for name in ("observation", "action", "reward", "mask", "log_prob", "terminated"):
        np.testing.assert_array_equal(getattr(back, name), getattr(trajectory, name), name)
    length = trajectory.mask.numpy().sum(-1).astype(int)
    for (n, e), steps in np.ndenumerate(length):
        expected = trajectory.observation[n, e, min(steps, 5)]
        np.testing.assert_array_equal(back.final_observation[n, e], expected)


@pytest.mark.slow
@pytest.mark.parametrize(
    "cls, kind, settings",
    [
        (learners.MAML, "ppo_clip", {"outer_optimizer": "ppo", "outer_steps": 2}),
        (learners.FOMAML, "reinforce", {"outer_optimizer": "trpo"}),
        (learners.MetaSGD, "reinforce_value", {"inner_updates": 2}),
        (learners.Reptile, "ppo_kl", {"inner_updates": 2}),
    ],
)
def test_learners_train_and_adapt_by_it(cls, kind, settings, losses, particle, population):
    if cls is learners.Reptile:
        config = cls.Config(**SETTINGS, **settings)
        learner = cls(particle, losses[kind].policy, config, loss=losses[kind])
    else:
        learner = make_learner(losses[kind], particle, cls, **settings)
    before = nest.ravel(learner.meta.read())[0].numpy()
    for _ in range(2):
        metrics = training.train_iteration(learner, population, seed=0)
        assert np.isfinite(list(metrics.values())).all()
    assert not np.array_equal(nest.ravel(learner.meta.read())[0], before)
    evaluation = tfcaml.evaluate(learner, population.query, num_updates=1, num_episodes=2)
    assert np.isfinite(evaluation.returns).all()


@pytest.mark.slow
def test_gaussian_actions(make_agent, slide):
    loss = agents.ReinforceLoss(make_agent("reinforce", slide))
    learner = make_learner(loss, slide)
    task = {"goal": tf.constant([-1.0, 0.0, 1.0])}
    metrics = learner.train(task, seeds.from_int(0))
    assert np.isfinite(list(metrics.values())).all()


def test_other_agents_are_refused(particle):
    specs = (ts.time_step_spec(particle.observation_spec), particle.action_spec)
    dqn = dqn_agent.DqnAgent(*specs, q_network.QNetwork(particle.observation_spec, specs[1]), None)
    for make in (agents.agent_loss, agents.ReinforceLoss, agents.PPOLoss):
        with pytest.raises(ConfigError, match=r"total_loss.*get_loss.*received agent=DqnAgent"):
            make(dqn)


def test_what_acts_on_the_agents_own_variables_is_refused(make_agent, particle):
    with pytest.raises(ConfigError, match="normalize_rewards"):
        agents.PPOLoss(make_agent("ppo_clip", particle, normalize_rewards=True))
    with pytest.raises(ConfigError, match="normalize_observations"):
        agents.PPOLoss(make_agent("ppo_clip", particle, normalize_observations=True))
    with pytest.raises(ConfigError, match="policy_l2_reg"):
        agents.PPOLoss(make_agent("ppo_kl", particle, policy_l2_reg=0.1))
    actor = actor_distribution_network.ActorDistributionNetwork(
        particle.observation_spec,
        particle.action_spec,
        preprocessing_layers=tf.keras.layers.Dense(2, kernel_regularizer="l2"),
    )
    specs = (ts.time_step_spec(particle.observation_spec), particle.action_spec)
    with pytest.raises(ConfigError, match="regularizers"):
        agents.ReinforceLoss(reinforce_agent.ReinforceAgent(*specs, actor, None))


def test_a_learner_takes_what_fits(losses, particle, policy):
    with pytest.raises(ConfigError, match="outer_optimizer"):
        make_learner(losses["ppo_clip"], particle, outer_optimizer="trpo")
    with pytest.raises(ConfigError, match=r"loss\.policy"):
        learners.MAML(particle, policy, loss=losses["reinforce"])
