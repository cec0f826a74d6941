"""What the experiments with MLSH share: what sub-policies are compared with."""

from tfcaml.configs import base

from tfcaml import environments, learners


def experiment(family, options, life, chosen, others, **settings):
    """MLSH and what it is compared with.

    Args:
      family: its name.
      options: dict, of the family.
      life: dict of settings that all methods share.
      chosen: dict of settings of MLSH.
      others: dict name -> (name of a learner, dict of its settings).
      **settings: of the experiment.
    """
    made = lambda name, **own: base.section(name, learners.LEARNERS[name].Config(**{**life, **own}))
    return base.experiment(
        environment=base.section(family, environments.ENVIRONMENTS[family][1](**options)),
        learner=made("mlsh", **chosen),
        compared={label: made(name, **own) for label, (name, own) in others.items()},
        **settings,
    )
