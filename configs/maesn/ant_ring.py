"""MAESN, LatentSpace and MAML where an ant looks for a place on a half circle; in small form."""

from tfcaml.configs.maesn import _methods


def get_config():
    return _methods.small("ant_ring")
