"""MLSH: what both levels learn from, whose turn it is, and that lives begin when they are due."""

import numpy as np
import pytest
import tensorflow as tf
from tf_agents.specs import tensor_spec

import tfcaml
from tests.eager import PlainActorCritic
from tests.learners.checks import assert_resumes
from tfcaml import environments, evaluation, keys, learners, nest, settings
from tfcaml.errors import ConfigError
from tfcaml.learners import mlsh
from tfcaml.policies.normalized import NormalizedPolicy
from tfcaml.policies.two_level import TwoLevelPolicy
from tfcaml.types import episode_return

OPTIONS, PERIOD, STEPS, TASKS = 2, 4, 10, 4
SIZES = {
    "num_iterations": 3,
    "meta_batch_size": TASKS,
    "inner_updates": 3,
    "warm_up": 2,
    "episodes_per_update": 3,
    "num_options": OPTIONS,
    "period": PERIOD,
    "master_steps": 2,
    "sub_steps": 2,
    "sub_learning_rate": 0.05,
}


@pytest.fixture(scope="module")
def family():
    return environments.Particle(environments.ParticleConfig(horizon=STEPS))


def made(family, **changes):
    config = learners.MLSH.Config(**{**SIZES, **changes})
    options = tensor_spec.BoundedTensorSpec([], tf.int32, 0, OPTIONS - 1)
    level = lambda actions: NormalizedPolicy(PlainActorCritic(family.observation_spec, actions))
    policy = TwoLevelPolicy(level(options), level(family.action_spec), PERIOD)
    return learners.MLSH(family, policy, config, jit_compile=False)


@pytest.fixture(scope="module")
def learner(family):
    return made(family)


@pytest.fixture(scope="module")
def played(learner, family):
    """(meta, `FastState`, `Experience`)."""
    task, meta = family.population(0, TASKS).test, learner.meta.read()

    @tf.function(autograph=False)
    def play():
        fast = learner.start(meta, TASKS, keys.per_task(keys.from_int(0), TASKS))
        return fast, learner.support(meta, fast, task, keys.from_int(1), 3)

    return meta, *play()


def test_rewards_of_the_masters_steps_are_those_of_the_episode(played):
    """Also where a period does not divide the episode, and where that ends early."""
    trajectory = played[2].trajectory
    macro = mlsh.macro_steps(trajectory, PERIOD)
    assert macro.reward.shape == [TASKS, 3, 3]  # of 4, 4 and 2 steps
    np.testing.assert_allclose(
        tf.reduce_sum(macro.reward, -1), episode_return(trajectory), rtol=1e-5
    )
    reward = trajectory.reward.numpy()
    np.testing.assert_allclose(macro.reward[..., 1], reward[..., 4:8].sum(-1), rtol=1e-5)
    np.testing.assert_allclose(macro.reward[..., 2], reward[..., 8:].sum(-1), rtol=1e-5)
    np.testing.assert_array_equal(macro.mask, trajectory.mask[:, :, ::PERIOD])
    np.testing.assert_array_equal(macro.action, trajectory.info["option"][:, :, ::PERIOD])
    np.testing.assert_array_equal(macro.observation, trajectory.observation[:, :, ::PERIOD])
    ended = tf.reduce_max(trajectory.terminated, -1)
    np.testing.assert_array_equal(tf.reduce_max(macro.terminated, -1), ended)


def test_a_period_beyond_the_episode_is_one_step(played):
    trajectory = played[2].trajectory
    macro = mlsh.macro_steps(trajectory, 10**9)
    assert macro.reward.shape == [TASKS, 3, 1]
    np.testing.assert_allclose(macro.reward[..., 0], episode_return(trajectory), rtol=1e-5)


