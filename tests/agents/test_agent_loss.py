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
from tfcaml import agents, keys, learners, nest, training
from tfcaml.agents.trajectories import from_tf_agents, to_tf_agents
from tfcaml.errors import ConfigError
from tfcaml.rollouts import sampling

KINDS = ("reinforce", "reinforce_value", "ppo_clip", "ppo_kl")
SETTINGS = {"meta_batch_size": 3, "episodes_per_update": 4, "inner_learning_rate": 0.3}


def make_learner(loss, environment, cls=learners.MAML, **settings):
    settings = {"outer": {"optimizer": "adam"}, **SETTINGS, **settings}
    return cls(environment, loss.policy, cls.Config(**settings), loss=loss)


@pytest.fixture(scope="module")
def losses(make_agent, particle):
    return {kind: agents.agent_loss(make_agent(kind, particle)) for kind in KINDS}


@pytest.fixture(scope="module")
def batches(losses, particle, population):
    """kind -> (params [3, ...], `Experience`) of three policies in three entities."""

    def collect(loss):
        params = nest.stack([loss.policy.init(seed) for seed in range(3)])
        task = nest.map(lambda x: x[:3], population.train)
        trajectory = sampling.sample(loss.policy, particle, params, task, 4, keys.from_int(0))
        params = nest.map(lambda x: 1.1 * x, params)  # not quite those that acted
        return params, loss.experience(None, params, trajectory)

    return {kind: tf.function(collect, autograph=False)(loss) for kind, loss in losses.items()}


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_second_order_agrees_with_central_differences(kind, losses, particle, population):
    loss = losses[kind]
    learner = make_learner(loss, particle)
    task, _ = population.sample(3, keys.from_int(0))
    meta = learner.meta.read()
    batch = tf.function(learner.collect, autograph=False)(meta, task, keys.from_int(1))
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
    task = nest.map(lambda x: x[:2], population.train)
    fast = learner.start(meta, 2)
    trajectory = learner.sample(fast.params, task, 4, keys.from_int(0))
    assert tf.reduce_all(trajectory.mask == 1)
    support = learner.experience(meta, fast, trajectory)
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
            own.weight,
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
        np.testing.assert_allclose(experience.weight[i], advantage, rtol=1e-2, atol=1e-3)


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

    fields = {name: nest.map(longer, getattr(cut, name)) for name in cut._fields[:6]}
    blank = tf.zeros([3, 4, 4])
    for name in ("mask", "reward", "terminated"):
        fields[name] = tf.concat([getattr(cut, name), blank], axis=2)
    padded = cut._replace(**fields)
    value = [loss(params, loss.experience(None, params, data)) for data in (cut, padded)]
    np.testing.assert_allclose(*value, rtol=1e-4, atol=1e-5)


# Three episodes of each of two tasks: how long they are, of four steps, and how they end. The
# others are cut: one at the last step, two before it. An odd number of steps is padded.
LENGTH = np.array([[4, 2, 3], [1, 4, 2]])
TERMINATED = np.array([[0, 1, 0], [1, 1, 0]])


def forward(weights, observation):
    """A layer of tanh and a linear one, in NumPy."""
    kernel, bias, out_kernel, out_bias = (np.asarray(w, np.float64) for w in weights)
    return np.tanh(observation @ kernel + bias) @ out_kernel + out_bias


def log_softmax(logits):
    return logits - np.log(np.exp(logits).sum(-1, keepdims=True))


def by_hand(params, trajectory):
    """`Trajectory` of the hand-made batch, played by `params`, with rubbish where it is padded."""
    rng = np.random.default_rng(0)
    observation = rng.normal(size=(2, 3, 4, 2))
    mask = np.arange(4) < LENGTH[..., None]
    action = rng.integers(0, 4, (2, 3, 4))
    log_pi = np.stack(
        [log_softmax(forward([w[n] for w in params[:4]], observation[n])) for n in range(2)]
    )
    log_prob = np.take_along_axis(log_pi, action[..., None], -1)[..., 0]
    is_last = np.arange(4) == LENGTH[..., None] - 1
    number = lambda x: tf.constant(x, tf.float32)
    return trajectory._replace(
        observation=number(np.where(mask[..., None], observation, 7)),
        action=tf.constant(action, trajectory.action.dtype),
        reward=number(rng.normal(size=(2, 3, 4)) * mask),
        mask=number(mask),
        log_prob=number(np.where(mask, log_prob, -3)),
        terminated=number(is_last * TERMINATED[..., None]),
        final_observation=number(rng.normal(size=(2, 3, 2))),
    )


