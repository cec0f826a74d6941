import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

from tfcaml import keys
from tfcaml.environments import Navigation, NavigationConfig
from tfcaml.errors import ConfigError
from tfcaml.policies import Policy
from tfcaml.rollouts import sampling
from tfcaml.types import episode_return


class Gaussian(Policy):
    """Acts around `mean(observation)`; the action noise has one standard deviation."""

    def __init__(self, mean, std, action_spec):
        self.mean, self.std, self.action_spec = mean, std, action_spec

    def __call__(self, params, observation):
        return tfp.distributions.MultivariateNormalDiag(
            self.mean(observation), self.std * tf.ones([2])
        )

    def noise(self, key, num_steps):
        return keys.normal(key, [num_steps, 2])

    def sample(self, distribution, noise):
        return distribution.mean() + distribution.stddev() * noise


def mean_return(mean, std, num_tasks=100, **options):
    environment = Navigation(NavigationConfig(**options))
    policy = Gaussian(mean, std, environment.action_spec)
    task = environment.population(0, num_tasks).test
    sample = tf.function(
        lambda task: sampling.sample(policy, environment, (), task, 4, keys.from_int(0)),
        autograph=False,
    )
    return float(tf.reduce_mean(episode_return(sample(task))))


def to_goal(observation):
    return 10 * (observation[..., 2:] - observation[..., :2])  # the whole way, in units of 0.1


def test_returns_of_known_behaviours():
    """Figures computed independently; they tell apart the three action scalings in use."""
    still = tf.zeros_like
    assert abs(mean_return(to_goal, 0.0, observe_goal=True) - -0.51) < 0.1
    assert abs(mean_return(to_goal, 0.45, observe_goal=True) - -1.98) < 0.3
    assert abs(mean_return(still, 0.0) - -38.2) < 2
    assert abs(mean_return(still, 1.0) - -70.9) < 4
    assert abs(mean_return(still, 1.0, action_range=0.1) - -90.2) < 5
    assert abs(mean_return(still, 1.0, action_range=10.0) - -39.4) < 2


def step(config, goal, position, action):
    environment = Navigation(config)
    tensors = [tf.constant(x, tf.float32)[None, None] for x in (position, action)]
    task = {"goal": tf.constant(goal, tf.float32)[None]}
    return [np.asarray(x)[0, 0] for x in environment.step(task, *tensors, None)]


def test_a_step():
    state, observation, reward, terminated = step(
        NavigationConfig(), [0.5, 0.0], [0.1, 0.2], [0.5, -3.0]
    )
    np.testing.assert_allclose(state, [0.15, 0.1], atol=1e-6)
    np.testing.assert_allclose(observation, state)
    np.testing.assert_allclose(reward, -np.hypot(0.35, 0.1), rtol=1e-5)
    assert not terminated
    reward = step(NavigationConfig(reward="squared_distance"), [0.5, 0], [0.1, 0.2], [0.5, -3])[2]
    np.testing.assert_allclose(reward, -(0.35**2) - 0.01, rtol=1e-5)


def test_an_episode_ends_in_the_box_around_the_goal():
    near, wide = [0.5, 0.0], [0.509, 0.009]
    assert step(NavigationConfig(), near, wide, [0, 0])[3]
    assert not step(NavigationConfig(), near, [0.511, 0.0], [0, 0])[3]
    assert not step(NavigationConfig(termination_box=0.0), near, near, [0, 0])[3]


def test_sparse_reward_is_paid_within_the_radius():
    config = NavigationConfig(reward="sparse", goals="semicircle", goal_range=1.0)
    np.testing.assert_allclose(step(config, [1, 0], [0.85, 0], [0, 0])[2], 0.85, rtol=1e-5)
    assert step(config, [1, 0], [0.79, 0], [0, 0])[2] == 0


def test_the_oracle_sees_the_goal():
    environment = Navigation(NavigationConfig(observe_goal=True))
    task = environment.population(0, 3).test
    _, observation = environment.reset(task, tf.zeros([3, 2, 2], tf.int32))
    assert observation.shape[2:] == environment.observation_spec.shape == [4]
    np.testing.assert_allclose(observation[:, 1, 2:], task["goal"])


@pytest.mark.parametrize("goals", ["square", "semicircle"])
def test_goals(goals):
    environment = Navigation(NavigationConfig(goals=goals))
    population = environment.population(1, 40)
    draws = [population.sample(500, keys.from_int(i))[0]["goal"].numpy() for i in range(2)]
    query = population.test["goal"].numpy()
    assert (draws[0] != draws[1]).all()  # fresh ones every time
    again = population.sample(500, keys.from_int(0))[0]["goal"]
    np.testing.assert_array_equal(again, draws[0])
    np.testing.assert_array_equal(environment.population(1, 40).test["goal"], query)
    np.testing.assert_array_equal(environment.population(1, 7).test["goal"].shape, [7, 2])
    for goal in (*draws, query):
        if goals == "square":
            assert (np.abs(goal) <= 0.5).all()
        else:
            np.testing.assert_allclose(np.hypot(*goal.T), 0.5, rtol=1e-5)
            assert (goal[:, 1] >= 0).all()


def test_no_training_goal_is_a_query_goal():
    """By construction: they lie on even and odd points of one grid."""
    environment = Navigation()
    population = environment.population(3, 100)
    parity = lambda goal: np.asarray((goal.numpy().astype(np.float64) + 0.5) * 2**21) % 2
    assert (parity(population.test["goal"]) == 1).all()
    assert (parity(population.train["goal"]) == 0).all()
    assert (parity(population.sample(1000, keys.from_int(0))[0]["goal"]) == 0).all()


def test_corners():
    environment = Navigation(NavigationConfig(goals="corners", reward="sparse", goal_range=2.0))
    goal = environment.population(0, 50).test["goal"].numpy()
    assert (np.abs(goal) == 2).all() and len(np.unique(goal, axis=0)) == 4


@pytest.mark.parametrize(
    "options",
    [
        {"reward": "dense"},
        {"goals": "circle"},
        {"goals": "corners"},
        {"action_range": 0.0},
        {"termination_box": -1.0},
        {"horizon": 0},
    ],
)
def test_bad_options_are_refused(options):
    with pytest.raises(ConfigError, match=next(iter(options))):
        NavigationConfig(**options)


def test_no_empty_query_set():
    with pytest.raises(ConfigError, match="num_test"):
        Navigation().population(0, 0)
