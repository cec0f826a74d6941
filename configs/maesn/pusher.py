"""MAESN, LatentSpace and MAML where a gripper is to push one of five blocks; in small form."""

from tfcaml.configs.maesn import _methods


def get_config():
    return _methods.experiment(
        "pusher",
        sizes={
            "num_iterations": 50,
            "meta_batch_size": 10,
            "episodes_per_update": 10,
            "test_episodes_per_update": 20,
        },
        policy={"fc_layer_params": (64, 64), "activation": "relu"},
        num_seeds=1,
        evaluation={"num_tasks": 10, "num_updates": 5, "episodes": 10},
    )
