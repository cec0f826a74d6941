"""What all learners of the gradient-based family do."""

import numpy as np
import pytest
import tensorflow as tf

import tfcaml
from tests.dotted import nested
from tfcaml import environments, keys, learners, losses, nest, policies, training
from tfcaml.errors import ConfigError
from tfcaml.optimization import outer
from tfcaml.types import FastState

FAMILY = [
    learners.MAML,
    learners.FOMAML,
    learners.ANIL,
    learners.CAVIA,
    learners.MetaSGD,
    learners.AdaptSV,
    learners.TESP,
    learners.EMAML,
    learners.ProMP,
    learners.Pretrained,
    learners.Oracle,
]


def make(learner, jit_compile=False, **settings):
    """(learner, its population) on navigation of ten steps with a small network."""
    options = environments.NavigationConfig(horizon=10, observe_goal=learner is learners.Oracle)
    environment = environments.Navigation(options)
    settings = {
        "meta_batch_size": 3,
        "episodes_per_update": 4,
        "num_iterations": 3,
        "inner_learning_rate": 0.5,
        **settings,
    }
    if learner in (learners.AdaptSV, learners.TESP):
        settings |= {"rate_bound": 1.0, "context_size": 2}
    if learner is learners.TESP:
        settings |= {"inner_updates": 2, "encoder_units": 3, "buffer_size": 5}
    config = learner.Config(**settings)
    policy = learner.make_policy(environment, config, (8,), "relu")
    built = learner(environment, policy, config, seed=0, jit_compile=jit_compile)
    return built, environment.population(0)


def values(learner):
    return nest.ravel(learner.meta.read())[0].numpy()


