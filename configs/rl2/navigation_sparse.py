"""RL^2 and MAML on 2D navigation with a sparse reward, as PEARL has it."""

from tfcaml.configs.rl2 import navigation


def get_config():
    return navigation.get_config("sparse")
