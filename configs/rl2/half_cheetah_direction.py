"""RL^2 and MAML on half-cheetah's two directions; in small form."""

from tfcaml.configs.rl2 import _methods


def get_config():
    return _methods.beside_maml(
        "half_cheetah_direction",
        {},
        maml={
            "num_iterations": 100,
            "meta_batch_size": 20,
            "episodes_per_update": 10,
            "inner_learning_rate": 0.3,
            "inner_estimator": "likelihood_ratio",
            "outer": {"fisher_subsample": 0, "cg_iterations": 10},
        },
        policy={"fc_layer_params": (64, 64), "activation": "tanh"},
        num_updates=2,
        num_tasks=2,
        num_seeds=3,
    )
