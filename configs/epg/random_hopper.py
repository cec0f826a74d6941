"""A learned loss for hoppers with bodies of their own, in small form; docs/epg.md.

The settings were chosen on training tasks, with seed 100. Lives have 16 updates of 64 steps; EPG's
code has 128.
"""

from tfcaml.configs.epg import _methods


def get_config():
    return _methods.experiment(
        "random_hopper",
        {"horizon": 250, "frame_skip": 4, "action_range": 1.0},
        life={"episodes_per_update": 4, "unroll": 16, "minibatches": 4},
        epg={
            "num_iterations": 150,
            "inner_learning_rate": 3e-4,
            "memory": 0,
            "outer": {"population": 64, "learning_rate": 0.03},
        },
        ppo={"inner_learning_rate": 3e-3},
        num_updates=16,
        policy={"fc_layer_params": (32, 32), "activation": "tanh"},
        num_seeds=3,
        evaluation={"num_tasks": 40, "num_updates": 16, "episodes": 5},
        save_interval=20,
    )
