"""The Markov reward process in which a discount for each state is worth learning."""

from tfcaml.configs.meta_gradient import _methods


def get_config():
    return _methods.process("discount")
