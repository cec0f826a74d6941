"""Reaching for the block of the colour that one demonstration shows; docs/mil.md.

150 test tasks have colours that no training task has. The settings were chosen on seeds from 100
on. "blocks" lets policies observe the blocks' places and colours, "image" a picture.
"""

from tfcaml.configs.mil import _methods

from tfcaml.errors import check_one_of

OBSERVED = ("blocks", "image")


def get_config(observed="blocks"):
    check_one_of("observed", observed, OBSERVED)
    sizes, adapted, conditioned, compared = _blocks() if observed == "blocks" else _image()
    return _methods.experiment(
        "colour_reach",
        {"num_train": 750, "observes": observed},
        shared={**sizes, "multiplier": 10.0, "outer": {"decays": True}},
        adapted={"inner_learning_rate": 1e-3, "clip": 100.0, "network": adapted},
        conditioned={"network": conditioned},
        compared={**compared, "contextual": ("contextual", {}), "lstm": ("recurrent_cloning", {})},
        policy={"fc_layer_params": (100, 100, 100), "activation": "relu"},
        num_seeds=3,
        evaluation={"num_tasks": 150, "num_updates": 1, "episodes": 10},
        save_interval=1000,
        log_interval=100,
    )


def _blocks():
    """(sizes, networks of those that are adapted and those that are shown it, what is compared)."""
    sizes = {
        "num_iterations": 10_000,
        "meta_batch_size": 25,
        "demonstrations": {"per_task": 10, "noise": 0.3, "steps": 10},
    }
    objects = {"object_layers": 2, "object_units": 100}
    compared = {
        "states": ("mil", _methods.states()),
        "no_bias_transform": ("mil", {"network": {"bias_transform": 0}}),
        "first_order": ("mil", {"first_order": True}),
        "cloning": ("cloning", {}),
        "lstm_attention": ("recurrent_cloning", {"attention": True}),
        **_methods.seeing_all(),
    }
    return sizes, {**objects, "places": 2}, {**objects, "places": 16, "temperature": 1.0}, compared


def _image():
    """As `_blocks`."""
    sizes = {
        "num_iterations": 5000,
        "meta_batch_size": 16,
        "demonstrations": {"per_task": 6, "noise": 0.3, "steps": 8},
    }
    attention = {
        "filters": 32,
        "kernel_sizes": (2, 1),
        "strides": (2, 1),
        "image_features": "attention",
        "places": 2,
        "temperature": 10.0,
    }
    paper = {"filters": 30, "kernel_sizes": (3, 3, 3), "strides": (2, 2, 2)}
    # More places, as the arm is to be seen as well, and where it ends is predicted.
    video = {
        "demonstrations": {"shown": "video"},
        "network": {**_methods.LEARNED_LOSS, "places": 6},
        "pose": "effector",
        "pose_weight": 1.0,
    }
    return sizes, attention, paper, {"video": ("mil", video)}
