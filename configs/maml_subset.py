"""How much has to be adapted: all weights, the head, or a context vector; 2D navigation.

MAML, ANIL and CAVIA with what an iteration samples, with the trust region and with the measurement
of `maml_navigation.py`. CAVIA's step sizes are those of its own code.
"""

from configs import base, maml_navigation
from tfcaml import environments, learners

CAVIA = {
    "inner_learning_rate": 1.0,
    "later_step_scale": 1.0,
    "context_size": 5,
}


def get_config():
    section = lambda name, **changes: base.section(
        name, learners.LEARNERS[name].Config(**{**maml_navigation.SHARED, **changes})
    )
    return base.experiment(
        environment=base.section("navigation", environments.NavigationConfig()),
        policy={"fc_layer_params": (100, 100), "activation": "relu"},
        learner=section("maml"),
        compared={"anil": section("anil"), "cavia": section("cavia", **CAVIA)},
        num_seeds=3,
        evaluation={"num_tasks": 40, "num_updates": 3, "episodes": 20},
        save_interval=20,
    )
