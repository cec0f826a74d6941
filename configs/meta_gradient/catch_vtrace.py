"""Catch by V-trace; and where weights of five updates ago play, by V-trace and uncorrected."""

from tfcaml.configs.meta_gradient import _methods

SHARED = {
    **{"num_iterations": 40, "inner_updates": 10, "episodes_per_update": 16},
    **{"inner_optimizer": "adam", "inner_learning_rate": 0.015},
    "advantage": _methods.advantage(0.99),
}
LAG = 5  # updates


def get_config():
    lagging = {**SHARED, "lag": LAG}
    return _methods.alone(
        "catch",
        {},
        SHARED,
        fc_layer_params=(64,),
        main="vtrace",
        compared={
            "vtrace_lag": _methods.section("vtrace", lagging),
            "uncorrected_lag": _methods.section("a2c", lagging),
        },
    )