def returns_by_hand(trajectory, n, discount, bootstrap, value, final_value):
    """Returns and generalised advantages (lambda = 0.95) of a task, step by step: [E, T]."""
    reward = np.float64(trajectory.reward[n])
    result, advantage = np.zeros_like(reward), np.zeros_like(reward)
    for episode, length in enumerate(LENGTH[n]):
        goes_on = bootstrap and not TERMINATED[n, episode]
        after = ahead = final_value[episode] if goes_on else 0.0
        sum_of_errors = 0.0
        for t in reversed(range(length)):
            after = reward[episode, t] + discount * after
            error = reward[episode, t] + discount * ahead - value[episode, t]
            sum_of_errors = error + discount * 0.95 * sum_of_errors
            ahead = value[episode, t]
            result[episode, t], advantage[episode, t] = after, sum_of_errors
    return result, advantage


def loss_by_hand(kind, params, acted, trajectory, n, bootstrap):
    """The loss of task n, from the papers' formulas; params and acted: the weights, [2, ...]."""
    valid = np.arange(4) < LENGTH[n][:, None]
    mean = lambda x: x[valid].sum() / valid.sum()
    task = lambda weights: [w[n] for w in weights]
    observation, action = np.float64(trajectory.observation[n]), trajectory.action[n].numpy()
    log_pi = log_softmax(forward(task(params[:4]), observation))
    log_old = log_softmax(forward(task(acted[:4]), observation))
    of_action = lambda x: np.take_along_axis(x, action[..., None], -1)[..., 0]
    entropy = -(np.exp(log_pi) * log_pi).sum(-1)
    values = lambda weights, x: forward(task(weights[4:]), x)[..., 0]
    value = old = final = np.zeros([3, 4])
    if len(params) == 8:
        value, old = values(params, observation), values(acted, observation)
        final = values(acted, np.float64(trajectory.final_observation[n]))
    discount = 0.9 if "reinforce" in kind else 0.99
    target, generalized = returns_by_hand(trajectory, n, discount, bootstrap, old, final)
    if "reinforce" in kind:
        advantage = target - value
        scale = np.sqrt(mean((advantage - mean(advantage)) ** 2)) + 1.1920929e-7
        advantage = (advantage - mean(advantage)) / scale
        loss = -(of_action(log_pi) * advantage)[valid].sum() / 3 - 0.05 * mean(entropy)
        return loss + (len(params) == 8) * 0.2 * ((target - value) ** 2)[valid].sum() / 3
    if kind == "ppo_kl":  # this agent's values learn from the returns of TD(lambda)
        target = generalized + old
    advantage = generalized
    variance = mean((advantage - mean(advantage)) ** 2)
    advantage = (advantage - mean(advantage)) / np.sqrt(variance + 1e-8)
    ratio = np.exp(of_action(log_pi) - of_action(log_old))
    loss = 0.01 * mean((target - value) ** 2)
    if kind == "ppo_clip":
        clipped = np.clip(ratio, 0.8, 1.2)
        assert (clipped != ratio)[valid].any() and (clipped == ratio)[valid].any()
        return (
            loss - mean(np.minimum(ratio * advantage, clipped * advantage)) - 0.01 * mean(entropy)
        )
    divergence = (np.exp(log_old) * (log_old - log_pi)).sum(-1)  # times 1.0, the initial factor
    return loss - mean(ratio * advantage) + mean(divergence)


@pytest.fixture(scope="module")
def make_loss(make_agent, particle):
    """(kind, bootstrap) -> loss of an agent with an entropy term where it has none."""

    def make(kind, bootstrap):
        options = {"entropy_regularization": 0.05} if "reinforce" in kind else {}
        return agents.agent_loss(make_agent(kind, particle, **options), bootstrap)

    return make


@pytest.mark.parametrize(
    "kind, bootstrap", [*((kind, False) for kind in KINDS), *((kind, True) for kind in KINDS[1:])]
)
def test_it_is_the_formula_on_a_hand_made_batch(kind, bootstrap, make_loss, batches):
    loss, rng = make_loss(kind, bootstrap), np.random.default_rng(3)
    shapes = [w.shape for w in loss.policy.init(0)]
    acted = [tf.constant(rng.normal(size=(2, *s)), tf.float32) for s in shapes]
    params = [w + tf.constant(0.1 * rng.normal(size=w.shape), tf.float32) for w in acted]
    trajectory = by_hand(acted, batches["reinforce"][1].trajectory)

    @tf.function(autograph=False)
    def found(acted, params):
        return loss(params, loss.experience(None, acted, trajectory))

    expected = [loss_by_hand(kind, params, acted, trajectory, n, bootstrap) for n in range(2)]
    np.testing.assert_allclose(found(acted, params), expected, rtol=1e-4, atol=1e-6)