@pytest.mark.parametrize("field", ["num_options", "meta_batch_size", "episodes_per_update"])
def test_sizes_that_no_memory_holds_are_refused(family, field):
    config = learners.MLSH.Config(**{**SIZES, field: 10**6})
    measured = {"num_tasks": 2, "episodes": 2}
    with pytest.raises(ConfigError, match="to be so small that mlsh holds at most"):
        settings.check_sizes("mlsh", config, family, (32, 32), measured)
    settings.check_sizes("mlsh", learners.MLSH.Config(**SIZES), family, (32, 32), measured)


def test_each_step_trains_one_sub_policy(learner, played):
    """Of the lives that count, and no step of the others."""
    meta, _, support = played
    trajectory = support.trajectory
    joint = np.array([1.0, 0.0, 1.0, 1.0], np.float32)
    below = learner.credited(meta["sub"], trajectory, tf.constant(joint)).trajectory
    mask = tf.reshape(below.mask, [OPTIONS, *trajectory.mask.shape]).numpy()
    counts = trajectory.mask.numpy() * joint[:, None, None]
    np.testing.assert_array_equal(mask.sum(axis=0), counts)
    for k in range(OPTIONS):
        own = (trajectory.info["option"].numpy() == k) * counts
        np.testing.assert_array_equal(mask[k], own)


def cut_short(trajectory):
    """The same with episodes of 1 to 10 steps, of which every second is terminated, not cut."""
    length = np.random.default_rng(0).integers(1, STEPS + 1, trajectory.mask.shape[:2])
    time = np.arange(STEPS)
    over = (np.arange(length.size).reshape(length.shape) % 2)[..., None]
    ended = (time == length[..., None] - 1) * over
    mask = tf.constant(time < length[..., None], tf.float32)
    reward = trajectory.reward * mask
    return trajectory._replace(mask=mask, reward=reward, terminated=tf.constant(ended, tf.float32))


def test_the_masters_steps_end_with_the_episode(played):
    """Those that would begin after it do not count, and its rewards are all in those before."""
    trajectory = cut_short(played[2].trajectory)
    macro = mlsh.macro_steps(trajectory, PERIOD)
    length = trajectory.mask.numpy().sum(-1)
    np.testing.assert_array_equal(macro.mask.numpy().sum(-1), np.ceil(length / PERIOD))
    returns = tf.reduce_sum(macro.reward * macro.mask, -1)
    np.testing.assert_allclose(returns, episode_return(trajectory), rtol=1e-5)
    ended = (macro.terminated * macro.mask).numpy().sum(-1)
    np.testing.assert_array_equal(ended, trajectory.terminated.numpy().max(-1))


@pytest.mark.parametrize("early", [False, True])
def test_steps_are_credited_by_the_sub_policy_that_acted(learner, played, early):
    """Advantages by hand, with the value that the acting sub-policy gives to each state."""
    meta, _, support = played
    trajectory, config = support.trajectory, learner.config.advantage
    if early:
        trajectory = cut_short(trajectory)
    found = learner.credited(meta["sub"], trajectory, tf.ones([TASKS]))
    option = trajectory.info["option"].numpy()
    mask, reward = trajectory.mask.numpy(), trajectory.reward.numpy()
    each = []
    for k in range(OPTIONS):
        sub = {"policy": meta["sub"]["policy"], "seen": found.extra["seen"]}
        rows = nest.map(lambda w, k=k: tf.repeat(w[k : k + 1], TASKS, axis=0), sub)
        each.append([x.numpy() for x in learner.policy.sub.value(rows, trajectory)])
    value = np.choose(option, [v for v, _ in each])
    advantage = np.zeros_like(value)
    for task, episode in np.ndindex(mask.shape[:2]):
        at, later = (task, episode), 0.0
        last = int(mask[at].sum()) - 1
        after = each[option[at][last]][1][at] * (1 - trajectory.terminated.numpy()[at][last])
        for t in range(last, -1, -1):
            error = reward[at][t] + config.discount * after - value[at][t]
            later = error + config.discount * config.gae_lambda * later
            advantage[at][t], after = later, value[at][t]
    valid = mask.reshape([1, -1, STEPS]) > 0
    rows = lambda x: np.broadcast_to(x.reshape([1, -1, STEPS]), found.weight.shape)
    valid = np.broadcast_to(valid, found.weight.shape)
    target = rows(value + advantage)[valid]
    np.testing.assert_allclose(found.extra["target"].numpy()[valid], target, rtol=1e-4, atol=1e-4)
    count = mask.sum((1, 2), keepdims=True)
    mean = (advantage * mask).sum((1, 2), keepdims=True) / count
    spread = np.sqrt((((advantage - mean) * mask) ** 2).sum((1, 2), keepdims=True) / count)
    standard = rows((advantage - mean) / spread)[valid]
    np.testing.assert_allclose(found.weight.numpy()[valid], standard, rtol=1e-3, atol=1e-3)


