"""Reaching for the block of the colour that one demonstration shows; docs/mil.md.

150 test tasks have colours that no training task has. The settings were chosen on seeds from 100
on. "blocks" lets policies observe the blocks' places and colours, "image" a picture.
"""

from tfcaml.configs.mil import _methods

from tfcaml.errors import check_one_of

OBSERVED = ("blocks", "image")
_CONTEXTUAL = ("contextual", {})
_LSTM = ("recurrent_cloning", {})


def get_config(observed="blocks"):
    check_one_of("observed", observed, OBSERVED)
    demonstrations = {"per_task": 10, "noise": 0.3, "steps": 10}
    return _methods.experiment(
        "colour_reach",
        {"num_train": 750, "observes": observed},
        shared={
            "num_iterations": 16_000,
            "meta_batch_size": 25,
            "multiplier": 10.0,
            "demonstrations": demonstrations,
            "outer": {"decays": True},
        },
        adapted={
            "inner_learning_rate": 1e-3,
            "clip": 100.0,
            "network": {"object_layers": 2, "object_units": 100, "places": 2},
        },
        conditioned={
            "network": {
                "object_layers": 2,
                "object_units": 100,
                "places": 16,
                "temperature": 1.0,
            }
        },
        compared={
            "no_bias_transform": ("mil", {"network": {"bias_transform": 0}}),
            "first_order": ("mil", {"first_order": True}),
            "cloning": ("cloning", {}),
            "contextual": _CONTEXTUAL,
            "lstm": _LSTM,
            "lstm_attention": ("recurrent_cloning", {"attention": True}),
        },
        policy={"fc_layer_params": (100, 100, 100), "activation": "relu"},
        num_seeds=3,
        evaluation={"num_tasks": 150, "num_updates": 1, "episodes": 10},
        save_interval=4000,
        log_interval=100,
    )
