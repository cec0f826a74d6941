"""Sub-policies for an ant and two targets, in small form; docs/mlsh.md.

Episodes have 400 of the paper's 1000 steps, of which the master decides every 100, and a step costs
the root of the distance itself. The settings were chosen on seed 100.
"""

from tfcaml.configs.mlsh import _methods


def get_config():
    return _methods.experiment(
        "ant_bandits",
        {"horizon": 400, "distance_cost": 1.0},
        life={"episodes_per_update": 8},
        chosen={
            "num_iterations": 36,
            "meta_batch_size": 8,
            "groups": 2,
            "inner_updates": 30,
            "warm_up": 10,
            "period": 100,
            "inner_learning_rate": 0.02,
            "master_steps": 8,
            "sub_learning_rate": 1e-3,
            "sub_steps": 10,
        },
        others={"ppo": ("ppo", {"inner_learning_rate": 1e-3, "minibatches": 10})},
        policy={"fc_layer_params": (64, 64), "activation": "tanh"},
        num_seeds=1,
        evaluation={"num_tasks": 2, "num_updates": 20, "episodes": 20},
        save_interval=4,
    )
