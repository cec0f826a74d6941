import numpy as np
import pytest
import tensorflow as tf

from tfcaml import keys, nest
from tfcaml.errors import ConfigError
from tfcaml.learners.reptile import Reptile, ReptileConfig
from tfcaml.training import train_iteration

TINY = {
    "num_iterations": 4,
    "meta_batch_size": 3,
    "inner_updates": 2,
    "episodes_per_update": 3,
    "inner_learning_rate": 0.1,
    "outer_step_size": 0.5,
}


@pytest.fixture(scope="module")
def learner(particle, policy):
    return Reptile(particle, policy, ReptileConfig(**TINY), seed=1)


@pytest.mark.parametrize(
    ("annealing", "iteration", "step_size"),
    [
        ("none", 0, 0.5),
        ("none", 3, 0.5),
        ("linear", 0, 0.5),
        ("linear", 1, 0.375),
        ("linear", 3, 0.125),
    ],
)
def test_update_moves_towards_the_mean_of_the_adapted_weights(
    particle, policy, annealing, iteration, step_size
):
    learner = Reptile(particle, policy, ReptileConfig(**TINY, annealing=annealing))
    learner.iteration.assign(iteration)
    theta = learner.meta.read()["params"]
    rng = np.random.default_rng(0)
    phi = nest.map(lambda x: tf.constant(rng.normal(size=[3, *x.shape]), tf.float32), theta)
    fast = learner.start(learner.meta.read(), 3)._replace(params=phi)
    metrics = learner.update((fast, tf.constant([[1.0, 2, 3], [4, 5, 6]])))
    for new, old, adapted in zip(learner.meta.read()["params"], theta, phi):
        expected = old + step_size * (np.mean(adapted, axis=0) - old)
        np.testing.assert_allclose(new, expected, rtol=1e-5, atol=1e-6)
    metrics = {name: float(value) for name, value in metrics.items()}
    assert metrics == pytest.approx(
        {"return_before": 2, "return_last_update": 5, "outer_step_size": step_size}
    )


def test_adaptation_starts_afresh_from_theta(learner):
    fast = learner.start(learner.meta.read(), 2)
    for row, theta in zip(fast.params, learner.meta.read()["params"]):
        np.testing.assert_array_equal(row[0], theta)
        np.testing.assert_array_equal(row[1], theta)
    for leaf in tf.nest.flatten(fast.slots):
        np.testing.assert_array_equal(leaf, 0)


def test_inner_steps_are_those_of_the_authors(particle, policy):
    """Adam without momentum; or gradient steps of a length and then of a share of it."""
    gradient = lambda params, k: nest.map(lambda p: (k + 1.0) * tf.ones_like(p), params)
    for settings, lengths in (
        ({"inner_optimizer": "adam"}, 0.1 * np.array([1, 2 / np.sqrt((0.999 + 4) / 1.999)])),
        ({"inner_optimizer": "sgd", "later_step_scale": 0.25}, 0.1 * np.array([1, 0.25 * 2])),
    ):
        learner = Reptile(particle, policy, ReptileConfig(**{**TINY, **settings}))
        fast = learner.start(learner.meta.read(), 2)
        params, slots, _ = fast
        for k, length in enumerate(lengths):
            moved, slots = learner.inner_optimizer.apply(params, gradient(params, k), slots)
            for new, old in zip(moved, params):
                np.testing.assert_allclose(new, old - length, rtol=1e-4, atol=1e-5)
            params = moved


@pytest.mark.slow
def test_an_iteration_is_collect_and_update(learner, population):
    """And the annealed step size is that of the iteration, also in the compiled function."""
    learner.reset(seed=1)
    for iteration in range(3):
        theta = learner.meta.read()
        task = nest.map(lambda x: x[iteration : iteration + 3], population.train)
        key = keys.from_int(iteration)
        fast, returns = tf.function(learner.collect, autograph=False)(theta, task, key)
        metrics = learner.train(task, key)
        epsilon = 0.5 * (1 - iteration / 4)
        assert metrics["outer_step_size"] == pytest.approx(epsilon)
        assert metrics["return_before"] == pytest.approx(float(np.mean(returns[0])), rel=1e-4)
        for new, old, phi in zip(learner.meta.read()["params"], theta["params"], fast.params):
            expected = old + epsilon * (np.mean(phi, axis=0) - old)
            np.testing.assert_allclose(new, expected, rtol=1e-3, atol=1e-4)
    assert int(learner.iteration) == 3


def test_same_seed_same_weights(learner, population):
    results = []
    for seed in (0, 0, 1):
        learner.reset(seed=2)
        train_iteration(learner, population, seed)
        results.append(np.concatenate([np.ravel(x) for x in learner.meta.read()["params"]]))
    np.testing.assert_array_equal(results[0], results[1])
    assert np.abs(results[0] - results[2]).max() > 1e-4


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"outer_step_size": 0.0}, r"outer_step_size to be in \(0, 1\]; .*=0.0"),
        ({"outer_step_size": 1.5}, "outer_step_size=1.5"),
        ({"annealing": "cosine"}, "linear, none; received annealing='cosine'"),
        ({"adam_beta_1": 1.0}, r"adam_beta_1 to be in \[0, 1\)"),
        ({"inner_optimizer": "sgd", "adam_beta_1": 0.9}, "0 with inner_optimizer=sgd"),
        ({"later_step_scale": 0.5}, "1 unless inner_optimizer=sgd"),
    ],
)
def test_errors(options, message):
    with pytest.raises(ConfigError, match=message):
        ReptileConfig(**options)
