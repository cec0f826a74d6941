"""Bernoulli bandits of 10 arms, 100 pulls; RL^2 paper, section 3.1."""

from tfcaml.configs.rl2 import _methods


def get_config():
    return _methods.trials(
        "bandit",
        {"num_arms": 10, "horizon": 100},
        episodes=1,
        learner=_methods.BANDITS_OF_100,
        num_iterations=400,
    )
