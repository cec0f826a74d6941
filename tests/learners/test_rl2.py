"""RL^2: what its policy remembers, that trials are one to its loss, and that it learns."""

import numpy as np
import pytest
import tensorflow as tf
from tf_agents.trajectories import time_step as ts

import tfcaml
from tests.eager import PlainRecurrent
from tests.learners.checks import assert_resumes, collected, error_of_gradient
from tfcaml import environments, keys, learners, nest, training, types
from tfcaml.agents import AdaptedPolicy
from tfcaml.environments import Bandit, BanditConfig
from tfcaml.errors import ConfigError
from tfcaml.learners.rl2 import TrialLoss
from tfcaml.policies import TrialPolicy, rnn_policy, with_last_step

TASKS, TRIALS, EPISODES, STEPS, ARMS = 2, 3, 3, 4, 3
SIZES = {
    "num_iterations": 3,
    "meta_batch_size": TASKS,
    "trials_per_task": TRIALS,
    "episodes_per_update": EPISODES,
    "units": 3,
}


class Cut(Bandit):
    """Tells how often it has paid, and ends an episode in which it has twice."""

    def reset(self, task, key):
        state = tf.zeros([*key.shape[:2], 1])
        return state, state

    def step(self, task, state, action, noise):
        _, _, reward, _ = super().step(task, state, action, noise)
        state += reward[..., None]
        return state, state, reward, state[..., 0] >= 2


@pytest.fixture(scope="module")
def family():
    return Cut(BanditConfig(num_arms=ARMS, horizon=STEPS))


@pytest.fixture(scope="module")
def population(family):
    return family.population(0, 5)


@pytest.fixture(scope="module")
def learner(family):
    """With weights far from the first, so that what is remembered matters."""
    made = learners.RL2(family, config=learners.RL2.Config(**SIZES))
    meta = made.meta.read()
    made.meta.write(nest.map(lambda x: 3 * x + 0.1, meta))
    return made


@pytest.fixture(scope="module")
def batch(learner, population):
    """Of the first iteration."""
    return collected(learner, population)


@pytest.fixture(scope="module")
def plain(family):
    """(**settings) -> a learner whose policy is quick to run eagerly, and of any precision."""

    def made(**settings):
        config = learners.RL2.Config(**{**SIZES, **settings})
        specs = family.observation_spec, family.action_spec
        within = PlainRecurrent(with_last_step(*specs), family.action_spec)
        policy = TrialPolicy(within, family.observation_spec, config.truncation)
        return learners.RL2(family, policy, config)

    return made


def gru(weights, seen):
    """What a cell of Keras and a linear layer give for steps [L, F]: (logits, hidden [L, H])."""
    kernel, recurrent, bias, out, out_bias = (np.asarray(x, np.float64) for x in weights)
    size, hidden, found = len(recurrent), np.zeros(len(recurrent)), []
    sigmoid = lambda x: 1 / (1 + np.exp(-x))
    for x in np.asarray(seen, np.float64):
        own, again = x @ kernel + bias[0], hidden @ recurrent + bias[1]
        z = sigmoid(own[:size] + again[:size])
        r = sigmoid(own[size : 2 * size] + again[size : 2 * size])
        candidate = np.tanh(own[2 * size :] + r * again[2 * size :])
        hidden = z * hidden + (1 - z) * candidate
        found.append(hidden)
    return np.array(found) @ out + out_bias, np.array(found)


def lived(trajectory, row):
    """(observations, actions, rewards, ends, log-probabilities) of a trial's steps, in a row."""
    found = []
    for episode in range(EPISODES):
        length = int(trajectory.mask[row, episode].numpy().sum())
        for t in range(length):
            each = [x[row, episode, t] for x in trajectory[:3]]
            found.append([*each, float(t == length - 1), trajectory.log_prob[row, episode, t]])
    return [np.array(column) for column in zip(*found)]


def test_the_policy_is_what_an_unrolled_cell_makes_of_the_whole_trial(learner, batch):
    """At every step, by what was hidden at the end of the episode before; from nothing at first."""
    trajectory, weights = batch.query.trajectory, learner.meta.read()["params"]
    assert trajectory.mask.shape == [TASKS * TRIALS, EPISODES, STEPS]
    lengths = trajectory.mask.numpy().sum(axis=-1)
    assert len(np.unique(lengths)) > 1
    for row in range(TASKS * TRIALS):
        observed, action, reward, ended, log_prob = lived(trajectory, row)
        last = np.concatenate([np.eye(ARMS)[action], reward[:, None], ended[:, None]], axis=1)
        last = np.concatenate([np.zeros([1, ARMS + 2]), last[:-1]])
        told = types.in_a_row(trajectory).info[row, 0, : len(action)]
        np.testing.assert_array_equal(told, last)
        logits, _ = gru(weights, np.concatenate([observed, last], axis=1))
        expected = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
        np.testing.assert_allclose(log_prob, expected[range(len(action)), action], rtol=1e-5)