def test_one_padded_step_changes_no_moment(losses, batches):
    """Returns 1 and 2 are normalised to -1 and 1."""
    loss, (params, experience) = losses["reinforce"], batches["reinforce"]
    first = nest.map(lambda x: x[:1, :1, :3], experience.trajectory._replace(final_observation=()))
    trajectory = first._replace(
        action=tf.constant([[[0, 1, 2]]], first.action.dtype),
        reward=tf.constant([[[1 - 0.9 * 2, 2.0, 0.0]]]),
        mask=tf.constant([[[1.0, 1.0, 0.0]]]),
        terminated=tf.constant([[[0.0, 1.0, 0.0]]]),
        final_observation=experience.trajectory.final_observation[:1, :1],
    )
    params = [tf.zeros_like(w[:1]) for w in params]
    params[3] += tf.math.log([2.0, 1.0, 1.0, 1.0])  # the first action is twice as probable
    value = loss(params, loss.experience(None, params, trajectory))
    np.testing.assert_allclose(value, [np.log(2)], rtol=1e-5)


def test_bootstrap_adds_the_value_of_the_state_an_episode_was_cut_in(make_loss, batches):
    """Rewards of 1 and a value of 2 everywhere; the second of three episodes terminates."""
    trajectory = by_hand(batches["ppo_clip"][0], batches["ppo_clip"][1].trajectory)
    trajectory = trajectory._replace(reward=trajectory.mask)
    for kind, discount in (("ppo_clip", 0.99), ("reinforce_value", 0.9)):
        returns = {}
        for bootstrap in (False, True):
            loss = make_loss(kind, bootstrap)
            params = [tf.zeros([2, *w.shape]) for w in loss.policy.init(0)]
            params[-1] += 2.0
            found = loss.experience(None, params, trajectory)
            returns[bootstrap] = found.extra["return"] if kind == "ppo_clip" else found.weight
            returns[bootstrap] = returns[bootstrap][0].numpy() * trajectory.mask[0].numpy()
        d = discount
        cut_early, ended = [1 + d + d**2, 1 + d, 1, 0], [1 + d, 1, 0, 0]
        np.testing.assert_allclose(returns[False][1:], [ended, cut_early], rtol=1e-6)
        more = 2 * np.array([[d**4, d**3, d**2, d], [0, 0, 0, 0], [d**3, d**2, d, 0]])
        np.testing.assert_allclose(returns[True] - returns[False], more, rtol=1e-5)


def test_bootstrap_needs_a_value_network(make_agent, particle):
    with pytest.raises(ConfigError, match=r"bootstrap to be False .* value network; received"):
        agents.agent_loss(make_agent("reinforce", particle), bootstrap=True)


def test_an_agent_that_adds_up_its_loss_itself_is_refused(make_agent, particle):
    class Own(reinforce_agent.ReinforceAgent):
        def total_loss(self, *args, **kwargs):
            return None

    agent = make_agent("reinforce", particle)
    specs = agent.time_step_spec, agent.action_spec
    with pytest.raises(ConfigError, match="ReinforceAgent's own; received total_loss='Own"):
        agents.agent_loss(Own(*specs, agent._actor_network, None))


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
        (learners.MAML, "ppo_clip", {"outer": {"optimizer": "ppo", "steps": 2}}),
        (learners.FOMAML, "reinforce", {"outer": {"optimizer": "trpo"}}),
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
    evaluation = tfcaml.evaluate(learner, population.test, num_updates=1, num_episodes=2)
    assert np.isfinite(evaluation.returns).all()


@pytest.mark.slow
def test_gaussian_actions(make_agent, slide):
    loss = agents.ReinforceLoss(make_agent("reinforce", slide))
    learner = make_learner(loss, slide)
    task = {"goal": tf.constant([-1.0, 0.0, 1.0])}
    metrics = learner.train(task, keys.from_int(0))
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
    with pytest.raises(ConfigError, match=r"outer\.optimizer"):
        make_learner(losses["ppo_clip"], particle, outer={"optimizer": "trpo"})
    with pytest.raises(ConfigError, match=r"loss\.policy"):
        learners.MAML(particle, policy, loss=losses["reinforce"])
