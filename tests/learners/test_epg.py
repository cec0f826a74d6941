"""Evolved policy gradients: a life by hand, where gradients go, and that evolution learns."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

import tfcaml
from tests.eager import PlainActorCritic, PlainPolicy, eagerly
from tests.learners.checks import assert_resumes, collected
from tfcaml import environments, keys, learners, nest
from tfcaml.agents.export import export
from tfcaml.environments import (
    DiscountingChain,
    DiscountingChainConfig,
    TurnedPoint,
    TurnedPointConfig,
)
from tfcaml.errors import ConfigError
from tfcaml.types import FastState, Trajectory

ROWS, EPISODES, STEPS = 3, 2, 5
SIZES = {
    "num_iterations": 3,
    "meta_batch_size": 2,
    "inner_updates": 2,
    "episodes_per_update": EPISODES,
    "buffer_updates": 3,
    "memory": 4,
    "inner_learning_rate": 0.05,
    "outer": {"optimizer": "evolution_strategy", "population": 4, "learning_rate": 0.05},
}
# What a step has: place, action; reward, played, ended; what the policy would do; memory.
PLACE, ACTION, WOULD, MEMORY = slice(0, 2), slice(2, 4), slice(7, 11), slice(11, 15)


@pytest.fixture(scope="module")
def family():
    return TurnedPoint(TurnedPointConfig(horizon=STEPS))


def made(family, kind=learners.EPG, loss_seed=0, **settings):
    config = kind.Config(**{**(SIZES if kind is learners.EPG else {}), **settings})
    policy = PlainActorCritic(family.observation_spec, family.action_spec)
    return kind(family, policy, config, seed=loss_seed, jit_compile=False)


@pytest.fixture(scope="module")
def learner(family):
    return made(family)


def double(tree):
    return nest.map(lambda x: tf.cast(x, tf.float64) if x.dtype.is_floating else x, tree)


def trajectory(seed, rows=ROWS, dtype=tf.float32):
    """Random episodes, the first of which ends after three steps."""
    rng = np.random.default_rng(seed)
    normal = lambda *shape: tf.constant(rng.normal(size=[rows, EPISODES, *shape]), dtype)
    mask = np.ones([rows, EPISODES, STEPS])
    mask[:, 0, 3:] = 0
    ends = np.zeros_like(mask)
    ends[:, 0, 2] = 1
    mask = tf.constant(mask, dtype)
    return Trajectory(
        normal(STEPS, 2), normal(STEPS, 2), normal(STEPS) * mask, mask, normal(STEPS),
        tf.constant(ends, dtype), normal(2),
    )  # fmt: skip


def born(learner, alpha=0.0, rows=ROWS, seed=5):
    key = keys.per_task(keys.from_int(seed), rows)
    phi = nest.stack([learner.network.init(i) for i in range(rows)])
    return learner.born(learner._pool, phi, tf.fill([rows], alpha), key, EPISODES)


def lived(learner, fast, seeds, dtype=tf.float32):
    """The `FastState` after updates on random episodes."""
    for seed in seeds:
        support = learner.experience({}, fast, trajectory(seed, dtype=dtype))
        fast = learner.adapt({}, fast, support)
    return fast


# The loss.


def test_its_size_for_hopper_is_that_of_the_paper():
    """9,857 weights, and convolutions of 512, 102 and 50 steps."""
    pytest.importorskip("mujoco")
    family = environments.RandomHopper()
    config = learners.EPG.Config(episodes_per_update=1, unroll=64)
    policy = PlainActorCritic(family.observation_spec, family.action_spec)
    learner = learners.EPG(family, policy, config)
    assert nest.ravel(learner.meta.read())[0].shape == [9857]
    assert learner.network.lengths == [512, 102, 50]


def by_hand(learner, fast, seen, number):
    """L_phi of the first row by loops: `seen` are the trajectories of its life, the latest last."""
    memory, row = fast.memory, 0
    numbers = lambda x: np.asarray(x, np.float64)
    flat = lambda x: numbers(x)[row].reshape([EPISODES * STEPS, -1])
    parts = [
        np.concatenate(
            [flat(x) for x in (t.observation, t.action, t.reward, t.mask, t.terminated)], 1
        )
        for t in seen
    ]
    played = np.concatenate([part[part[:, 5] > 0] for part in parts])[:, :4]
    held = 3 * EPISODES * STEPS
    buffer = np.concatenate([np.zeros([held, 7]), *parts])[-held:]
    distribution = learner.policy(fast.params["policy"], memory["buffer"]["observation"])
    would = np.concatenate(
        [numbers(distribution.mean())[row], np.log(numbers(distribution.stddev())[row])], 1
    )
    scale = np.sqrt(np.maximum(played.var(axis=0), 0.01))
    unit = fast.params["memory"]
    remembered = np.tanh(np.ones(64) @ numbers(unit["kernel"])[row] + numbers(unit["bias"])[row])
    remembered = np.tile(remembered, [held, 1])
    x = np.concatenate(
        [(buffer[:, :4] - played.mean(axis=0)) / scale, buffer[:, 4:], would, remembered], 1
    )
    x *= buffer[:, 5:6]
    phi = nest.map(lambda w: numbers(w)[row], memory["loss"])
    leaky = lambda z: np.where(z > 0, z, 0.2 * z)

    def dense(layer, z):
        return z @ phi[layer]["kernel"] + phi[layer]["bias"]

    def convolved(layer, z, width, stride):
        windows = [z[i : i + width].ravel() for i in range(0, len(z) - width + 1, stride)]
        return leaky(dense(layer, np.array(windows)))

    mean = convolved("second", convolved("first", x, 6, 5), 4, 2).mean(axis=0)
    context = dense("context", mean)
    parts = learner.config.minibatches
    total, count = 0.0, 0
    for step in range(number, held, parts):
        if buffer[step, 5]:
            hidden = leaky(dense("hidden", np.concatenate([x[step], context])))
            total += dense("loss", hidden)[0]
            count += 1
    return total / count


@pytest.mark.parametrize("updates", [1, 4])
def test_the_loss_of_a_life_by_hand(learner, updates):
    """With a buffer that is not yet full, and one that has dropped its oldest steps."""
    seeds = range(updates)
    fast = lived(learner, born(learner), seeds)
    for number in range(learner.config.minibatches):
        found = learner.learned_loss(fast.memory, fast.params, number)
        expected = by_hand(learner, fast, [trajectory(seed) for seed in seeds], number)
        np.testing.assert_allclose(found[0], expected, rtol=2e-4)


def test_its_gradient_is_that_of_differences(learner):
    """In float64, in the weights of the policy and of the memory unit, by both ways to them."""
    fast = double(lived(learner, born(learner), [0, 1]))
    vector, unravel = nest.ravel(fast.params)

    def loss(vector):
        # What the memory unit says to the context is a constant, which differences don't know.
        return tf.reduce_sum(learner.learned_loss(fast.memory, unravel(vector), 0))

    silent = nest.map(tf.identity, fast.memory["loss"])
    kernel = silent["first"]["kernel"]
    width = learner.network.num_features
    rows = np.ones([6, width])
    rows[:, MEMORY] = 0
    silent["first"]["kernel"] = kernel * tf.constant(rows.reshape([-1, 1]))
    fast = fast._replace(memory={**fast.memory, "loss": silent})
    with tf.GradientTape() as tape:
        tape.watch(vector)
        value = loss(vector)
    gradient = tape.gradient(value, vector).numpy()
    rng = np.random.default_rng(0)
    for _ in range(4):
        direction = rng.normal(size=vector.shape)
        direction /= np.linalg.norm(direction)
        at = lambda step, d=direction: float(loss(vector + step * d))
        truth = (8 * (at(1e-5) - at(-1e-5)) - at(2e-5) + at(-2e-5)) / 12e-5
        assert abs(truth - gradient @ direction) < 1e-6 * np.linalg.norm(gradient)


def gradients(learner, phi_of):
    """Gradients of the learned loss in what is adapted, with weights changed by `phi_of`."""
    fast = lived(learner, born(learner), [0])
    memory = {**fast.memory, "loss": phi_of(nest.map(tf.identity, fast.memory["loss"]))}
    with tf.GradientTape() as tape:
        tape.watch(fast.params)
        loss = learner.learned_loss(memory, fast.params, 0)
    found = tape.gradient(loss, fast.params, unconnected_gradients="zero")
    norm = lambda tree: float(tf.linalg.global_norm(tf.nest.flatten(tree)))
    return norm(found["policy"]["actor"]), norm(found["memory"]), norm(found["policy"]["value"])


def test_gradients_reach_policy_and_memory_but_not_memory_by_the_context(learner):
    """The critic has none, as what states are worth is PPO's alone."""

    def without(part):
        def changed(phi):
            rows = np.ones([phi["hidden"]["kernel"].shape[1], 1], np.float32)
            rows[part] = 0
            phi["hidden"]["kernel"] *= rows
            return phi

        return changed

    policy, memory, critic = gradients(learner, lambda phi: phi)
    assert policy > 0 and memory > 0 and critic == 0
    # The heads of the samples see the context alone: the policy is still seen in it.
    policy, memory, _ = gradients(learner, without(slice(0, learner.network.num_features)))
    assert policy > 0 and memory == 0


