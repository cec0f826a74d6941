"""Catch: a discount that is learned from 0.9 on, and A2C with five that are fixed."""

from tfcaml.configs.meta_gradient import _methods

SHARED = {
    **{"num_iterations": 40, "inner_updates": 10, "episodes_per_update": 16},
    **{"inner_optimizer": "adam", "inner_learning_rate": 3e-3},
}


def get_config():
    return _methods.beside_fixed(
        "catch", {}, SHARED, {"outer_learning_rate": 0.03}, fc_layer_params=(64,)
    )
