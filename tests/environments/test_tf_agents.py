"""Families as TF-Agents environments: validators, drivers, buffers, and equality with `sample`."""

import numpy as np
import pytest
import tensorflow as tf
from tf_agents.drivers import dynamic_episode_driver
from tf_agents.environments import tf_py_environment, utils
from tf_agents.policies import random_tf_policy
from tf_agents.replay_buffers import tf_uniform_replay_buffer
from tf_agents.trajectories import time_step as ts

from tests.environments.family_names import NAMES
from tfcaml import keys, nest
from tfcaml.environments import ENVIRONMENTS, Particle, ParticleConfig
from tfcaml.environments.tf_agents import FamilyPyEnvironment, FamilyTFEnvironment
from tfcaml.errors import ConfigError
from tfcaml.policies import mlp_policy
from tfcaml.rollouts import sampling

# A goal region so wide that some episodes terminate and others are truncated.
CONFIG = ParticleConfig(horizon=12, step_size=0.3, termination_radius=0.6, step_noise=0.3)
NUM_EPISODES, SEED = 5, 3


@pytest.fixture(scope="module")
def family():
    return Particle(CONFIG)


@pytest.fixture(scope="module")
def task(family):
    return nest.take(family.population(0).train, [0, 7, 20])


@pytest.fixture(scope="module")
def sampled(family, task):
    """What the pure family did: `Trajectory` in NumPy."""
    policy = mlp_policy(family.observation_spec, family.action_spec, (8,))
    params = nest.map(lambda x: 2 * x, nest.repeat(policy.init(0), 3))
    key = keys.from_int(SEED)
    trajectory = sampling.sample(policy, family, params, task, NUM_EPISODES, key)
    return nest.map(lambda x: x.numpy(), trajectory)


def random_policy(environment):
    return random_tf_policy.RandomTFPolicy(environment.time_step_spec(), environment.action_spec())


def test_sampled_episodes_end_both_ways(sampled):
    terminated = sampled.terminated.any(-1)
    assert terminated.any() and not terminated.all()


def test_py_environment_is_valid(family, task):
    environment = FamilyPyEnvironment(family, nest.take(task, [0]))
    utils.validate_py_environment(environment, episodes=5)


@pytest.mark.parametrize("name", NAMES)
def test_every_family_is_a_valid_py_environment(name):
    family = ENVIRONMENTS[name][0]()
    family.horizon = min(family.horizon, 20)
    environment = FamilyPyEnvironment(family, nest.take(family.population(0, 3).test, [1]))
    utils.validate_py_environment(environment, episodes=3)


@pytest.mark.parametrize("name", NAMES)
def test_every_family_is_a_tf_environment(name):
    """Its steps follow its specs, and its rows restart."""
    family = ENVIRONMENTS[name][0]()
    family.horizon = min(family.horizon, 3)
    environment = FamilyTFEnvironment(family, nest.take(family.population(0, 3).test, [1, 2]), 2)
    policy = random_policy(environment)
    step, firsts = environment.reset(), 0
    for _ in range(5):
        for value, spec in zip(
            tf.nest.flatten(step), tf.nest.flatten(environment.time_step_spec())
        ):
            assert spec.is_compatible_with(value[0]) and value.shape[0] == 4
        firsts += int(tf.reduce_sum(tf.cast(step.is_first(), tf.int32)))
        step = environment.step(policy.action(step).action)
    assert firsts >= 8


def test_py_environment_gives_the_family_s_episodes(family, task, sampled):
    # Task 0, as keys count tasks from 0.
    environment = FamilyPyEnvironment(family, nest.take(task, [0]), SEED)
    for episode in range(NUM_EPISODES):
        step = environment.reset() if episode == 0 else environment.step(np.int32(0))
        assert step.is_first()
        for time in range(int(sampled.mask[0, episode].sum())):
            assert not step.is_last()
            np.testing.assert_allclose(step.observation, sampled.observation[0, episode, time])
            step = environment.step(sampled.action[0, episode, time])
            np.testing.assert_allclose(step.reward, sampled.reward[0, episode, time], rtol=1e-6)
        assert step.is_last()
        assert step.discount == 1 - sampled.terminated[0, episode].max()
        np.testing.assert_allclose(step.observation, sampled.final_observation[0, episode])


def test_py_environment_takes_one_task(family, task):
    with pytest.raises(ConfigError, match=r"expected number of tasks to be 1; received .*3"):
        FamilyPyEnvironment(family, task)


@pytest.mark.slow
def test_py_environment_runs_in_a_compiled_driver(family, task):
    environment = tf_py_environment.TFPyEnvironment(
        FamilyPyEnvironment(family, nest.take(task, [0]))
    )
    policy = random_tf_policy.RandomTFPolicy(
        environment.time_step_spec(), environment.action_spec()
    )
    driver = dynamic_episode_driver.DynamicEpisodeDriver(environment, policy, num_episodes=2)
    step, _ = tf.function(driver.run)()
    assert step.is_first()