def test_rewards_are_not_seen_where_they_are_not_to_be(family):
    """A life with alpha = 0 is the same whatever is paid."""
    for sees in (True, False):
        learner = made(family, sees_reward=sees)
        after = []
        for scale in (1.0, -3.0):
            fast = born(learner)
            paid = trajectory(0)
            paid = paid._replace(reward=scale * paid.reward)
            after.append(learner.adapt({}, fast, learner.experience({}, fast, paid)).params)
        changed = [
            np.any(np.asarray(x) != np.asarray(y))
            for x, y in zip(*map(tf.nest.flatten, (a["policy"]["actor"] for a in after)))
        ]
        assert any(changed) == sees


# Lives.


def test_a_life_with_alpha_1_is_one_of_ppo(family):
    epg, ppo = (
        made(family, memory=0),
        made(family, learners.PPO, episodes_per_update=EPISODES, inner_learning_rate=0.05),
    )
    key = keys.per_task(keys.from_int(5), ROWS)
    task, meta = family.population(0, ROWS).test, epg.meta.read()
    start = epg.start(meta, ROWS, key)
    start.memory["alpha"] = tf.ones([ROWS])
    other = ppo.start({}, ROWS, key)
    with eagerly():
        for update in range(2):
            own = keys.fold(keys.from_int(1), update)
            start = epg.adapt(meta, start, epg.support(meta, start, task, own, EPISODES))
            other = ppo.adapt({}, other, ppo.support({}, other, task, own, EPISODES))
    nest.map(np.testing.assert_array_equal, start.params["policy"], other.params)
    again = epg.start(meta, ROWS, key).params["policy"]
    assert not np.array_equal(again["actor"][0], start.params["policy"]["actor"][0])


