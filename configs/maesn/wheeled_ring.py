"""MAESN, LatentSpace and MAML where a robot on wheels looks for a place on a half circle."""

from tfcaml.configs.maesn import _methods


def get_config():
    return _methods.experiment(
        "wheeled_ring",
        sizes={
            "num_iterations": 60,
            "meta_batch_size": 20,
            "episodes_per_update": 20,
            "test_episodes_per_update": 50,
        },
        chosen=_methods.ROBOTS,
        policy={"fc_layer_params": (64, 64), "activation": "relu"},
        num_seeds=5,
        evaluation={"num_tasks": 20, "num_updates": 10, "episodes": 20},
    )
