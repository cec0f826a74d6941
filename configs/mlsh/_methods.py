"""What the experiments with MLSH share: what sub-policies are compared with."""

from tfcaml.configs import base

from tfcaml import environments, learners


def experiment(family, options, life, mlsh, others, **settings):
    """MLSH with and without a warm-up, and other methods.

    Args:
      family: its name.
      options: dict, of the family.
      life: dict of what all methods share: episodes_per_update.
      mlsh: dict of settings of MLSH.
      others: dict name -> (name of a learner, dict of its settings).
      **settings: of the experiment.
    """
    made = lambda name, **own: base.section(name, learners.LEARNERS[name].Config(**{**life, **own}))
    return base.experiment(
        environment=base.section(family, environments.ENVIRONMENTS[family][1](**options)),
        learner=made("mlsh", **mlsh),
        compared={
            "mlsh_no_warm_up": made("mlsh", **{**mlsh, "warm_up": 0}),
            **{label: made(name, **own) for label, (name, own) in others.items()},
        },
        **settings,
    )