def test_policies_are_random_and_follow_from_their_keys(learner):
    meta = learner.meta.read()
    key = keys.per_task(keys.from_int(0), 40)
    first = learner.start(meta, 40, key).params["policy"]["actor"][0].numpy()
    assert len(np.unique(first[:, 0, 0])) > 20
    some = learner.start(meta, 7, key[:7]).params["policy"]["actor"][0]
    np.testing.assert_array_equal(some, first[:7])


def test_segments_go_on_where_the_last_one_ended(family):
    learner = made(family, unroll=2, episodes_per_update=1, buffer_updates=20)
    task, meta = family.population(0, ROWS).test, learner.meta.read()
    fast = learner.start(meta, ROWS, keys.per_task(keys.from_int(0), ROWS))
    places = []
    with eagerly():
        for update in range(4):
            support = learner.support(meta, fast, task, keys.fold(keys.from_int(1), update), 1)
            places.append(support.trajectory)
            fast = learner.adapt(meta, fast, support)
    assert places[0].observation.shape == [ROWS, 1, 2, 2]
    for before, after in ((0, 1), (1, 2)):
        np.testing.assert_array_equal(
            places[after].observation[:, :, 0], places[before].final_observation
        )
    # Episodes have five steps: the third segment has one, and the fourth starts anew.
    np.testing.assert_array_equal(places[2].mask[0, 0], [1, 0])
    distance = np.linalg.norm(places[3].observation[:, 0, 0], axis=-1)
    np.testing.assert_allclose(distance, family.config.distance, rtol=1e-5)


