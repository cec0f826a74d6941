"""MAML on sinusoid regression (MAML paper, section 5.1): ten examples of each curve.

600 held-out curves, 0 to 10 steps on the same ten examples; returns are minus squared errors.
"""

from tfcaml.configs import base

from tfcaml import environments, learners

NUM_ITERATIONS = 15_000  # the paper's code: 70 000


def get_config():
    maml = learners.MAMLRegression.Config(num_iterations=NUM_ITERATIONS)
    pretrained = learners.PretrainedRegression.Config(num_iterations=NUM_ITERATIONS)
    return base.experiment(
        environment=base.section("sinusoid", environments.SinusoidConfig()),
        policy={"fc_layer_params": (40, 40), "activation": "relu"},
        learner=base.section("maml_regression", maml),
        compared={"pretrained": base.section("pretrained_regression", pretrained)},
        num_seeds=5,
        evaluation={"num_tasks": 600, "num_updates": 10, "episodes": 100},
        save_interval=5000,
        log_interval=100,
    )
