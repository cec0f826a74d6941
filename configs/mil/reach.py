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
    return _methods.experiment(
        "colour_reach",
        {"num_train": 750, "observes": observed},
        **(_blocks() if observed == "blocks" else _image()),
        policy={"fc_layer_params": (100, 100, 100), "activation": "relu"},
        num_seeds=3,
        evaluation={"num_tasks": 150, "num_updates": 1, "episodes": 10},
        save_interval=1000,
        log_interval=100,
    )


def _blocks():
    objects = {"object_layers": 2, "object_units": 100}
    return {
        "shared": {
            "num_iterations": 10_000,
            "meta_batch_size": 25,
            "multiplier": 10.0,
            "demonstrations": {"per_task": 10, "noise": 0.3, "steps": 10},
            "outer": {"decays": True},
        },
        "adapted": {
            "inner_learning_rate": 1e-3,
            "clip": 100.0,
            "network": {**objects, "places": 2},
        },
        "conditioned": {"network": {**objects, "places": 16, "temperature": 1.0}},
        "compared": {
            "states": (
                "mil",
                {
                    "demonstrations": {"shown": "states"},
                    "network": {"two_heads": True, "loss_head": "temporal"},
                },
            ),
            "no_bias_transform": ("mil", {"network": {"bias_transform": 0}}),
            "first_order": ("mil", {"first_order": True}),
            "cloning": ("cloning", {}),
            "contextual": _CONTEXTUAL,
            "lstm": _LSTM,
            "lstm_attention": ("recurrent_cloning", {"attention": True}),
        },
    }


def _image():
    # The paper's convolutions for those that are shown the demonstration.
    paper = {"filters": 30, "kernel_sizes": (3, 3, 3), "strides": (2, 2, 2)}
    # More places, as the arm is to be seen as well, and where it ends is predicted.
    video = {
        "demonstrations": {"shown": "video"},
        "network": {"two_heads": True, "loss_head": "temporal", "places": 6},
        "pose": "effector",
        "pose_weight": 1.0,
    }
    return {
        "shared": {
            "num_iterations": 5000,
            "meta_batch_size": 16,
            "multiplier": 10.0,
            "demonstrations": {"per_task": 6, "noise": 0.3, "steps": 8},
            "outer": {"decays": True},
        },
        "adapted": {
            "inner_learning_rate": 1e-3,
            "clip": 100.0,
            "network": {
                "filters": 32,
                "kernel_sizes": (2, 1),
                "strides": (2, 1),
                "image_features": "attention",
                "places": 2,
                "temperature": 10.0,
            },
        },
        "conditioned": {"network": paper},
        "compared": {"video": ("mil", video), "contextual": _CONTEXTUAL, "lstm": _LSTM},
    }