def test_actions_that_are_discrete():
    family = DiscountingChain(DiscountingChainConfig(horizon=30, observation="one_hot"))
    policy = PlainActorCritic(tf.TensorSpec(family.observation_spec.shape), family.action_spec)
    learner = learners.EPG(family, policy, learners.EPG.Config(**SIZES), jit_compile=False)
    seen, acts = family.observation_spec.shape[0], int(family.action_spec.maximum) + 1
    assert learner.network.num_features == seen + 2 * acts + 3 + 4
    with eagerly():
        found = tfcaml.evaluate(learner, family.population(0, 2).test, num_updates=1)
    assert np.isfinite(found.returns).all()


@pytest.mark.parametrize("kind", [learners.EPG, learners.PPO])
def test_one_entity_alone(kind, family):
    """As quick as many, by XLA, and with the networks that users have."""
    config = kind.Config(
        episodes_per_update=EPISODES, **({"buffer_updates": 3} if kind is learners.EPG else {})
    )
    learner = kind(family, kind.make_policy(family, config, (4,)), config, jit_compile=True)
    found = tfcaml.evaluate(learner, family.population(0, 1).test, num_updates=1, num_episodes=2)
    assert np.isfinite(found.returns).all() and found.bad_updates.tolist() == [0]
    assert found.returns[0].tolist() != found.returns[1].tolist()


def test_an_export_is_of_whole_episodes(family, tmp_path):
    """One that would learn from segments is refused in a line."""
    config = learners.EPG.Config(**SIZES, unroll=2)
    policy = learners.EPG.make_policy(family, config, (4,))
    config = dataclasses.replace(config, buffer_updates=10)
    with pytest.raises(ConfigError, match="unroll to be 0 in an export"):
        export(learners.EPG(family, policy, config), tmp_path / "export")


def test_new_entities_have_other_initial_weights_than_training(learner):
    key = keys.per_task(keys.from_int(0), 500)
    kernels = lambda pool: nest.drawn(pool, key)["actor"][0].numpy().reshape([500, -1])
    own, training = (
        {tuple(row) for row in kernels(pool)} for pool in (learner._pool, learner._training_pool)
    )
    assert len(own) == len(training) == 64 and not own & training


def test_a_member_whose_weights_are_not_finite_fails():
    """Also where it is paid all the same, as with discrete actions."""
    family = DiscountingChain(DiscountingChainConfig(horizon=30, observation="one_hot"))
    policy = PlainActorCritic(tf.TensorSpec(family.observation_spec.shape), family.action_spec)
    config = learners.EPG.Config(**{**SIZES, "memory": 0, "inner_learning_rate": 0.05})
    learner = learners.EPG(family, policy, config, jit_compile=False)
    broken = nest.map(lambda x: x * np.nan, learner.meta.read()["loss"])
    rows = nest.map(lambda x, y: tf.stack([x, y]), learner.meta.read()["loss"], broken)
    task = family.population(0, 2).test
    with eagerly():
        earned, _ = learner.life(rows, tf.constant(0.0), task, keys.from_int(0))
    assert np.isfinite(earned).tolist() == [True, False]


# Evolution.


def test_the_two_of_a_pair_live_in_the_same_task_with_the_same_numbers(family):
    """Without changes between them they earn the same."""
    outer = {**SIZES["outer"], "noise_scale": 1e-30}
    learner = made(family, outer=outer)
    assert learner.training_tasks(family.population(0), keys.from_int(0))[0]["gain"].shape == [4]
    noise, fitness, metrics = collected(learner, family.population(0))
    np.testing.assert_array_equal(fitness[:2], fitness[2:])
    assert fitness[0] != fitness[1]
    assert metrics["return_after"] == tf.reduce_mean(fitness)
    for leaf in tf.nest.flatten(noise):
        np.testing.assert_array_equal(leaf[:2], -leaf[2:])
    alone = made(family, outer={**outer, "antithetic": False})
    assert alone.training_tasks(family.population(0), keys.from_int(0))[0]["gain"].shape == [8]


