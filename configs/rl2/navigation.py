"""RL^2 and MAML on 2D navigation; MAML paper, section 5.3.1."""

from tfcaml.configs.maml import navigation
from tfcaml.configs.rl2 import _methods


def get_config(reward="distance"):
    return _methods.beside_maml(
        "navigation",
        {"reward": reward, "horizon": 100 if reward == "distance" else 20},
        maml=navigation.SHARED,
        policy={"fc_layer_params": (100, 100), "activation": "relu"},
        num_updates=3,
        num_seeds=5,
    )
