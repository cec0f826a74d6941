"""What the experiments with evolved policy gradients share."""

from tfcaml.configs import base

from tfcaml import environments, learners


def experiment(
    family, options, life, epg, ppo, num_updates, variants=None, others=None, **settings
):
    """A learned loss and PPO, which train policies from scratch with as many steps.

    Args:
      family: its name.
      options: dict, of the family.
      life: dict of settings that both share.
      epg: dict of those of EPG.
      ppo: dict of those of PPO.
      num_updates: U, of a life.
      variants: dict name -> dict of what another EPG differs in.
      others: dict name -> section of another method.
      **settings: of the experiment.
    """
    shared = {**life, "inner_updates": num_updates, **epg}
    outer = {"optimizer": "evolution_strategy", "annealing": "to_a_tenth", **shared.pop("outer")}
    made = lambda **changes: base.section(
        "epg", learners.EPG.Config(**{**shared, **changes}, outer=outer)
    )
    return base.experiment(
        environment=base.section(family, environments.ENVIRONMENTS[family][1](**options)),
        learner=made(),
        compared={
            "ppo": base.section("ppo", learners.PPO.Config(**{**life, **ppo})),
            **{name: made(**changes) for name, changes in (variants or {}).items()},
            **(others or {}),
        },
        **settings,
    )
