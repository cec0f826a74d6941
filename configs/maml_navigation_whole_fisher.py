"""`maml_navigation.py` with all 20 tasks in TRPO's products, to judge `fisher_subsample` by."""

from configs import maml_navigation


def get_config():
    config = maml_navigation.get_config()
    config.learner.outer.fisher_subsample = 0
    config.compared = {}
    return config