def test_alpha_falls_in_the_share_of_iterations_that_is_set(family):
    learner = made(family, num_iterations=40, bootstrap=0.25)
    found = []
    for iteration in (0, 5, 10, 39):
        learner.iteration.assign(iteration)
        found.append(float(learner.alpha()))
    np.testing.assert_allclose(found, [1, 0.5, 0, 0], atol=1e-6)
    learner.iteration.assign(0)
    assert made(family, bootstrap=0.0).alpha() == 0


def test_a_resumed_run_is_the_uninterrupted_one(family, tmp_path):
    history = assert_resumes(made(family), family.population(0), tmp_path)
    assert history[0]["alpha"] == 1 and history[2]["alpha"] == 0


@pytest.mark.slow
def test_evolution_learns_a_loss():
    """With its loss alone new policies earn more than as they were."""
    family = TurnedPoint(TurnedPointConfig(max_turn=1.0))
    config = learners.EPG.Config(
        num_iterations=150,
        inner_updates=8,
        buffer_updates=4,
        minibatches=4,
        memory=0,
        inner_learning_rate=0.01,
        outer={**SIZES["outer"], "population": 64, "learning_rate": 0.03},
    )
    learner = learners.EPG(family, config=config)
    population = family.population(0, 20)
    tfcaml.train(learner, population)
    found = tfcaml.evaluate(learner, population.test, num_updates=8).returns.mean(axis=(1, 2))
    assert found[-1] > 2 and found[0] < 0


# Workers.


@pytest.mark.slow
def test_workers_change_no_bit():
    """The lives of a population, played by one and by two Ray workers and by none."""
    pytest.importorskip("mujoco")
    pytest.importorskip("ray")
    from tfcaml.rollouts.ray_sampler import RaySampler

    def make():
        family = environments.RandomHopper(
            environments.RandomHopperConfig(horizon=8), num_threads=1
        )
        return family, PlainActorCritic(family.observation_spec, family.action_spec)

    sizes = {**SIZES, "num_iterations": 2, "buffer_updates": 4, "meta_batch_size": 3}
    outer = {**SIZES["outer"], "population": 8}
    family, policy = make()
    population = family.population(0, 2)

    def trained(sampler):
        config = learners.EPG.Config(**{**sizes, "outer": outer})
        learner = learners.EPG(family, policy, config, sampler=sampler)
        history = tfcaml.train(learner, population)
        return history, [x.numpy() for x in learner.variables]

    expected = trained(None)
    for workers in (1, 2):
        with RaySampler(make, workers=workers) as sampler:
            found = trained(sampler)
        assert found[0] == expected[0]
        for x, y in zip(found[1], expected[1]):
            np.testing.assert_array_equal(x, y)


# What is refused.


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"outer": {"optimizer": "adam", "annealing": "none"}}, "outer.optimizer to be evolution_"),
        ({"test_episodes_per_update": 3, "minibatches": 10}, "minibatches to be a divisor of 15"),
        ({"bootstrap": 0.0, "clip_ratio": 0.1}, "clip_ratio to be left at 0.2"),
        ({"bootstrap": 2.0}, r"bootstrap to be in \[0, 1\]"),
        ({"minibatches": 3}, "minibatches to be a divisor of 10"),
        ({"buffer_updates": 1}, "buffer_updates to be so many that the buffer, now of 10 steps"),
        ({"unroll": 6}, "unroll to be at most 5"),
    ],
)
def test_settings_that_do_not_fit_are_refused(family, settings, message):
    with pytest.raises(ConfigError, match=message):
        made(family, **settings)


def test_a_policy_without_a_critic_is_refused(family):
    policy = PlainPolicy(family.observation_spec, family.action_spec)
    with pytest.raises(ConfigError, match="policy to be one with the critic value"):
        learners.EPG(family, policy, learners.EPG.Config(**SIZES))


def test_ppo_alone_has_nothing_to_train(family):
    with pytest.raises(ConfigError, match="num_iterations to be left at 0"):
        learners.PPO.Config(num_iterations=3)
    learner = made(family, learners.PPO)
    assert tfcaml.train(learner, family.population(0)) == []
    assert isinstance(learner.start({}, 2, keys.per_task(keys.from_int(0), 2)), FastState)
