"""Tabular MDPs of 10 states and 5 actions, 10 episodes of 10 steps; RL^2 paper, section 3.2."""

from tfcaml.configs.rl2 import _methods


def get_config():
    critic = {"baseline": "recurrent", "gae_lambda": 0.3}  # lambda: the authors' code
    return _methods.trials(
        "tabular_mdp",
        {},
        episodes=10,
        learner={
            **{"units": 128, "meta_batch_size": 500, "trials_per_task": 1, "advantage": critic},
            **{"critic_steps": 20, "critic_learning_rate": 2e-3},
        },
        num_iterations=500,
    )
