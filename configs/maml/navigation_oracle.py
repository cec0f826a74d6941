"""The ceiling of `maml/navigation`: a policy that sees the goal and has nothing to adapt to."""

from tfcaml.configs.maml import navigation as maml_navigation


def get_config():
    config = maml_navigation.get_config(observe_goal=True)
    config.evaluation.num_updates = 0
    return config