def test_the_ratio_is_1_where_nothing_has_moved(learner, batch):
    found = tf.function(learner.objective, autograph=False)(learner.meta.read(), batch)
    mask = batch.query.extra["trial"].mask
    expected = -tf.reduce_sum(batch.query.weight * mask, [1, 2]) / tf.reduce_sum(mask, [1, 2])
    np.testing.assert_allclose(found.loss, expected, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(found.kl, 0, atol=1e-6)


def test_a_trial_begins_with_nothing_whatever_was_before(learner, population):
    """A task that was adapted to leaves no trace in the next trial of the same learner."""
    meta, task = learner.meta.read(), nest.map(lambda x: x[:2], population.test)

    @tf.function(autograph=False)
    def trial(fast, key):
        trajectory = learner.play_in_a_row(meta, fast, task, key, 2)
        return trajectory, learner.adapt(meta, fast, learner.experience(meta, fast, trajectory))

    start = lambda: learner.start(meta, 2)
    first, fast = trial(start(), keys.from_int(0))
    trial(fast, keys.from_int(1))
    again, _ = trial(start(), keys.from_int(0))
    nest.map(np.testing.assert_array_equal, first, again)
    assert not np.any(first.info[:, 0, 0])
    assert np.any(fast.memory["hidden"] != 0) and np.all(fast.memory["last"][:, -1] == 1)
    assert all(not np.any(x) for x in tf.nest.flatten(start().memory))
    other, _ = trial(fast, keys.from_int(0))
    assert np.abs(other.log_prob[:, 0, 0] - first.log_prob[:, 0, 0]).max() > 1e-4


def test_to_adapt_is_to_remember_what_a_rollout_ends_with(learner, batch):
    """By the cell in NumPy, after the last step that was played."""
    meta, query = learner.meta.read(), batch.query
    fast = learner.start(meta, TASKS * TRIALS)
    memory = learner.adapt(meta, fast, query).memory
    for row in range(TASKS * TRIALS):
        observed, action, reward, ended, _ = lived(query.trajectory, row)
        last = np.concatenate([np.eye(ARMS)[action], reward[:, None], ended[:, None]], axis=1)
        told = np.concatenate([np.zeros([1, ARMS + 2]), last[:-1]])
        _, hidden = gru(meta["params"], np.concatenate([observed, told], axis=1))
        np.testing.assert_allclose(memory["hidden"][row], hidden[-1], rtol=1e-4, atol=1e-6)
        np.testing.assert_array_equal(memory["last"][row], last[-1])


def by_hand(reward, value, discount, decay):
    """Generalised advantages of one trial, from the end on."""
    found, ahead = np.zeros(len(reward)), 0.0
    for t in reversed(range(len(reward))):
        after = value[t + 1] if t + 1 < len(value) else 0
        ahead = reward[t] + discount * after - value[t] + discount * decay * ahead
        found[t] = ahead
    return found


@pytest.mark.parametrize("baseline", ["none", "time_step_mean", "batch_mean"])
@pytest.mark.parametrize("decay", [1.0, 0.3])
def test_advantages_go_on_across_the_ends_of_episodes(baseline, decay, plain, batch):
    """Rewards of later episodes count; a scale for all trials, a baseline of each task's."""
    settings = {"baseline": baseline, "gae_lambda": decay, "discount": 0.9}
    loss = plain(advantage=settings).loss
    trial = batch.query.extra["trial"]
    lengths = trial.mask[:, 0].numpy().sum(axis=-1).astype(int)
    reward = trial.reward[:, 0].numpy().astype(float)
    to_go = np.zeros_like(reward)
    for row, length in enumerate(lengths):
        to_go[row, :length] = by_hand(reward[row, :length], np.zeros(length), 0.9, 1.0)
    value = np.zeros_like(reward)
    for task in range(TASKS):
        rows = slice(task * TRIALS, (task + 1) * TRIALS)
        mask = trial.mask[rows, 0].numpy()
        if baseline == "time_step_mean":
            total = (to_go[rows] * mask).sum(axis=0) / np.maximum(mask.sum(axis=0), 1)
            value[rows] = total
        elif baseline == "batch_mean":
            value[rows] = (to_go[rows] * mask).sum() / mask.sum()
    expected = np.zeros_like(reward)
    for row, n in enumerate(lengths):
        expected[row, :n] = by_hand(reward[row, :n], value[row, :n], 0.9, decay)
    valid = trial.mask[:, 0].numpy() > 0
    if baseline != "none":
        expected[valid] -= expected[valid].mean()
    expected[valid] /= np.sqrt(np.mean(expected[valid] ** 2))
    found = loss.query_experience({}, acting(plain(), TASKS * TRIALS), batch.query.trajectory)
    np.testing.assert_allclose(found.weight[:, 0], expected, rtol=1e-4, atol=1e-5)


def acting(learner, rows):
    meta = learner.meta.read()
    return learner.acting(meta, learner.start(meta, rows))


def test_a_recurrent_baseline_takes_the_place_of_values(learner, family, batch):
    """What it is to say are generalised advantages and what it said; it comes nearer to them."""
    settings = {"baseline": "recurrent", "gae_lambda": 0.3, "discount": 0.9, "normalize": False}
    config = learners.RL2.Config(**SIZES, advantage=settings, critic_learning_rate=0.05)
    own = learners.RL2(family, learner.policy, config)
    meta, trial = own.meta.read(), batch.query.extra["trial"]
    trajectory = batch.query.trajectory

    @tf.function(autograph=False)
    def found(meta):
        query = own.query_experience(meta, own.start(meta, TASKS * TRIALS), trajectory)
        return own.loss.values(meta["critic"], trial), query

    value, query = found(meta)
    for row in range(TASKS * TRIALS):
        n = int(trial.mask[row, 0].numpy().sum())
        seen = tf.concat([trial.observation, trial.info], axis=-1)[row, 0, :n]
        *cell, kernel, bias, _ = meta["critic"]
        outputs, _ = gru([*cell, kernel, bias], seen)
        to_come = (1 - 0.9 ** np.arange(n, 0, -1)) / (1 - 0.9)
        np.testing.assert_allclose(value[row, 0, :n], outputs[:, 0] * to_come, rtol=1e-4, atol=1e-5)
        reward, said = trial.reward[row, 0, :n].numpy(), value[row, 0, :n].numpy()
        expected = by_hand(reward, said, 0.9, 0.3)
        np.testing.assert_allclose(query.weight[row, 0, :n], expected, rtol=1e-4, atol=1e-5)
        target = query.extra["target"][row, 0, :n]
        np.testing.assert_allclose(target, expected + said, rtol=1e-4, atol=1e-5)


def test_the_gradient_of_a_recurrent_baseline_is_scaled_as_that_of_the_policy(learner, family):
    settings = {"advantage": {"baseline": "recurrent"}, "critic_steps": 1}
    moments = {}
    for clip in (0.0, 1e-3):
        outer = {"steps": 2, "max_grad_norm": clip}
        own = learners.RL2(
            family, learner.policy, learners.RL2.Config(**SIZES, **settings, outer=outer)
        )
        training.train_iteration(own, family.population(0, 5), 0)
        moments[clip] = tf.linalg.global_norm(
            tf.nest.flatten(own.state["critic_slots"].read()["m"])
        )
    assert moments[0.0] > 1e-3
    np.testing.assert_allclose(moments[1e-3], 1e-4, rtol=1e-4)  # a tenth of the gradient


def test_entropy_counts_beside_the_loss(plain, batch):
    query, rows = batch.query, TASKS * TRIALS
    without, with_it = plain(), plain(entropy_weight=0.5)
    params = acting(without, rows)
    before, after = (x.loss.surrogate({}, params, query) for x in (without, with_it))
    entropy = tf.reshape(before.distribution.entropy(), query.extra["trial"].mask.shape)
    mask = query.extra["trial"].mask
    mean = tf.reduce_sum(entropy * mask, [1, 2]) / tf.reduce_sum(mask, [1, 2])
    np.testing.assert_allclose(before.loss - after.loss, 0.5 * mean, rtol=1e-4)


@pytest.mark.parametrize("settings", [{}, {"entropy_weight": 0.3}, {"truncation": 50}])
def test_the_outer_gradient_agrees_with_central_differences(settings, plain, population):
    own = plain(**settings)
    assert error_of_gradient(own, collected(own, population)) < 1e-6


def test_a_truncated_gradient_is_that_of_pieces_that_begin_with_numbers(plain, batch):
    """The same loss; and of pieces of one step, no weight of the memory gets a gradient of it."""
    query, rows = batch.query, TASKS * TRIALS
    found = {}
    for steps in (0, 1, 5, 50):
        own = plain(truncation=steps)
        params = nest.map(tf.identity, acting(own, rows))
        with tf.GradientTape() as tape:
            tape.watch(params["policy"])
            loss = tf.reduce_sum(own.loss.surrogate({}, params, query).loss)
        found[steps] = loss, tape.gradient(loss, params["policy"])
    for steps in (1, 5, 50):
        np.testing.assert_allclose(found[steps][0], found[0][0], rtol=1e-5)
    same = lambda a, b: all(np.allclose(x, y, rtol=1e-4, atol=1e-6) for x, y in zip(a, b))
    assert same(found[50][1], found[0][1])
    assert not same(found[5][1], found[0][1]) and not same(found[1][1], found[5][1])
    # By hand: what was hidden before each step is a number.
    own = plain()
    params, trial = acting(own, rows), query.extra["trial"]
    seen = tf.concat([trial.observation, trial.info], axis=-1)
    weights = own.policy.policy
    memory, before = weights.initial_memory(params["policy"], 1), []
    memory = tf.zeros([1, rows, memory.shape[-1]])
    for t in range(seen.shape[2]):
        before.append(memory)
        memory = weights.act(params["policy"], seen[None, :, 0, t], memory)[1]
    with tf.GradientTape() as tape:
        tape.watch(params["policy"])
        each = []
        for t, memory in enumerate(before):
            distribution, _ = weights.act(params["policy"], seen[None, :, 0, t], memory)
            each.append(distribution.log_prob(trial.action[None, :, 0, t])[0])
        ratio = tf.exp(tf.stack(each, axis=1)[:, None] - trial.log_prob)
        clipped = tf.clip_by_value(ratio, 0.8, 1.2)
        step = tf.minimum(ratio * query.weight, clipped * query.weight) * trial.mask
        loss = -tf.reduce_sum(tf.reduce_sum(step, [1, 2]) / tf.reduce_sum(trial.mask, [1, 2]))
    assert same(tape.gradient(loss, params["policy"]), found[1][1])


@pytest.mark.slow
@pytest.mark.parametrize(
    "settings",
    [
        {"advantage": {"baseline": "recurrent"}, "cell": "lstm"},
        {"outer": {"optimizer": "trpo", "cg_iterations": 2}},
        {"outer": {"steps": 6, "minibatches": 3}, "truncation": 3, "entropy_weight": 0.01},
    ],
)
def test_it_trains_adapts_and_resumes(settings, family, population, tmp_path):
    own = learners.RL2(family, config=learners.RL2.Config(**SIZES, **settings))
    history = assert_resumes(own, population, tmp_path)
    assert {"return_before", "return_1", "return_after", "kl"} <= set(history[0])
    assert set(history[0]) - {"bad_update"} <= set(own.metrics)
    found = tfcaml.evaluate(own, population.test, num_updates=2, num_episodes=4)
    assert found.returns.shape == (3, 5, 4)


@pytest.mark.slow
def test_actions_may_be_numbers_and_observations_dicts():
    """And episodes in a row on a new task are remembered like updates of one episode each."""

    class Named(environments.Navigation):
        observation_spec = property(
            lambda self: {"place": tf.TensorSpec([2]), "clock": tf.TensorSpec([1], tf.int32)},
            lambda self, _: None,
        )

        def reset(self, task, key):
            state, seen = super().reset(task, key)
            return state, {"place": seen, "clock": tf.zeros([*seen.shape[:2], 1], tf.int32)}

        def step(self, task, state, action, noise):
            state, seen, reward, ended = super().step(task, state, action, noise)
            clock = tf.ones([*seen.shape[:2], 1], tf.int32)
            return state, {"place": seen, "clock": clock}, reward, ended

    family = Named(environments.NavigationConfig(horizon=3))
    own = learners.RL2(family, config=learners.RL2.Config(**SIZES, test_episodes_per_update=2))
    population = family.population(0, 2)
    assert np.isfinite(tfcaml.train(own, population)[-1]["loss_before"])
    meta, task = own.meta.read(), population.test

    @tf.function(autograph=False)
    def remembered():
        fast = own.start(meta, 2)
        support = own.test_support(meta, fast, task, keys.from_int(3))
        at_once = own.adapt(meta, fast, support)
        for episode in range(2):
            one = nest.map(lambda x: x[:, episode : episode + 1], support)
            fast = own.adapt(meta, fast, one)
        return at_once.memory, fast.memory

    for left, right in zip(*map(tf.nest.flatten, remembered())):
        np.testing.assert_allclose(left, right, rtol=1e-5, atol=1e-6)


class OneOfTwo(Bandit):
    """One of two arms always pays and the other never: a single pull tells."""

    def step(self, task, state, action, noise):
        best = tf.argmax(task["p"], axis=1, output_type=tf.int32)[:, None]
        reward = tf.cast(action == best, tf.float32)
        return state, state, reward, tf.zeros(action.shape, tf.bool)


@pytest.mark.slow
def test_it_learns_to_explore_and_to_remember():
    """From chance, 1.5 of 3 in each episode, towards one mistake in every other trial."""
    family = OneOfTwo(BanditConfig(num_arms=2, horizon=3))
    sizes = {"num_iterations": 20, "meta_batch_size": 20, "trials_per_task": 20, "units": 16}
    own = learners.RL2(family, config=learners.RL2.Config(**sizes, outer={"learning_rate": 0.02}))
    population = family.population(0)
    history = tfcaml.train(own, population)
    assert abs(history[0]["return_before"] - 1.5) < 0.2
    found = tfcaml.evaluate(own, population.test, num_updates=1, num_episodes=20)
    first, second = found.returns.mean(axis=(1, 2))
    assert first > 2.2 and second > 2.8


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"inner_learning_rate": 0.5}, "inner_learning_rate to be left at"),
        ({"inner_updates": 1}, "inner_updates to be 0: none is trained"),
        ({"trials_per_task": 0}, "trials_per_task to be >= 1"),
        ({"truncation": -1}, "truncation to be >= 0"),
        ({"critic_steps": 3}, "critic_steps to be left at 5"),
        ({"advantage": {"baseline": "recurrent", "return_type": "whole_return"}}, "reward_to_go"),
        ({"outer": {"minibatches": 3, "steps": 6}, "trials_per_task": 4}, "a divisor of 80"),
    ],
)
def test_settings_that_cannot_be_are_refused(settings, message):
    with pytest.raises(ConfigError, match=message):
        learners.RL2.Config(**settings)


