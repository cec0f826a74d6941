"""CartPole: a discount that is learned from 0.9 on, and A2C with five that are fixed.

The one cart is gymnasium's but for a thousandth; episodes are cut after 200 steps.
"""

from tfcaml.configs.meta_gradient import _methods

SHARED = {
    **{"num_iterations": 60, "inner_updates": 10, "episodes_per_update": 8},
    "inner_learning_rate": 1e-2,
}
_CART = {"length": 0.5, "pole_mass": 0.1, "cart_mass": 1.0, "force": 10.0}  # gymnasium's
ONE_CART = {
    **{f"min_{name}": 0.999 * value for name, value in _CART.items()},
    **{f"max_{name}": 1.001 * value for name, value in _CART.items()},
    **{"reversed_fraction": 0.0, "num_train": 1},
}


def get_config():
    return _methods.beside_fixed(
        "cart_pole",
        ONE_CART,
        SHARED,
        # A return that looks further than those it is judged by would only be noisier.
        {"trace_decay": 0.9, "outer_learning_rate": 0.3, "discount_high": 0.995},
        fc_layer_params=(64,),
    )
