"""Catch: a discount that is learned from 0.9 on, and A2C with five that are fixed."""

from tfcaml.configs.meta_gradient import _methods

SHARED = {
    **{"num_iterations": 60, "inner_updates": 10, "episodes_per_update": 64},
    **{"inner_optimizer": "sgd", "inner_learning_rate": 0.7},
}


def get_config():
    return _methods.beside_fixed(
        "catch",
        {},
        SHARED,
        # Without a trace the meta-gradient looks one update ahead, where less noise is worth more
        # than what a larger discount finds in the long run.
        {"outer_critic": True, "trace_decay": 0.9, "outer_learning_rate": 0.3},
        fc_layer_params=(64,),
    )
