"""What the experiments with meta-gradient RL share."""

from tfcaml.configs import base

from tfcaml import environments, learners

FIXED = (0.8, 0.9, 0.95, 0.99, 0.995)  # discounts that a learned one is compared with


def alone(family, options, learner, fc_layer_params=(), main="meta_gradient", **settings):
    """An actor-critic in a family of one task.

    Args:
      family: its name.
      options: dict, of the family.
      learner: dict of settings.
      fc_layer_params: of the actor and the critics.
      main: name of the learner.
      **settings: of the experiment.
    """
    return base.experiment(
        environment=base.section(family, environments.ENVIRONMENTS[family][1](**options)),
        policy={"fc_layer_params": fc_layer_params, "activation": "tanh"},
        learner=section(main, learner),
        **{
            "num_seeds": 10,
            "evaluation": {"num_tasks": 1, "num_updates": 0, "episodes": 100},
            **settings,
        },
    )


def section(name, settings):
    """The section of a learner with some of its settings, a dict."""
    return base.section(name, learners.LEARNERS[name].Config(**settings))


def advantage(discount):
    """Returns of this discount and lambda 1, with the critic as their baseline."""
    return {"discount": discount, "baseline": "none", "normalize": False}


def beside_fixed(family, options, shared, learned, **settings):
    """A discount that is learned from 0.9 on, and A2C with each of `FIXED`.

    Args:
      family: its name.
      options: dict, of the family.
      shared: dict of settings of A2C, without its discount.
      learned: dict of further settings of meta-gradient RL.
      **settings: of `alone`.
    """
    fixed = lambda discount: section("a2c", {**shared, "advantage": advantage(discount)})
    return alone(
        family,
        options,
        {**shared, **learned, "advantage": advantage(0.9)},
        compared={f"fixed_{str(discount)[2:]}": fixed(discount) for discount in FIXED},
        **settings,
    )


def process(kind, **learner):
    """One of the two Markov reward processes; an update learns from one episode.

    Args:
      kind: "discount" or "lambda".
      **learner: settings of the learner.
    """
    other = {"discount": "lambda", "lambda": "discount"}[kind]
    return alone(
        "reward_process",
        {"kind": kind},
        {
            **{"inner_updates": 500, "episodes_per_update": 1},
            **{"objective": "prediction", "per_state": True},
            **{f"learn_{kind}": True, f"learn_{other}": False},
            "advantage": {
                **{"baseline": "none", "normalize": False},
                **(
                    {"discount": 0.5}
                    if kind == "discount"
                    else {"discount": 1.0, "gae_lambda": 0.5}
                ),
            },
            **{"inner_optimizer": "sgd", "max_grad_norm": 0.0, "outer_optimizer": "sgd"},
            **{"outer_discount": 1.0, "outer_lambda": 1.0},
            **learner,
        },
        save_interval=2,
    )
