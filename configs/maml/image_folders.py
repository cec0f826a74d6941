"""MAML on a user's own images (MAML paper, section 5.2, MiniImagenet): set environment.path.

    tfcaml train --config=maml/image_folders --config.environment.path=FOLDER --root_dir=DIR

FOLDER has a folder of images for each class in its folders train and test, see
`environments.ImageFoldersConfig`. The settings are those of the paper's code on MiniImagenet.
"""

from tfcaml.configs import base
from tfcaml.configs.maml import _few_shot

from tfcaml import environments

_NETWORK = {"network": "pooled", "meta_batch_size": 4, "episodes_per_update": 75}


def get_config(shots="1"):
    """shots: labelled images of each class."""
    outer = {"max_grad_norm": 10.0}
    maml = {**_NETWORK, "inner_updates": 5, "inner_learning_rate": 0.01, "outer": outer}
    return _few_shot.experiment(
        base.section("image_folders", environments.ImageFoldersConfig(shots=int(shots))),
        {"maml_classification": maml, "prototypical": {**_NETWORK, "outer": outer}},
        ("prototypical", "nearest_neighbour"),
        evaluation={"num_tasks": 100, "num_updates": 10, "episodes": 75},
        save_interval=500,
        log_interval=50,
    )
