"""Settings of pretraining and of Reptile that `maml/navigation` chooses among.

`--config=maml/navigation_tuning:pretrained` or `:reptile`, with `--seed=100`, so that no
other run sees the goals. The best is the highest return, mean over 0 to 3 steps.
"""

import itertools

from tfcaml.configs.maml import navigation as maml_navigation

METHODS = {
    # The longer it trains, the smaller its standard deviation and the longer a step of a rate.
    "pretrained": {
        f"rate_{rate}".replace(".", "_"): maml_navigation.pretrained(inner_learning_rate=rate)
        for rate in (0.02, 0.05, 0.1, 0.2, 0.5)
    },
    "reptile": {
        f"updates_{updates}_step_{step}".replace(".", "_"): maml_navigation.reptile(
            inner_updates=updates, outer_step_size=step
        )
        for updates, step in itertools.product((1, 3), (0.25, 0.5, 1.0))
    },
}


def get_config(method="pretrained"):
    config = maml_navigation.get_config()
    settings = dict(METHODS[method])
    config.learner = settings.pop(next(iter(settings)))  # the table calls it by the method's name
    config.compared = settings
    return config
