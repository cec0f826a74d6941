"""MAESN, LatentSpace and MAML where a point looks for a place on a half circle.

The settings were chosen on seeds from 100 on, see docs/maesn.md.
"""

from tfcaml.configs.maesn import _methods


def get_config():
    return _methods.experiment(
        "point_ring",
        sizes={
            "num_iterations": 150,
            "meta_batch_size": 20,
            "episodes_per_update": 20,
            "test_episodes_per_update": 50,
        },
        chosen=_methods.POINT,
        policy={"fc_layer_params": (32, 32), "activation": "relu"},
        num_seeds=10,
        evaluation={"num_tasks": 40, "num_updates": 10, "episodes": 20},
    )
