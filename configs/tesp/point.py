"""TESP, its ablations and its kin on the point's targets; docs/tesp.md.

Rates were chosen on seeds 100 to 102, see there.
"""

from tfcaml.configs.tesp import _methods


def get_config():
    return _methods.experiment(
        "point_target",
        iterations=80,
        episodes=10,
        tasks=20,
        tesp={
            "context_size": 4,
            "regularizer": 0.0025,  # the code's 0.01 of the mean square
            "encoder_units": 24,
            "buffer_size": 8,
        },
        adapt_sv={},
        maml={"inner_learning_rate": 0.1},
        meta_sgd={"inner_learning_rate": 0.3},
        cavia={"inner_learning_rate": 1.0},
        one_rate=0.1,
        units=32,
        num_seeds=5,
        outer={"steps": 10, "learning_rate": 3e-3},
    )