def test_policies_and_trials_that_cannot_be_are_refused(family):
    config = learners.RL2.Config(**{**SIZES, "trials_per_task": 1})
    with pytest.raises(ConfigError, match="trials_per_task to be >= 2 with baseline=time_step"):
        learners.RL2(family, config=config)
    specs = family.observation_spec, family.action_spec
    within = rnn_policy(with_last_step(*specs), family.action_spec, units=2)
    config = learners.RL2.Config(**SIZES)
    with pytest.raises(ConfigError, match=r"a TrialPolicy of truncation=0; received policy=.*of 4"):
        learners.RL2(family, TrialPolicy(within, family.observation_spec, 4), config)
    with pytest.raises(ConfigError, match="one with memory"):
        policy = tfcaml.policies.mlp_policy(with_last_step(*specs), family.action_spec, (2,))
        TrialPolicy(policy, family.observation_spec)
    with pytest.raises(ConfigError, match="cell to be one of"):
        rnn_policy(with_last_step(*specs), family.action_spec, "rnn")
    assert issubclass(learners.RL2.Loss, TrialLoss)


@pytest.mark.slow
def test_under_a_driver_a_trial_goes_on_from_episode_to_episode(learner, batch):
    """Time step by time step, the ends included, with the log-probabilities of the trial."""
    policy, played = AdaptedPolicy.of(learner), batch.query.trajectory
    tell = tf.function(policy.distribution, autograph=False)
    act = tf.function(policy.action, autograph=False)
    state, found = policy.get_initial_state(1), []
    for episode in range(EPISODES):
        length = int(played.mask[0, episode].numpy().sum())
        for t in range(length + 1):
            observation = played.observation[0, episode, t : t + 1]
            kind, reward = ts.StepType.MID, played.reward[0, episode, t - 1 : t]
            if t == 0:
                kind, reward = ts.StepType.FIRST, tf.zeros([1])
            elif t == length:
                kind, observation = ts.StepType.LAST, played.final_observation[0, episode][None]
            now = ts.TimeStep(tf.constant([int(kind)]), reward, tf.ones([1]), observation)
            action = tf.constant([0])  # at an end, where it does not count
            if t < length:
                action = played.action[0, episode, t : t + 1]
                found.append(tell(now, state).action.log_prob(action)[0])
            state = act(now, state).state
            state["episode"]["action"] = action
    np.testing.assert_allclose(found, lived(played, 0)[-1], rtol=1e-5)
