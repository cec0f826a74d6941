"""MAML on made-up strokes: few-shot classification that needs no data, learned in minutes."""

from tfcaml.configs import base
from tfcaml.configs.maml import _few_shot

from tfcaml import environments


def get_config():
    maml = {"num_iterations": 800, "meta_batch_size": 16, "outer": {"learning_rate": 2e-3}}
    return _few_shot.experiment(
        base.section("strokes", environments.StrokesConfig()),
        {"maml_classification": maml},
        ("nearest_neighbour",),
        evaluation={"num_tasks": 100, "num_updates": 3, "episodes": 75},
        save_interval=200,
        log_interval=20,
    )