@pytest.mark.parametrize("compiled", [False, True])
def test_tf_environment_gives_the_family_s_episodes(family, task, sampled, compiled):
    environment = FamilyTFEnvironment(family, task, NUM_EPISODES, SEED)
    step_once = tf.function(environment.step) if compiled else environment.step
    step = environment.reset()
    lengths = sampled.mask.sum(-1).astype(int)
    rows = lambda x: np.reshape(x, [-1, *np.shape(x)[2:]])
    for time in range(CONFIG.horizon):
        step = step_once(rows(sampled.action[:, :, time]))
        step_type = np.reshape(step.step_type, lengths.shape)
        for n, e in np.ndindex(lengths.shape):
            row = n * NUM_EPISODES + e
            if time < lengths[n, e]:
                last = time == lengths[n, e] - 1
                assert step_type[n, e] == (ts.StepType.LAST if last else ts.StepType.MID)
                np.testing.assert_allclose(step.reward[row], sampled.reward[n, e, time], rtol=1e-6)
                led_to = (
                    sampled.final_observation[n, e] if last else sampled.observation[n, e, time + 1]
                )
                np.testing.assert_allclose(step.observation[row], led_to)
                assert step.discount[row] == 1 - sampled.terminated[n, e, time]
            elif time == lengths[n, e]:
                assert step_type[n, e] == ts.StepType.FIRST
                assert step.reward[row] == 0 and step.discount[row] == 1
                np.testing.assert_array_equal(step.observation[row], [0, 0])


def test_rows_go_on_to_later_episodes_of_their_task(family, task, sampled):
    """One row plays the episodes that five rows play side by side."""
    environment = FamilyTFEnvironment(family, task, 1, SEED)
    step_once = tf.function(environment.step)
    step = step_once(np.zeros(3, np.int32))  # not started: resets, whatever the action
    assert all(step.is_first())
    position, rewards = np.zeros([3, 2], int), np.zeros([3, NUM_EPISODES, CONFIG.horizon])
    for _ in range(NUM_EPISODES * (CONFIG.horizon + 1)):
        episode = np.minimum(position[:, 0], NUM_EPISODES - 1)
        time = np.minimum(position[:, 1], CONFIG.horizon - 1)
        step = step_once(sampled.action[range(3), episode, time])
        for n in range(3):
            if step.is_first()[n]:
                position[n] = position[n, 0] + 1, 0
            elif position[n, 0] < NUM_EPISODES:
                rewards[n, episode[n], time[n]] = step.reward[n]
                position[n, 1] += 1
    np.testing.assert_allclose(rewards, sampled.reward, rtol=1e-6)


def test_current_time_step_starts_and_then_reads(family, task):
    environment = FamilyTFEnvironment(family, task, 2)
    first = environment.current_time_step()
    assert all(first.is_first()) and first.observation.shape == (6, 2)
    moved = environment.step(np.ones(6, np.int32))
    again = environment.current_time_step()
    assert not any(again.is_first())
    nest.map(np.testing.assert_array_equal, moved, again)


@pytest.mark.slow
def test_tf_environment_fills_a_replay_buffer(family, task):
    environment = FamilyTFEnvironment(family, task, 2)
    policy = random_tf_policy.RandomTFPolicy(
        environment.time_step_spec(), environment.action_spec()
    )
    buffer = tf_uniform_replay_buffer.TFUniformReplayBuffer(
        policy.trajectory_spec, batch_size=environment.batch_size, max_length=100
    )
    driver = dynamic_episode_driver.DynamicEpisodeDriver(
        environment, policy, observers=[buffer.add_batch], num_episodes=12
    )
    tf.function(driver.run)()
    trajectory = nest.map(lambda x: x.numpy(), buffer.gather_all())
    assert trajectory.observation.shape[0] == 6
    assert trajectory.is_boundary().sum() >= 12
    # After a boundary comes a first step; rewards are those of the states that follow.
    boundary = trajectory.is_boundary()[:, :-1]
    assert (trajectory.step_type[:, 1:][boundary] == ts.StepType.FIRST).all()
    inner = ~boundary
    squared = ((trajectory.observation[:, 1:] - 1) ** 2).sum(-1)
    np.testing.assert_allclose(trajectory.reward[:, :-1][inner], -squared[inner], rtol=1e-5)


def test_starts_and_continuous_actions_are_the_family_s(slide, gaussian_policy):
    task = {"goal": tf.constant([0.0, 1.0])}
    params = nest.repeat(gaussian_policy.init(0), 2)
    key = keys.from_int(SEED)
    sampled = sampling.sample(gaussian_policy, slide, params, task, 3, key)
    environment = FamilyTFEnvironment(slide, task, 3, SEED)
    step = environment.reset()
    for time in range(slide.horizon):
        np.testing.assert_array_equal(
            step.observation, tf.reshape(sampled.observation[:, :, time], [6, 1])
        )
        step = environment.step(tf.reshape(sampled.action[:, :, time], [6, 1]))
        np.testing.assert_allclose(step.reward, tf.reshape(sampled.reward[:, :, time], [6]))
    assert all(step.is_last()) and all(step.discount == 1)
    utils.validate_py_environment(FamilyPyEnvironment(slide, nest.take(task, [1])), episodes=2)


def test_tf_environment_wants_episodes(family, task):
    with pytest.raises(ConfigError, match="expected num_episodes to be >= 1"):
        FamilyTFEnvironment(family, task, 0)
