"""The ceiling of `maml_navigation.py`: a policy that sees the goal and has nothing to adapt to."""

from configs import maml_navigation


def get_config():
    config = maml_navigation.get_config(observe_goal=True)
    config.evaluation.num_updates = 0
    return config
