"""Tabular MDPs of 10 states and 5 actions, 25 episodes of 10 steps; RL^2 paper, section 3.2."""

from tfcaml.configs.rl2 import _methods


def get_config():
    return _methods.mdps(25, meta_batch_size=600, learning_rate=2e-2, num_iterations=300)
