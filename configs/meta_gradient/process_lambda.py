"""The Markov reward process in which a lambda for each state is worth learning."""

from tfcaml.configs.meta_gradient import _methods


def get_config():
    # The loss is a mean over the nine steps of an episode, so that a value moves by 0.05 of its
    # error. The more it moves, the more noise comes into what a lambda is judged by.
    return _methods.process(
        "lambda", num_iterations=80, inner_learning_rate=0.45, outer_learning_rate=50.0
    )
