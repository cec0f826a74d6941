"""What the experiments with meta-imitation share: MIL, and what it is compared with."""

from tfcaml.configs import base

from tfcaml import environments, learners, settings

LEARNED_LOSS = {"two_heads": True, "loss_head": "temporal"}


def experiment(family, options, shared, adapted, conditioned, compared, **others):
    """MIL and what it is compared with.

    Args:
      family: its name.
      options: dict, of the family.
      shared: dict of settings that all methods share.
      adapted: dict of settings of MIL, and of behaviour cloning on a demonstration.
      conditioned: dict of settings of the policies that are shown the demonstration.
      compared: dict name -> (name of a learner, dict of its settings beside these).
      **others: settings of the experiment.
    """

    def made(name, own):
        kind = conditioned if name in ("contextual", "recurrent_cloning") else adapted
        fields = settings.merged(settings.merged(shared, kind), own)
        return base.section(name, learners.LEARNERS[name].Config(**fields))

    return base.experiment(
        environment=base.section(family, environments.ENVIRONMENTS[family][1](**options)),
        learner=made("mil", {}),
        compared={label: made(name, own) for label, (name, own) in compared.items()},
        **others,
    )


def states():
    """Settings of MIL from demonstrations without actions, by a learned loss."""
    return {"demonstrations": {"shown": "states"}, "network": LEARNED_LOSS}


def seeing_all():
    """What is compared once more: attention to objects sees arm and demonstration beside each.

    Whoever is shown a demonstration can then ask which object has the colour shown; else objects
    are pooled before the demonstration joins.
    """
    adapted = {"network": {"attention_sees": "all"}}
    conditioned = {"network": {**adapted["network"], "places": 4, "temperature": 10.0}}
    return {
        "mil_sees_all": ("mil", adapted),
        "states_sees_all": ("mil", settings.merged(states(), adapted)),
        "contextual_sees_all": ("contextual", conditioned),
        "lstm_sees_all": ("recurrent_cloning", conditioned),
        "lstm_attention_sees_all": ("recurrent_cloning", {**conditioned, "attention": True}),
    }
