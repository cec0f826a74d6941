"""Sub-policies for an ant and two targets, in small form; docs/mlsh.md.

Episodes have 400 of the paper's 1000 steps, of which the master decides every 100. A step costs 30
times as much as in the paper, so that critics have something to learn. The settings were chosen on
seed 101.
"""

from tfcaml.configs.mlsh import _methods


def get_config():
    return _methods.experiment(
        "ant_bandits",
        {"horizon": 400, "distance_cost": 0.01, "action_range": 3.0},
        life={"episodes_per_update": 6},
        chosen={
            "num_iterations": 70,
            "meta_batch_size": 8,
            "inner_updates": 8,
            "warm_up": 5,
            "period": 100,
            "inner_learning_rate": 0.05,
            "master_steps": 8,
            "sub_learning_rate": 1e-3,
            "sub_steps": 60,
            "sub_minibatches": 12,
            "advantage": {"gae_lambda": 0.95},
        },
        others={"ppo": ("ppo", {"inner_learning_rate": 1e-3, "minibatches": 12})},
        policy={"fc_layer_params": (64, 64), "activation": "tanh"},
        num_seeds=1,
        evaluation={"num_tasks": 2, "num_updates": 20, "episodes": 20},
        save_interval=5,
    )
