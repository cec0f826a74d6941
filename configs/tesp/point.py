"""TESP with its ablations and its kin on the targets of a point; docs/tesp.md.

The settings were chosen on it, with seeds 100 to 102.
"""

from tfcaml.configs.tesp import _methods


def get_config():
    return _methods.experiment("point_target", num_seeds=5)
