"""Action distributions as tensors, and back.

Tensors can be stored, differentiated with respect to, and passed through a loop; distributions
can't.
"""

from tf_agents.distributions import utils as distribution_utils


def tensors(distribution):
    """The tensors a distribution was made of, as a nest of [N, B, ...]."""
    parameters = distribution_utils.get_parameters(distribution)
    return distribution_utils.parameters_to_dict(parameters, tensors_only=True)


def rebuild(like, values):
    """A distribution of the kind of `like` made of `values`, a nest as `tensors` gives."""
    parameters = distribution_utils.get_parameters(like)
    merged = distribution_utils.merge_to_parameters_from_dict(parameters, values)
    return distribution_utils.make_from_parameters(merged)
