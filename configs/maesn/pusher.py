"""MAESN, LatentSpace and MAML where a gripper is to push one of five blocks; in small form."""

from tfcaml.configs.maesn import _methods


def get_config():
    return _methods.small("pusher")
