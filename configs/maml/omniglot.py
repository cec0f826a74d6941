"""MAML on Omniglot (MAML paper, section 5.2): characters of alphabets never seen, 5-way.

The two small background sets, which come with the package: 161 characters of five alphabets to
learn from, turned to 644 classes, and 81 of three other ones to be tested on.
`--config=maml/omniglot:5` is 5-shot. What differs from the paper was chosen by other training
alphabets, see docs/maml_omniglot.md.
"""

from tfcaml.configs import base
from tfcaml.configs.maml import _few_shot

from tfcaml import environments
from tfcaml.errors import check_one_of

COMPARED = ("first_order", "prototypical", "pretrained_classification", "nearest_neighbour")
_OUTER = {"learning_rate": 2e-3, "decays": True}
# As many queries in each iteration, about a hundred.
_SIZES = {
    1: {"num_iterations": 2500, "meta_batch_size": 16, "episodes_per_update": 5},
    5: {"num_iterations": 2500, "meta_batch_size": 4, "episodes_per_update": 25},
}


def get_config(shots="1"):
    """shots: labelled drawings of each class, "1" or "5"."""
    check_one_of("shots", shots, ("1", "5"))
    shots = int(shots)
    maml = {**_SIZES[shots], "outer": _OUTER}
    shorter = {**maml, "num_iterations": 1000}
    sizes = {
        "maml_classification": maml,
        # As an iteration takes half the time.
        "first_order": {**maml, "num_iterations": 2 * maml["num_iterations"]},
        "prototypical": shorter,
        "pretrained_classification": {
            **shorter,
            "meta_batch_size": 16,
            "episodes_per_update": 5,
            "inner_learning_rate": 0.1,
        },
    }
    family = environments.OmniglotConfig(shots=shots, shift=2)
    return _few_shot.experiment(
        base.section("omniglot", family),
        sizes,
        COMPARED,
        num_seeds=3,
        evaluation={"num_tasks": 100, "num_updates": 5, "episodes": 75},
        save_interval=500,
        log_interval=50,
    )
