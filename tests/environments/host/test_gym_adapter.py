"""gymnasium to TF-Agents and back: validators, ends of episodes, spaces."""

import gymnasium
import numpy as np
import pytest
import tensorflow as tf
from gymnasium import spaces
from gymnasium.utils import env_checker
from tf_agents.environments import utils
from tf_agents.specs import ArraySpec, BoundedArraySpec

from tests.environments.family_names import NAMES
from tfcaml import environments, keys, nest, policies
from tfcaml.environments.host import gym_adapter
from tfcaml.environments.host.gym_adapter import FamilyGymnasiumEnvironment, GymnasiumPyEnvironment
from tfcaml.errors import ConfigError
from tfcaml.rollouts import sampling


@pytest.mark.parametrize("name", ["CartPole-v1", "Pendulum-v1", "FrozenLake-v1", "Blackjack-v1"])
def test_gymnasium_environments_are_valid_in_tf_agents(name):
    utils.validate_py_environment(GymnasiumPyEnvironment(gymnasium.make(name)), episodes=2)


def test_a_termination_has_discount_0():
    environment = GymnasiumPyEnvironment(gymnasium.make("CartPole-v1"))
    step = environment.reset()
    while not step.is_last():
        assert step.discount == 1
        step = environment.step(np.int64(1))
    assert step.discount == 0 and step.reward == 1
    assert environment.step(np.int64(1)).is_first()  # restarts


def test_a_truncation_has_discount_1():
    environment = GymnasiumPyEnvironment(gymnasium.make("Pendulum-v1", max_episode_steps=3))
    steps = [environment.reset(), *[environment.step(np.zeros(1)) for _ in range(3)]]
    assert [bool(step.is_last()) for step in steps] == [False, False, False, True]
    assert [float(step.discount) for step in steps] == [1, 1, 1, 1]
    assert steps[-1].observation.dtype == np.float32 and steps[-1].reward < 0


def test_seed_is_for_the_next_episode():
    environment = GymnasiumPyEnvironment(gymnasium.make("CartPole-v1"))
    starts = []
    for seed in (3, 3, None):
        if seed is not None:
            environment.seed(seed)
        starts.append(environment.reset().observation)
    np.testing.assert_array_equal(starts[0], starts[1])
    assert (starts[2] != starts[1]).any()
    expected, _ = gymnasium.make("CartPole-v1").reset(seed=3)
    np.testing.assert_array_equal(starts[0], expected)


def test_spaces():
    space = spaces.Dict(
        {
            "box": spaces.Box(np.array([-1.0, 0.0]), np.array([1.0, np.inf]), dtype=np.float64),
            "pair": spaces.Tuple([spaces.Discrete(4, start=2), spaces.MultiBinary(3)]),
            "many": spaces.MultiDiscrete([2, 5]),
        }
    )
    spec = gym_adapter.spec_from_space(space)
    low, high = np.float32([-1, 0]), np.float32([1, np.inf])
    assert spec["box"] == BoundedArraySpec([2], np.float32, low, high, "box")
    assert spec["pair"][0] == BoundedArraySpec([], np.int64, 0, 3, "pair")
    assert spec["pair"][1] == BoundedArraySpec([3], np.int8, 0, 1, "pair")
    assert spec["many"] == BoundedArraySpec([2], np.int64, [0, 0], [1, 4], "many")
    assert spec["many"].minimum.shape == (2,)  # as TF-Agents needs it to draw from the spec
    assert gym_adapter.to_space(spaces.Discrete(4, start=2), np.int32(3)) == 5
    with pytest.raises(ConfigError, match=r"expected observation to be a Box, .* received Text"):
        gym_adapter.spec_from_space(spaces.Text(3), "observation")


def test_observations_count_from_0_as_their_spec_says():
    space = spaces.Dict(
        state=spaces.Discrete(4, start=2),
        pair=spaces.Tuple([spaces.MultiDiscrete([2, 5], start=[1, -4]), spaces.Box(-1, 1, (2,))]),
        flag=spaces.Box(np.zeros(2, bool), np.ones(2, bool), (2,), bool),
    )
    space.seed(0)
    spec = gym_adapter.spec_from_space(space)
    assert spec["flag"] == ArraySpec([2], np.bool_, "flag")
    seen = [gym_adapter.from_space(space, space.sample()) for _ in range(50)]
    for leaf, of in zip(zip(*map(tf.nest.flatten, seen)), tf.nest.flatten(spec)):
        assert np.shape(leaf[0]) == of.shape
        if isinstance(of, BoundedArraySpec) and of.dtype.kind == "i":
            np.testing.assert_array_equal(np.min(leaf, axis=0), of.minimum)
            np.testing.assert_array_equal(np.max(leaf, axis=0), of.maximum)


@pytest.mark.parametrize(
    ("dtype", "low", "high"), [("bool", False, True), ("int16", -(2**15), 2**15 - 1)]
)
def test_specs_without_bounds_are_spaces_of_all_values(dtype, low, high):
    space = gym_adapter._space(ArraySpec([2], dtype))
    np.testing.assert_array_equal([space.low, space.high], [[low] * 2, [high] * 2])


@pytest.mark.parametrize("name", NAMES)
def test_families_are_valid_in_gymnasium(name):
    family = environments.ENVIRONMENTS[name][0]()
    family.horizon = min(family.horizon, 20)
    task = nest.take(family.population(0, 3).test, [1])
    env_checker.check_env(FamilyGymnasiumEnvironment(family, task), skip_render_check=True)


def test_slides_are_valid_in_gymnasium(slide):
    environment = FamilyGymnasiumEnvironment(slide, {"goal": tf.constant([0.3])})
    assert environment.action_space == spaces.Box(-10, 10, [1])
    env_checker.check_env(environment, skip_render_check=True)


def test_a_family_in_gymnasium_gives_the_family_s_episodes():
    """With both kinds of ends: a wide goal region, and a horizon too short for some."""
    config = environments.ParticleConfig(horizon=12, step_size=0.3, termination_radius=0.6)
    family = environments.Particle(config)
    task = nest.take(family.population(0).train, [0])
    policy = policies.mlp_policy(family.observation_spec, family.action_spec, (8,))
    params = nest.map(lambda x: 2 * x, nest.repeat(policy.init(0), 1))
    sampled = sampling.sample(policy, family, params, task, 8, keys.from_int(5))
    sampled = nest.map(lambda x: x.numpy()[0], sampled)
    ends = sampled.terminated.any(-1)
    assert ends.any() and not ends.all()
    environment = FamilyGymnasiumEnvironment(family, task)
    for episode in range(8):
        observation, _ = environment.reset(seed=5 if episode == 0 else None)
        for time in range(int(sampled.mask[episode].sum())):
            np.testing.assert_allclose(observation, sampled.observation[episode, time])
            outcome = environment.step(sampled.action[episode, time])
            observation, reward, terminated, truncated, _ = outcome
            np.testing.assert_allclose(reward, sampled.reward[episode, time], rtol=1e-6)
        assert (terminated, truncated) == (ends[episode], not ends[episode])
