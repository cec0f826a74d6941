"""What the experiments with few-shot classification share: methods, and how they are measured."""

from tfcaml.configs import base

from tfcaml import learners

FILTERS = (32, 32, 32, 32)  # of each convolution


def experiment(environment, sizes, compared=(), **settings):
    """The experiment on a family.

    Args:
      environment: section of the family.
      sizes: dict name -> settings of that method; "maml_classification" and those compared.
      compared: names of the other methods; "first_order" is MAML's first-order form.
      **settings: of the experiment.
    """

    def method(name):
        changes = sizes.get(name, {})
        if name == "first_order":
            name, changes = "maml_classification", {**changes, "first_order": True}
        return base.section(name, learners.LEARNERS[name].Config(**changes))

    return base.experiment(
        environment=environment,
        policy={"fc_layer_params": FILTERS, "activation": "relu"},
        learner=method("maml_classification"),
        compared={name: method(name) for name in compared},
        **settings,
    )
