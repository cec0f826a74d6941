"""TESP with its ablations and its kin on the targets of a reacher of two links; docs/tesp.md.

The settings are the point's.
"""

from tfcaml.configs.tesp import _methods


def get_config():
    return _methods.experiment("reacher_2", num_seeds=3)
