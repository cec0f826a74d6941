"""Sparse mountain car from scratch: TRPO and REINFORCE, each with VIME and without.

One policy for one car; the held-out car of the evaluation has another power, and nothing is adapted
to it. An iteration is ten episodes of at most 500 steps, so that 20 are 100,000 steps at most.

VIME's settings are those of its code, eta that of its example. Nothing was chosen by how well it
finds the top: on seeds 100 to 105, TRPO found it with them in all six, and alone in two.
"""

from tfcaml.configs import base

from tfcaml import environments, learners

SHARED = {"num_iterations": 20, "meta_batch_size": 1, "episodes_per_update": 10}
VIME = {"eta": 1e-4}
# As of the gradient-based family; the plain policy gradient's own has means of each time step.
ADVANTAGE = {"baseline": "linear_feature"}


def get_config():
    trpo = lambda **vime: base.section(
        "natural_policy_gradient",
        learners.NaturalPolicyGradient.Config(**SHARED, vime=vime),
    )
    reinforce = lambda **vime: base.section(
        "policy_gradient",
        learners.PolicyGradient.Config(**SHARED, advantage=ADVANTAGE, vime=vime),
    )
    return base.experiment(
        environment=base.section("mountain_car", environments.MountainCarConfig()),
        policy={"fc_layer_params": (32,), "activation": "tanh"},
        learner=trpo(**VIME),
        compared={
            "trpo": trpo(),
            "reinforce_vime": reinforce(**VIME),
            "reinforce": reinforce(),
        },
        num_seeds=10,
        evaluation={"num_tasks": 1, "num_updates": 0, "episodes": 20},
    )
