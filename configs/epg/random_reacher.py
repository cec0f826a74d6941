"""A learned loss for arms with links of their own, in small form; docs/epg.md.

The settings were chosen on training tasks, with seed 100. Lives have 32 updates of 100
steps; the paper has 65,536 steps.
"""

from tfcaml.configs.epg import _methods


def get_config():
    return _methods.experiment(
        "random_reacher",
        {"action_range": 1.0},
        life={"episodes_per_update": 4, "unroll": 25, "minibatches": 4},
        epg={
            "num_iterations": 100,
            "inner_learning_rate": 1e-2,
            "memory": 0,
            "outer": {"population": 32, "learning_rate": 0.03},
        },
        ppo={"inner_learning_rate": 1e-2, "minibatches": 5},
        num_updates=32,
        policy={"fc_layer_params": (32, 32), "activation": "tanh"},
        num_seeds=3,
        evaluation={"num_tasks": 40, "num_updates": 32, "episodes": 5},
        save_interval=20,
    )
