"""Ant, forwards or backwards; MAML paper, section 5.3.2."""

from tfcaml.configs.locomotion import _methods


def get_config(integrator="euler"):
    # A third of half-cheetah's iterations, for the time that they take.
    return _methods.experiment(
        "ant_direction", num_tasks=2, num_iterations=100, integrator=integrator
    )
