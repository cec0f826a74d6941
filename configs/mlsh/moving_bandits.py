"""Sub-policies for two goals, of which only the reward tells the real one; docs/mlsh.md.

All methods but PPO, which learns each task from scratch, play 16 million steps in training. The
settings were chosen on seeds from 100 on.
"""

from tfcaml.configs.mlsh import _methods

LIVES = {"num_iterations": 100, "meta_batch_size": 8, "inner_updates": 10}


def get_config():
    return _methods.experiment(
        "moving_bandits",
        {},
        life={"episodes_per_update": 40},
        chosen={**LIVES, "warm_up": 9},
        others={
            "mlsh_no_warm_up": ("mlsh", {**LIVES, "warm_up": 0}),
            "shared": (
                "pretrained",
                {
                    "num_iterations": 1000,
                    "meta_batch_size": 8,
                    "inner_learning_rate": 0.1,
                    "outer": {"optimizer": "ppo", "steps": 10, "learning_rate": 2e-3},
                },
            ),
            "ppo": ("ppo", {"inner_learning_rate": 0.02, "minibatches": 4}),
            "caml": ("caml", {**LIVES, "policies_per_clustering": 40, "num_medoids": 4}),
            "maml": (
                "maml",
                {
                    "num_iterations": 500,
                    "meta_batch_size": 8,
                    "inner_updates": 1,
                    "inner_learning_rate": 0.5,
                    "outer": {"fisher_subsample": 5, "cg_iterations": 10},
                },
            ),
        },
        policy={"fc_layer_params": (32, 32), "activation": "tanh"},
        num_seeds=5,
        evaluation={"num_tasks": 2, "num_updates": 20, "episodes": 200},
        save_interval=20,
    )
