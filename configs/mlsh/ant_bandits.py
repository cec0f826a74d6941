"""Sub-policies for an ant and two targets, in small form; docs/mlsh.md.

Episodes have 400 of the paper's 1000 steps, of which the master decides every 50. A step costs 30
times as much as in the paper, so that critics have something to learn. The settings were chosen on
seeds 101 and 0, which share both tasks with all others.
"""

from tfcaml.configs.mlsh import _methods


def get_config():
    return _methods.experiment(
        "ant_bandits",
        {"horizon": 400, "distance_cost": 0.01, "action_range": 3.0},
        life={"episodes_per_update": 10},
        chosen={
            "num_iterations": 90,
            "meta_batch_size": 6,
            "inner_updates": 12,
            "warm_up": 8,
            "period": 50,
            "inner_learning_rate": 0.03,
            "master_steps": 8,
            "sub_learning_rate": 1e-3,
            "sub_steps": 60,
            "sub_minibatches": 15,
            "advantage": {"gae_lambda": 0.95},
        },
        others={"ppo": ("ppo", {"inner_learning_rate": 1e-3, "minibatches": 16})},
        policy={"fc_layer_params": (64, 64), "activation": "tanh"},
        num_seeds=1,
        evaluation={"num_tasks": 2, "num_updates": 20, "episodes": 20},
        save_interval=5,
    )
