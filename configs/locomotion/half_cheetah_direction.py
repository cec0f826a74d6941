"""Half-cheetah, forwards or backwards, as ProMP's code has it; MAML paper, section 5.3.2."""

from tfcaml.configs.locomotion import _methods


def get_config():
    return _methods.experiment("half_cheetah_direction", num_tasks=2)
