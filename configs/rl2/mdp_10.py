"""Tabular MDPs of 10 states and 5 actions, 10 episodes of 10 steps; RL^2 paper, section 3.2."""

from tfcaml.configs.rl2 import _methods


def get_config():
    return _methods.trials(
        "tabular_mdp",
        {},
        episodes=10,
        learner={**_methods.MDPS, "meta_batch_size": 1500},
        num_iterations=250,
        fc_layer_params=(128,),
    )
