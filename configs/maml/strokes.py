"""MAML on made-up strokes: few-shot classification that needs no data, learned in minutes."""

from tfcaml.configs import base
from tfcaml.configs.maml import _few_shot

from tfcaml import environments


def get_config():
    outer = {"learning_rate": 2e-3, "decays": True}
    maml = {"num_iterations": 1000, "meta_batch_size": 16, "outer": outer}
    return _few_shot.experiment(
        base.section("strokes", environments.StrokesConfig()),
        {"maml_classification": maml},
        ("nearest_neighbour",),
        evaluation={"num_tasks": 100, "num_updates": 3, "episodes": 75},
        save_interval=200,
        log_interval=20,
    )