@pytest.mark.slow
@pytest.mark.parametrize("cls", FAMILY)
def test_trains_and_adapts_without_tracing_anew(cls):
    learner, population = make(cls)
    start = values(learner)
    history = training.train(learner, population, seed=0)
    assert len(history) == 3 and all(np.isfinite(list(row.values())).all() for row in history)
    assert not np.array_equal(values(learner), start)
    assert learner._train.experimental_get_tracing_count() == 1
    trained = values(learner)
    task = nest.map(lambda x: x[:2], population.test)
    evaluation = tfcaml.evaluate(learner, task, num_updates=2, num_episodes=3)
    assert evaluation.returns.shape == (3, 2, 3)
    np.testing.assert_array_equal(values(learner), trained)
    learner.reset(0)
    np.testing.assert_array_equal(values(learner), start)
    again = training.train(learner, population, seed=0)
    assert again[-1]["loss_before"] == pytest.approx(history[-1]["loss_before"], rel=1e-3, abs=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("optimizer", ["ppo", "adam"])
def test_trains_under_xla(optimizer):
    learner, population = make(
        learners.MAML, jit_compile=True, outer={"optimizer": optimizer}, inner_updates=2
    )
    history = training.train(learner, population, seed=0)
    assert np.isfinite(history[-1]["loss_before"])
    assert {"return_before", "return_1", "return_after"} <= set(history[-1])


@pytest.fixture(scope="module")
def collected():
    """A learner with two inner steps, and what it collects."""
    learner, population = make(learners.MAML, inner_updates=2)
    task, _ = population.sample(3, keys.from_int(0))
    collect = tf.function(learner.collect, autograph=False)
    return learner, collect(learner.meta.read(), task, keys.from_int(1))


@pytest.mark.slow
def test_ratio_is_one_where_the_data_were_sampled(collected):
    learner, batch = collected

    @tf.function(autograph=False)
    def ratios(meta):
        fast = learner.start(meta, 3)
        result = []
        for phase in (*batch.support, batch.query):
            acting = losses.action_distribution(learner.policy, fast.params, phase.trajectory)
            result.append(losses.probability_ratio(acting, phase.trajectory))
            fast = learner.adapt(meta, fast, phase)
        return result

    for ratio, phase in zip(ratios(learner.meta.read()), (*batch.support, batch.query)):
        np.testing.assert_allclose(ratio * phase.trajectory.mask, phase.trajectory.mask, atol=2e-5)


@pytest.mark.slow
def test_surrogate_and_kl_start_at_zero(collected):
    learner, batch = collected

    @tf.function(autograph=False)
    def start(meta):
        return outer._loss_and_gradient(learner.objective, meta, batch)

    loss, kl, *_ = start(learner.meta.read())
    assert abs(loss) < 1e-4 and abs(kl) < 1e-5


def test_steps_beyond_those_trained_are_shorter():
    learner, _ = make(learners.MAML, inner_updates=2, later_step_scale=0.25)
    fast = FastState((tf.ones([2, 3]),), tf.constant([1.0, 2.0]))
    moved = learner.descend(fast, (tf.ones([2, 3]),), (0.5,))
    np.testing.assert_allclose(moved.params[0], [[0.5] * 3, [0.875] * 3])
    np.testing.assert_array_equal(moved.slots, [2, 3])


def test_dice_learns_from_rewards_and_the_others_from_advantages(random_trajectory):
    trajectory = random_trajectory(seed=0, action_size=2)
    dice, _ = make(learners.MAML, inner_estimator="dice")
    other, _ = make(learners.MAML, inner_estimator="loaded_dice")
    params = nest.repeat(dice.meta.read()["params"], 2)
    for learner in (dice, other):
        query = learner.loss.query_experience(None, params, trajectory).weight
        np.testing.assert_array_equal(query, learner.loss.advantage(trajectory))
        support = learner.loss.experience(None, params, trajectory).weight
        assert np.array_equal(support, query) == (learner is other)


def test_the_standard_deviation_is_adapted():
    learner, population = make(learners.MAML)
    task = nest.map(lambda x: x[:2], population.test)
    fast, _ = learner.choose_start(learner.meta.read(), task, keys.from_int(0))
    adapted = learner.adapt_to(fast, task, keys.from_int(0))
    log_std = adapted.params[-1].numpy()
    assert log_std.shape == (2, 2) and (log_std != 0).all()
    assert (log_std[0] != log_std[1]).all()


@pytest.mark.slow
def test_meta_sgd_starts_as_maml_and_learns_its_rates():
    maml, population = make(learners.MAML)
    meta_sgd, _ = make(learners.MetaSGD)
    rows = [training.train_iteration(learner, population, 0) for learner in (maml, meta_sgd)]
    assert rows[0]["return_after"] == pytest.approx(rows[1]["return_after"], rel=1e-4)
    rates = nest.ravel(meta_sgd.meta.read()["rates"])[0].numpy()
    assert (rates != 0.5).mean() > 0.5


def test_the_oracle_wants_to_see_the_goal():
    environment = environments.Navigation()
    policy = policies.mlp_policy(environment.observation_spec, environment.action_spec, (4,))
    with pytest.raises(ConfigError, match="observations tell the task"):
        learners.Oracle(environment, policy)


@pytest.mark.parametrize(
    "options",
    [
        {"inner_optimizer": "adam"},
        {"inner_estimator": "lvc"},
        {"outer.optimizer": "sgd"},
        {"outer.hessian_products": "fisher"},
        {"outer.learning_rate": 0.0},
        {"outer.steps": 0},
        {"outer.clip_ratio": 0.0},
        {"outer.max_kl": 0.0},
        {"outer.damping": -1.0},
        {"outer.backtrack_ratio": 1.0},
        {"outer.fisher_subsample": 21},
        {"outer.fisher_subsample": 4, "meta_batch_size": 3},
        {"outer.fisher_subsample": -1},
        {"later_step_scale": 0.0},
        {"advantage.gae_lambda": 1.5},
        {"advantage.return_type": "whole_return", "advantage.gae_lambda": 0.9},
    ],
)
def test_bad_settings_are_refused(options):
    with pytest.raises(ConfigError, match=f"expected {next(iter(options))} to be"):
        learners.MAML.Config(**nested(options))


def test_bad_settings_of_the_relatives_are_refused():
    with pytest.raises(ConfigError, match="exploration_weight"):
        learners.EMAML.Config(exploration_weight=-1.0)
    with pytest.raises(ConfigError, match="meta_batch_size"):
        learners.EMAML.Config(meta_batch_size=1)
    with pytest.raises(ConfigError, match="kl_penalty"):
        learners.ProMP.Config(kl_penalty=-1.0)
