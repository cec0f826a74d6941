"""CartPole entities: how they differ, and that everything runs on them as on other families."""

import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

import tfcaml
from tfcaml import environments, keys, learners, nest, policies, training
from tfcaml.environments import CartPole, CartPoleConfig
from tfcaml.errors import ConfigError


@pytest.fixture(scope="module")
def family():
    return CartPole(CartPoleConfig(horizon=15))


@pytest.fixture(scope="module")
def policy(family):
    return policies.mlp_policy(family.observation_spec, family.action_spec, (8,))


def test_entities(family):
    population = family.population(0)
    assert nest.leading(population.train) >= 20 and nest.leading(population.test) >= 5
    for task, group in (
        (population.train, population.train_group),
        (population.test, population.test_group),
    ):
        assert abs(group.mean() - 0.5) <= 0.01
        np.testing.assert_array_equal(task["force"] < 0, group)
        for name, low, high in (
            ("length", 0.25, 1.0),
            ("pole_mass", 0.05, 0.5),
            ("cart_mass", 0.5, 2.0),
            ("force", 5.0, 15.0),
        ):
            values = np.abs(task[name])
            assert values.min() >= low and values.max() <= high
            assert values.std() > 0.15 * (high - low), name
    assert (population.groups_of(population.train) == population.train_group).all()
    few = family.population(0, 2)
    nest.map(
        lambda some, all_: np.testing.assert_array_equal(some, all_[:2]),
        few.test,
        population.test,
    )
    assert (family.population(1).test["length"] != population.test["length"]).numpy().all()


@pytest.mark.parametrize("fraction, count", [(0.0, 0), (0.25, 6), (0.3, 7), (1.0, 24)])
def test_reversed_fraction(fraction, count):
    population = CartPole(CartPoleConfig(reversed_fraction=fraction)).population(0)
    assert population.train_group.sum() == count


def test_the_same_push_moves_entities_apart(family):
    """Pushed to the right from the same start, as the equations of motion have it."""
    task = family.population(0).train
    size = nest.leading(task)
    key = tf.repeat(keys.per_episode(keys.from_int(0), 1, 1), size, axis=0)
    state, start = family.reset(task, key)
    assert (start == start[:1]).numpy().all()
    push, observations = tf.ones([size, 1], tf.int64), [start]
    for _ in range(4):
        state, observation, reward, _ = family.step(task, state, push, None)
        observations.append(observation)
        np.testing.assert_array_equal(reward, np.ones([size, 1]))
    before, after = (np.asarray(x[:, 0], np.float64) for x in observations[-2:])
    task = nest.map(lambda x: x.numpy().astype(float), task)
    angle, spin = before[:, 2], before[:, 3]
    total = task["cart_mass"] + task["pole_mass"]
    force = task["force"] + task["pole_mass"] * task["length"] * spin**2 * np.sin(angle)
    inertia = task["length"] * (4 / 3 - task["pole_mass"] * np.cos(angle) ** 2 / total)
    acceleration = (9.8 * np.sin(angle) - np.cos(angle) * force / total) / inertia
    np.testing.assert_allclose((after[:, 3] - spin) / 0.02, acceleration, rtol=1e-4)
    assert set(np.sign(acceleration)) == {-1, 1}


def test_what_balances_one_kind_fells_the_other():
    """A controller for pushes as gymnasium has them, on all entities, and its mirror image."""
    family = CartPole()
    population = family.population(1)
    task, size = population.train, nest.leading(population.train)
    length = {}
    for sign in (1, -1):
        state, observation = family.reset(task, keys.per_episode(keys.from_int(0), size, 2))
        alive, steps = np.ones([size, 2], bool), np.zeros([size, 2])
        for _ in range(family.horizon):
            lean = np.asarray(observation) @ [0.02, 0.05, 1.0, 0.3]
            action = tf.constant(np.int64(sign * lean > 0))
            state, observation, reward, terminated = family.step(task, state, action, None)
            steps += alive * np.asarray(reward)
            alive &= ~np.asarray(terminated)
        length[sign] = steps.mean(axis=1)
    kind = population.train_group
    assert length[1][kind == 0].min() == length[-1][kind == 1].min() == 200
    assert length[1][kind == 1].max() < 25 and length[-1][kind == 0].max() < 25


def test_the_family_is_sound():
    environments.check(CartPole(CartPoleConfig(horizon=60)), num_tasks=6, num_episodes=3)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["maml", "reptile"])
def test_training_and_evaluation_are_decided_by_the_seed(family, policy, name):
    method = learners.LEARNERS[name]
    settings = {"num_iterations": 2, "meta_batch_size": 2, "inner_updates": 1}
    settings |= {"outer": {"optimizer": "adam"}} if name == "maml" else {}
    learner = method(family, policy, method.Config(episodes_per_update=3, **settings))
    population = family.population(0)

    def run():
        learner.reset(0)
        metrics = training.train(learner, population, seed=0)
        returns = tfcaml.evaluate(learner, population.test, num_updates=1, num_episodes=4).returns
        return metrics, returns, learner.meta.read()

    (metrics, returns, meta), again = run(), run()
    assert metrics == again[0]
    np.testing.assert_array_equal(returns, again[1])
    nest.map(np.testing.assert_array_equal, meta, again[2])
    assert returns.shape == (2, 6, 4) and returns.min() >= 1 and returns.max() <= 15
    assert any((x != y).numpy().any() for x, y in zip(meta["params"], policy.init(0)))


@pytest.mark.parametrize(
    "options, message",
    [
        ({"min_force": 20.0}, "min_force to be > 0 and below max_force = 15.0"),
        ({"min_length": 0.0}, "min_length to be > 0"),
        ({"reversed_fraction": 1.5}, r"reversed_fraction to be in \[0, 1\]"),
    ],
)
def test_bad_options_are_refused(options, message):
    with pytest.raises(ConfigError, match=message):
        CartPoleConfig(**options)


@pytest.mark.slow
def test_without_gymnasium_all_else_works():
    code = """if True:
        import sys
        sys.modules["gymnasium"] = None  # as if it were not installed
        from tfcaml import environments, errors
        environments.Particle(), environments.CartPoleConfig()
        try:
            environments.CartPole()
        except errors.ConfigError as error:
            print(error)
    """
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    expected = "expected the package gymnasium to be installed; do: pip install 'tfcaml[gym]'\n"
    assert found.stdout == expected, found.stderr
