"""Catch by V-trace; and where weights of five updates ago play, by V-trace and uncorrected."""

from tfcaml.configs.meta_gradient import _methods

SHARED = {
    **{"inner_updates": 10, "episodes_per_update": 16, "inner_optimizer": "adam"},
    "advantage": _methods.advantage(0.99),
}
ON_POLICY = {**SHARED, "num_iterations": 60, "inner_learning_rate": 0.005}
# Steps that are large enough for five updates to change the policy, and little entropy to hold it;
# what comes of that differs from life to life, so that a seed's result is the mean of eight.
LAGGING = {
    "meta_batch_size": 8,
    **{**SHARED, "num_iterations": 40, "inner_learning_rate": 0.015},
    **{"entropy_weight": 0.003, "lag": 5},
}


def get_config():
    return _methods.alone(
        "catch",
        {},
        ON_POLICY,
        fc_layer_params=(64,),
        main="vtrace",
        evaluation={"num_tasks": 8, "num_updates": 0, "episodes": 100},
        compared={
            "vtrace_lag": _methods.section("vtrace", LAGGING),
            "uncorrected_lag": _methods.section("a2c", LAGGING),
        },
    )
