"""Ant, forwards or backwards; MAML paper, section 5.3.2."""

from tfcaml.configs.locomotion import _methods


def get_config(integrator="euler"):
    # An ant takes three times as long to simulate as a half-cheetah.
    return _methods.experiment(
        "ant_direction", num_tasks=2, num_iterations=100, integrator=integrator
    )
