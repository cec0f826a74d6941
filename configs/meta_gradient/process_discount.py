"""The Markov reward process in which a discount for each state is worth learning."""

from tfcaml.configs.meta_gradient import _methods


def get_config():
    # The loss is a mean over the ten steps of an episode, so that a value moves by 0.3 of its
    # error. With 0.1 the noise that a return brings into it weighs less than what a discount of 0
    # hides, and some of the even states' discounts go back to 1.
    return _methods.process(
        "discount", num_iterations=40, inner_learning_rate=3.0, outer_learning_rate=10.0
    )
