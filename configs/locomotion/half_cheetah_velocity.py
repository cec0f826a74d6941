"""Half-cheetah at speeds from 0 to 2 m/s, the range of the MAML paper, section 5.3.2."""

from tfcaml.configs.locomotion import _methods


def get_config():
    # On training tasks, what adaptation gains grows for some 70 iterations and then stays.
    return _methods.experiment(
        "half_cheetah_velocity", num_tasks=40, num_iterations=100, highest_speed=2.0
    )
