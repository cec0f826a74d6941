"""`caml/figure3` without walls: policies that run the wrong way collect returns of -3,000."""

from tfcaml.configs.caml import figure3 as caml_figure3

_METHODS = ("caml_paper", "reptile", "joint", "random", "matched")


def get_config():
    config = caml_figure3.get_config()
    config.environment.arena_bound = float("inf")
    for name in set(config.compared) - set(_METHODS):
        del config.compared[name]
    config.evaluation.num_updates = 5
    return config
