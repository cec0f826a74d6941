"""Trajectories of TF-Agents as demonstrations."""

import numpy as np
import pytest
import tensorflow as tf
from tf_agents.drivers import dynamic_episode_driver
from tf_agents.policies import random_tf_policy
from tf_agents.replay_buffers import tf_uniform_replay_buffer
from tf_agents.trajectories import time_step as ts

from tests.places import Places
from tfcaml import keys, nest
from tfcaml.agents.trajectories import demonstrations, to_tf_agents
from tfcaml.environments.tf_agents import FamilyTFEnvironment
from tfcaml.errors import ConfigError
from tfcaml.rollouts.demonstrations import demonstrate, keep

ENDING = Places(ends=True)
TASK = nest.map(lambda x: x[:3], ENDING.population(0).train)


@pytest.mark.parametrize("discrete", [False, True], ids=["continuous", "discrete"])
def test_there_and_back(discrete):
    family = Places(ends=True, discrete=discrete)
    trajectory = demonstrate(family, TASK, 2, keys.from_int(0))
    found, wanted = demonstrations(to_tf_agents(trajectory), TASK, family), keep(trajectory, TASK)
    tf.nest.assert_same_structure(found, wanted)
    for one, other in zip(tf.nest.flatten(found), tf.nest.flatten(wanted)):
        np.testing.assert_array_equal(one, other)
    assert 0 < tf.reduce_mean(found.mask) < 1
    assert found.action.dtype == (tf.int32 if discrete else tf.float32)


@pytest.mark.slow
def test_a_driver_s_episodes_are_demonstrations():
    environment = FamilyTFEnvironment(ENDING, TASK, 5)
    policy = random_tf_policy.RandomTFPolicy(
        environment.time_step_spec(), environment.action_spec()
    )
    buffer = tf_uniform_replay_buffer.TFUniformReplayBuffer(
        policy.collect_data_spec, environment.batch_size, max_length=20
    )
    driver = dynamic_episode_driver.DynamicEpisodeDriver(
        environment, policy, [buffer.add_batch], num_episodes=environment.batch_size
    )
    driver.run()
    rows = nest.map(lambda x: tf.reshape(x, [3, -1, *x.shape[1:]]), buffer.gather_all())
    found = demonstrations(rows, TASK, ENDING)
    assert found.mask.shape == rows.step_type.shape
    for i, j in np.ndindex(*found.mask.shape[:2]):
        steps = int(np.flatnonzero(rows.step_type[i, j] == ts.StepType.LAST)[0])
        np.testing.assert_array_equal(found.mask[i, j] > 0, np.arange(found.mask.shape[2]) < steps)
    np.testing.assert_array_equal(found.action, rows.action)
    np.testing.assert_array_equal(found.observation["objects"], rows.observation["objects"])
    assert len(found.of(nest.take(TASK, [2])).mask) == 1


def test_what_is_no_trajectory_is_refused():
    good = to_tf_agents(demonstrate(ENDING, TASK, 2, keys.from_int(0)))
    rule = "a Trajectory of TF-Agents"
    for trajectory, task, family, text in (
        (good.action, TASK, ENDING, rule),
        (nest.map(lambda x: x[0], good), TASK, ENDING, r"step_type to be \[N, E, T\],"),
        (good._replace(action=good.reward), TASK, ENDING, r"action of shape \[N, N, N, 2\]"),
        (good, nest.map(lambda x: x[1:], TASK), ENDING, r"first axes of task"),
        (good, TASK, "Places", "environment to be a TaskFamily"),
        (nest.map(lambda x: x[:, :, 8:], good), TASK, ENDING, r"each 1 at least; received .*0"),
        (good._replace(reward=()), TASK, ENDING, r"shapes of reward to be \[3, 2, 8\]"),
        (good._replace(discount=good.discount[0]), TASK, ENDING, "shapes of discount"),
        (good._replace(next_step_type=good.step_type[1:]), TASK, ENDING, "of next_step_type"),
        (good._replace(observation=good.action[:, :, 1:]), TASK, ENDING, "of observation"),
    ):
        with pytest.raises(ConfigError, match=text) as error:
            demonstrations(trajectory, task, family)
        assert "\n" not in str(error.value)
    # Rows that begin where an episode ends show nothing.
    late = nest.map(lambda x: x[:, :, ::-1], good)
    with pytest.raises(ConfigError, match="1 on its first steps"):
        demonstrations(late, TASK, ENDING)
