"""Pushing of the object of the colour that one demonstration shows; docs/mil.md.

74 test tasks have colours that no training task has. The settings were chosen on seeds from 100 on.
"""

from tfcaml.configs.mil import _methods


def get_config():
    network = {"object_layers": 2, "object_units": 100}
    video = {"demonstrations": {"shown": "video"}}
    return _methods.experiment(
        "colour_push",
        {"num_train": 300},
        shared={
            "num_iterations": 4000,
            "meta_batch_size": 15,
            "multiplier": 10.0,
            "demonstrations": {"per_task": 12, "noise": 0.1, "steps": 20},
            "outer": {"decays": True},
        },
        adapted={
            "inner_learning_rate": 1e-3,
            "clip": 100.0,
            "network": {**network, "places": 2},
        },
        conditioned={"network": {**network, "places": 16, "temperature": 1.0}},
        compared={
            "states": ("mil", _methods.states()),
            "video": ("mil", {"network": _methods.LEARNED_LOSS, **video}),
            "cloning": ("cloning", {}),
            "contextual": ("contextual", {}),
            "contextual_video": ("contextual", video),
            "lstm": ("recurrent_cloning", {}),
            "lstm_attention": ("recurrent_cloning", {"attention": True}),
            "lstm_video": ("recurrent_cloning", video),
            **_methods.seeing_all(),
        },
        policy={"fc_layer_params": (100, 100, 100), "activation": "relu"},
        num_seeds=3,
        evaluation={"num_tasks": 74, "num_updates": 1, "episodes": 6},
        save_interval=1000,
        log_interval=100,
    )
