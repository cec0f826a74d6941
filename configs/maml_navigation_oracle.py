"""The ceiling of `maml_navigation.py`: a policy that sees the goal."""

from configs import maml_navigation


def get_config():
    return maml_navigation.get_config(observe_goal=True)
