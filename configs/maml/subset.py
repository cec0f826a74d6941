"""How much has to be adapted: all weights, the head, or a context vector; 2D navigation.

MAML, ANIL and CAVIA with what an iteration samples, with the trust region and with the measurement
of `maml_navigation.py`, of which all take half a step beyond the one that was trained. CAVIA's step
and its context are those of its own code; whole further steps, as in that code, gained nothing on
seeds 100 to 102 (-11 after one, two and three steps; with halves -12, -7 and -6).
"""

from tfcaml.configs import base
from tfcaml.configs.maml import navigation as maml_navigation

from tfcaml import environments, learners

CAVIA = {"inner_learning_rate": 1.0, "later_step_scale": 0.5, "context_size": 5}


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
