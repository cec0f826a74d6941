import numpy as np
import pytest
import tensorflow as tf

from tests.eager import eagerly
from tfcaml import environments, keys
from tfcaml.environments import MountainCar, MountainCarConfig
from tfcaml.errors import ConfigError

MIDDLE, REACH, FASTEST = -0.3, 0.9, 0.07  # of place and speed, as observations have them


def by_hand(power, place, speed, action):
    """gymnasium's MountainCarContinuous-v0, in plain Python."""
    speed += power * min(max(action, -1), 1) - 0.0025 * np.cos(3 * place)
    speed = min(max(speed, -0.07), 0.07)
    place = min(max(place + speed, -1.2), 0.6)
    if place == -1.2 and speed < 0:
        speed = 0.0
    return place, speed, place >= 0.45 and speed >= 0


def drive(power, choose, start=-0.5, most=500):
    """Steps to the top by `choose`, a function of the speed; None without arriving."""
    place, speed = start, 0.0
    for step in range(most):
        place, speed, arrived = by_hand(power, place, speed, choose(speed))
        if arrived:
            return step + 1
    return None


@pytest.fixture(scope="module")
def car():
    return MountainCar()


def one_step(car, power, state, action):
    """What a step gives for one car each of many states [S, 2] and actions [S]."""
    task = {"power": tf.constant([power], tf.float32)}
    state = tf.constant(state, tf.float32)[None]
    action = tf.constant(action, tf.float32)[None, :, None]
    return [x.numpy()[0] for x in car.step(task, state, action, tf.zeros([*action.shape[:2], 0]))]


def test_steps_are_those_of_gymnasium(car):
    rng = np.random.default_rng(0)
    place, speed = rng.uniform(-1.2, 0.6, 300), rng.uniform(-0.07, 0.07, 300)
    place[:20], speed[:20] = -1.19, -0.06  # against the wall
    place[20:40], speed[20:40] = 0.44, 0.05  # to the top
    action = rng.uniform(-2, 2, 300)
    state, observation, reward, ended = one_step(car, 0.0014, np.stack([place, speed], 1), action)
    expected = np.array([by_hand(0.0014, *each) for each in zip(place, speed, action)])
    np.testing.assert_allclose(state, expected[:, :2], atol=1e-6)
    np.testing.assert_array_equal(ended, expected[:, 2])
    np.testing.assert_array_equal(reward, ended)
    assert 20 <= ended.sum() < 60 and (state[:20, 1] == 0).all()
    scaled = (expected[:, :2] - [MIDDLE, 0]) / [REACH, FASTEST]
    np.testing.assert_allclose(observation, scaled, atol=2e-5)


def test_gymnasium_itself_steps_alike(car):
    gymnasium = pytest.importorskip("gymnasium")
    real = gymnasium.make("MountainCarContinuous-v0").unwrapped
    rng, place, speed = np.random.default_rng(1), -0.5, 0.0
    for _ in range(50):
        action = rng.uniform(-1, 1)
        real.state = np.array([place, speed])
        place, speed, arrived = by_hand(real.power, place, speed, action)
        found, _, ended, _, _ = real.step(np.array([action]))
        np.testing.assert_allclose(found, [place, speed], atol=1e-6)
        assert ended == arrived


def test_episodes_start_at_rest_around_the_bottom(car):
    with eagerly():
        key = keys.per_episode(keys.from_int(0), 1, 200)
        state, observation = car.reset({"power": tf.constant([0.0015])}, key)
    assert state.shape == observation.shape == [1, 200, 2]
    assert not np.any(state[..., 1])
    assert -0.6 <= np.min(state[..., 0]) < -0.58 and -0.42 < np.max(state[..., 0]) <= -0.4
    np.testing.assert_allclose(observation[..., 0], (state[..., 0] - MIDDLE) / REACH, atol=1e-5)


def test_every_car_gets_there_by_swinging_and_a_weak_one_only_so(car):
    for power in (car.config.min_test_power, car.config.max_test_power):
        assert drive(power, lambda speed: 1 if speed >= 0 else -1) < 200
    for start in (-0.6, -0.5, -0.4):
        assert drive(0.0016, lambda speed: 1, start) is None
    assert drive(0.0018, lambda speed: 1, -0.6) is not None  # strong, and with a run-up


def test_population(car):
    population = car.population(3, num_test=30)
    train, test = population.train["power"].numpy(), population.test["power"].numpy()
    assert train.shape == (20,) and test.shape == (30,)
    assert train.min() >= 0.0012 and train.max() <= 0.0018
    assert 0.001 <= test.min() < 0.0012 and 0.0018 < test.max() <= 0.002
    again = MountainCar(MountainCarConfig(num_train=5)).population(3, num_test=2)
    np.testing.assert_array_equal(again.train["power"], train[:5])
    np.testing.assert_array_equal(again.test["power"], test[:2])
    assert not np.array_equal(car.population(4).train["power"], train)
    assert not np.isin(test, train).any()


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"min_power": 0.0}, "min_power to be > 0 and below max_power = 0.0018"),
        ({"min_test_power": 0.0021}, "min_test_power to be > 0 and below max_test_power = 0.002"),
        ({"max_power": 0.0025}, "max_power to be below 0.0025, from where a car climbs any slope"),
        ({"num_train": 0}, "num_train to be > 0"),
        ({"horizon": 0}, "horizon to be > 0"),
    ],
)
def test_errors(given, message):
    with pytest.raises(ConfigError, match=f"expected {message}"):
        MountainCarConfig(**given)


def test_it_is_registered():
    family, options = environments.ENVIRONMENTS["mountain_car"]
    assert family is MountainCar and options is MountainCarConfig
