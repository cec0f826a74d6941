"""The discounting chain whose payment after 30 steps is the best, from a discount of 0.95."""

from tfcaml.configs.meta_gradient import _methods

SHARED = {
    **{"num_iterations": 30, "inner_updates": 50, "episodes_per_update": 128},
    # Losses are means over 100 steps, of which one decides. The critic has to be right before the
    # policy has made up its mind, so that its error counts for more.
    **{"inner_optimizer": "sgd", "inner_learning_rate": 10.0, "value_weight": 8.0},
    **{"entropy_weight": 0.005, "advantage": _methods.advantage(0.95)},
    **{"discount_low": 0.9, "outer_discount": 1.0, "outer_learning_rate": 0.3},
}


def get_config():
    alone = _methods.section("meta_gradient", {**SHARED, "outer_critic": False})
    return _methods.alone(
        "discounting_chain",
        {"observation": "one_hot"},
        {**SHARED, "outer_critic": True},
        compared={"without_outer_critic": alone},
    )
