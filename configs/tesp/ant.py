"""TESP and its kin on the targets of an ant, in small form; docs/tesp.md.

The settings are the point's.
"""

from tfcaml.configs.tesp import _methods


def get_config():
    return _methods.experiment(
        "ant_target", num_seeds=1, compared=_methods.KIN, iterations=40, tasks=10
    )
