"""Independent policies whose steps are paid for what they teach of the dynamics."""

import numpy as np
import pytest
import tensorflow as tf

from tests.eager import PlainPolicy, eagerly
from tfcaml import agents, environments, learners, losses, nest, policies, training
from tfcaml.errors import ConfigError
from tfcaml.experiments.checkpoints import Checkpoints, named

VIME = {"eta": 0.3, "units": 4, "num_samples": 2, "steps": 2, "batch_size": 3, "capacity": 30}
VIME |= {"min_transitions": 5, "window": 2}  # a batch has 12 steps of each policy
SETTINGS = {
    learners.NaturalPolicyGradient: {"outer": {"optimizer": "adam", "learning_rate": 0.1}},
    learners.PolicyGradient: {"inner_updates": 1},
}


@pytest.fixture(scope="module")
def car():
    return environments.MountainCar(environments.MountainCarConfig(horizon=4))


def make(cls, family, vime=VIME, **changes):
    config = {"meta_batch_size": 2, "episodes_per_update": 3, "num_iterations": 3, "vime": vime}
    policy = PlainPolicy(family.observation_spec, family.action_spec)
    return cls(family, policy, cls.Config(**config, **SETTINGS[cls], **changes))


def trained(learner, iterations, seed=0):
    """Metrics of that many further iterations."""
    with eagerly():
        population = learner.environment.population(seed)
        return [training.train_iteration(learner, population, seed) for _ in range(iterations)]


@pytest.fixture(scope="module", params=SETTINGS, ids=lambda cls: cls.__name__)
def run(request, car, tmp_path_factory):
    """(learner after three iterations, their metrics, all it held before any and after two)."""
    learner = make(request.param, car)
    held = lambda: [x.numpy() for x in learner.variables]
    before, directory = held(), tmp_path_factory.mktemp("saved")
    history = trained(learner, 2)
    saved = Checkpoints(directory, named(learner.checkpointed()), {"it": 1})
    saved.save(2)
    history += trained(learner, 1)
    return learner, history, before, saved


def test_a_resumed_run_is_the_uninterrupted_one(run):
    """Posterior, optimiser, transitions and medians are in the checkpoint."""
    learner, history, before, saved = run
    whole = [x.numpy() for x in learner.variables]
    learner.reset(0)  # as before any iteration: nothing is known of the dynamics
    for one, other in zip(before, learner.variables, strict=True):
        np.testing.assert_array_equal(one, other)
    assert saved.restore() == 2
    assert trained(learner, 1) == history[2:]
    for one, other in zip(whole, learner.variables, strict=True):
        np.testing.assert_array_equal(one, other)
    names = [name for name in named(learner.checkpointed()) if name.startswith("vime/")]
    assert len(names) == 11, names


def test_what_it_reports_is_the_return_of_the_family(run):
    """The top is far: returns are 0, while steps are paid from the second iteration on."""
    learner, history, _, _ = run
    assert [row["return_before"] for row in history] == [0, 0, 0]
    gains = [row["information_gain"] for row in history]
    assert gains[0] == 0 < min(gains[1:])
    assert [row["transitions_kept"] for row in history] == [12, 24, 30]
    assert set(history[0]) - {"bad_update"} <= set(learner.metrics)


def test_policies_learn_from_the_bonus_alone(run, car):
    """Without it no step is paid, and nothing moves."""
    learner, _, _, _ = run
    without = make(type(learner), car, vime={})
    weights = lambda x: tf.nest.flatten(x.start(x.meta.read(), 2).params)
    start = weights(without)
    trained(without, 1)
    same = lambda x: all(map(np.array_equal, weights(x), start))
    assert same(without) and not same(learner)
    assert "vime" not in without.state and set(without.state) < set(learner.state)