def test_no_gradient_goes_from_one_level_to_the_other(learner, played):
    """To adapt moves the master alone; a step of the sub-policies leaves it as it is."""
    meta, fast, support = played
    after = learner.adapt(meta, fast, support)
    assert np.any(after.params["actor"][0] != fast.params["actor"][0])
    nest.map(
        np.testing.assert_array_equal,
        learner.acting(meta, after)["sub"],
        learner.acting(meta, fast)["sub"],
    )
    slots = learner.sub_optimizer.init(meta["sub"]["policy"])
    sub, _ = learner.adapt_shared(meta["sub"], slots, support.trajectory, tf.ones([TASKS]))
    assert all(np.any(x != y) for x, y in zip(*map(tf.nest.flatten, (sub, meta["sub"]))))


def test_what_a_level_has_seen_is_what_it_decided_on(learner, played):
    """A master's states of choices, and a sub-policy's states in which it acted."""
    meta, fast, support = played
    trajectory = support.trajectory
    seen = learner.adapt(meta, fast, support).memory["seen"]
    choices = trajectory.observation.numpy()[:, :, ::PERIOD]
    np.testing.assert_array_equal(seen["count"], [choices[0, ..., 0].size] * TASKS)
    np.testing.assert_allclose(seen["mean"], choices.mean(axis=(1, 2)), rtol=1e-4, atol=1e-5)
    slots = learner.sub_optimizer.init(meta["sub"]["policy"])
    sub, _ = learner.adapt_shared(meta["sub"], slots, trajectory, tf.ones([TASKS]))
    for k in range(OPTIONS):
        own = trajectory.observation[(trajectory.info["option"] == k) & (trajectory.mask > 0)]
        assert sub["seen"]["count"][k] == len(own)
        mean, square = np.mean(own, axis=0), np.mean(own**2, axis=0)
        np.testing.assert_allclose(sub["seen"]["mean"][k], mean, rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(sub["seen"]["square"][k], square, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("groups", [1, 2])
def test_sub_policies_see_no_step_of_a_warm_up(family, groups):
    """Each life passes through its joint updates once in an iteration."""
    learner = made(family, groups=groups, warm_up=1, num_iterations=1)
    tfcaml.train(learner, family.population(0))
    count = np.sum(learner.meta.read()["sub"]["seen"]["count"])
    assert count == TASKS * 2 * SIZES["episodes_per_update"] * STEPS


def test_the_sub_policies_learn_from_lives_past_their_warm_up_alone(learner, played):
    meta, _, support = played
    slots = learner.sub_optimizer.init(meta["sub"]["policy"])
    step = lambda trajectory, joint: learner.adapt_shared(
        meta["sub"], slots, trajectory, tf.constant(joint)
    )[0]
    some = step(support.trajectory, [1.0, 0.0, 1.0, 0.0])
    rows = nest.map(lambda x: tf.gather(x, [0, 2]), support.trajectory)
    alone = step(rows, [1.0, 1.0])
    nest.map(lambda x, y: np.testing.assert_allclose(x, y, rtol=1e-4, atol=1e-6), some, alone)


def test_usage_counts_choices_and_not_steps(played):
    trajectory = played[2].trajectory
    chosen = trajectory.info["option"].numpy()[:, :, ::PERIOD]
    made_choices = trajectory.mask.numpy()[:, :, ::PERIOD] > 0
    for task, shares in enumerate(mlsh.usage(trajectory, OPTIONS).numpy()):
        counts = np.bincount(chosen[task][made_choices[task]], minlength=OPTIONS)
        np.testing.assert_allclose(shares, counts / counts.sum(), rtol=1e-6)


def test_measures_of_collapse(learner, played):
    """0 of sub-policies that are alike, 1 of those that never do the same."""
    meta, _, support = played
    same = nest.map(lambda x: tf.repeat(x[:1], OPTIONS, axis=0), meta["sub"])
    np.testing.assert_allclose(learner.apart(same, support.trajectory), 0, atol=1e-6)
    *layers, bias = same["policy"]["actor"]
    actions = bias.shape[-1]
    sure = 1e4 * tf.one_hot(range(OPTIONS), actions)
    opposed = {**same, "policy": {**same["policy"], "actor": (*layers, bias + sure)}}
    np.testing.assert_allclose(learner.apart(opposed, support.trajectory), 1, rtol=1e-5)


@pytest.mark.parametrize("groups, ages", [(1, [0, 0, 0, 0]), (2, [0, 1, 0, 1]), (4, [0, 0, 1, 2])])
def test_groups_are_evenly_apart(family, groups, ages):
    life = made(family, groups=groups).state["life"].read()
    np.testing.assert_array_equal(life["age"], ages)
    assert not life["born"].numpy().any()


def test_lives_that_are_due_begin_anew_in_a_new_task(family):
    """A group of four iterations' updates keeps its task until its life is over."""
    learner = made(family, groups=2, num_iterations=2)
    population = family.population(0, 2)
    drawn = []
    told = lambda learner, *_: drawn.append(learner.state["life"].read()["task"])
    tfcaml.train(learner, population, callback=told)
    life = learner.state["life"].read()
    assert life["born"].numpy().all()
    np.testing.assert_array_equal(life["age"], [0, 1, 0, 1])
    # A master has seen what there was to choose since it was born, in updates of 3 x 3 choices.
    np.testing.assert_array_equal(life["fast"].memory["seen"]["count"], [27, 9, 27, 9])
    learner.iteration.assign(1)
    task, *_ = tfcaml.training.draw(learner, population, 0)
    nest.map(np.testing.assert_array_equal, drawn[1], task)
    assert any(np.any(x != y) for x, y in zip(*map(tf.nest.flatten, drawn)))


def test_a_resumed_run_is_the_uninterrupted_one(family, tmp_path):
    assert_resumes(made(family, groups=2), family.population(0), tmp_path)


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"warm_up": 3}, "warm_up to be from 0 to inner_updates - 1 = 2"),
        ({"groups": 3}, "groups to be a divisor of meta_batch_size = 4"),
        ({"period": 5}, "period of the policy to be 5, as of the config"),
        ({"random_choices": 1.0}, r"random_choices to be in \[0, 1\)"),
    ],
)
def test_settings_that_do_not_fit_are_refused(family, changes, message):
    with pytest.raises(ConfigError, match=message):
        made(family, **changes)


@pytest.mark.slow
def test_it_learns_moving_bandits():
    """With frozen sub-policies an adapted master goes to the right goal, not to either (22.9)."""
    family = environments.MovingBandits()
    learner = learners.MLSH(family, config=learners.MLSH.Config(num_iterations=40), seed=104)
    population = family.population(0, 2)
    tfcaml.train(learner, population, seed=104)
    found = evaluation.evaluate(learner, population.test, num_updates=10, num_episodes=50)
    returns = found.returns.mean(axis=(1, 2))
    assert returns[10] > 38 > 30 > returns[0]
