"""A learner as a TFAgent: the same numbers, TF-Agents' Learner, its checkpoints and its data."""

import numpy as np
import pytest
import tensorflow as tf
from tf_agents.drivers import dynamic_episode_driver
from tf_agents.environments import tensor_spec  # noqa: F401
from tf_agents.replay_buffers import tf_uniform_replay_buffer
from tf_agents.train import learner as tf_agents_learner
from tf_agents.utils import common

from tfcaml import agents, learners, nest, training
from tfcaml.agents.trajectories import from_tf_agents
from tfcaml.environments.tf_agents import FamilyTFEnvironment
from tfcaml.errors import ConfigError

SETTINGS = {
    "meta_batch_size": 2,
    "episodes_per_update": 3,
    "outer_optimizer": "adam",
    "inner_updates": 2,
    "num_iterations": 2,
}