def test_advantages_are_of_the_rewards_with_the_bonus(car):
    learner = make(learners.NaturalPolicyGradient, car)
    trained(learner, 1)
    with eagerly():
        task, key, index = training.draw(learner, car.population(0), 0)
        batch = learner.collect(learner.meta.read(), task, key, index)
        played, gain = learner.seen(batch)
        state = learner.state["vime"].read()
        expected = learner.vime.gain(state, played, key)
        bonus = learner.vime.bonus(state, expected, played.mask)
        advantage = learner.loss.advantage(played._replace(reward=bonus))
        same = learner.sample(learner.meta.read()["params"], task, 3, key)
    np.testing.assert_array_equal(gain, expected)
    np.testing.assert_array_equal(same.reward, played.reward)
    np.testing.assert_array_equal(same.action, played.action)
    np.testing.assert_allclose(batch.query.weight, advantage, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(batch.query.trajectory.reward, bonus, rtol=1e-6)
    median = np.median(np.reshape(gain, [2, -1]), axis=1)
    np.testing.assert_allclose(np.median(np.reshape(bonus, [2, -1]), axis=1), 0.3, rtol=1e-5)
    assert (median > 0).all()


def test_a_policy_gradient_step_is_on_the_rewards_with_the_bonus(car):
    learner = make(learners.PolicyGradient, car, inner_optimizer="sgd", inner_learning_rate=1.0)
    trained(learner, 1)
    with eagerly():
        meta = learner.meta.read()
        task, key, _ = training.draw(learner, car.population(0), 0)
        fast, returns, (played, gain) = learner.collect(meta, task, key)
        bonus = learner.vime.bonus(learner.state["vime"].read(), gain, played.mask)
        weight = learner.loss.advantage(played._replace(reward=bonus))
        leaves = tf.nest.flatten(meta.params)
        with tf.GradientTape() as tape:
            tape.watch(leaves)
            loss = tf.reduce_sum(
                losses.policy_gradient(learner.policy, meta.params, played, weight)
            )
        gradient = tape.gradient(loss, leaves)
    assert returns.shape == [1, 2] and not np.any(returns)
    for before, after, slope in zip(leaves, tf.nest.flatten(fast.params), gradient):
        np.testing.assert_allclose(before - after, slope, rtol=1e-4, atol=1e-6)


def test_without_a_bonus_an_iteration_is_what_it_was(car):
    """In the very numbers: the same episodes, the same step."""
    learner = make(learners.PolicyGradient, car, vime={})
    with eagerly():
        meta = learner.meta.read()
        task, key, _ = training.draw(learner, car.population(0), 0)
        fast, returns, rest = learner.collect(meta, task, key)
        expected = learner.adapt_online(meta, meta, task, 1, key)
    assert rest == ()
    np.testing.assert_array_equal(returns, expected[1])
    nest.map(np.testing.assert_array_equal, fast, expected[0])


def test_one_update_in_an_iteration():
    with pytest.raises(
        ConfigError, match=r"inner_updates to be 1 with vime\.eta > 0, as its model"
    ):
        learners.PolicyGradient.Config(inner_updates=2, vime={"eta": 1.0})
    learners.PolicyGradient.Config(inner_updates=2)


def test_recorded_trajectories_are_refused(car):
    """A `MetaAgent` would not teach the model; it takes no policies without inner steps."""
    cls = learners.NaturalPolicyGradient
    config = cls.Config(meta_batch_size=1, episodes_per_update=2, vime=VIME)
    policy = policies.mlp_policy(car.observation_spec, car.action_spec, (3,))
    agent = agents.MetaAgent(cls(car, policy, config))
    message = r"expected support phases to be 1 \(inner_updates\); received support phases=0"
    with eagerly(), pytest.raises(ConfigError, match=message):
        agent._train(agent.experience(car.population(0), 0))


def test_it_is_compiled_with_xla_only_where_asked(car):
    """XLA would compile everything anew in each iteration."""
    policy = policies.mlp_policy(car.observation_spec, car.action_spec, (3,))
    made = lambda jit_compile, **vime: (
        learners.PolicyGradient(
            car, policy, learners.PolicyGradient.Config(vime=vime), jit_compile=jit_compile
        ).jit_compile
    )
    assert made(None) == learners.PolicyGradient.xla_pays()
    assert made(None, eta=1.0) is False and made(True, eta=1.0) is True
    with pytest.raises(ConfigError, match="jit_compile"):
        made(1, eta=1.0)
