"""Ant, forwards or backwards; MAML paper, section 5.3.2."""

from tfcaml.configs.locomotion import _methods


def get_config(integrator="euler"):
    return _methods.experiment("ant_direction", num_tasks=2, integrator=integrator)
