"""MAML on 2D navigation with all 20 tasks in TRPO's products, for `fisher_subsample` to be judged."""

from configs import maml_navigation


def get_config():
    config = maml_navigation.get_config()
    config.learner.fisher_subsample = 0
    config.baselines = {}
    return config
