"""What the experiments with meta-gradient RL share."""

from tfcaml.configs import base

from tfcaml import environments, learners


def alone(family, options, learner, fc_layer_params=(), **settings):
    """Meta-gradient RL in a family of one task.

    Args:
      family: its name.
      options: dict, of the family.
      learner: dict of settings.
      fc_layer_params: of the actor and the critics.
      **settings: of the experiment.
    """
    return base.experiment(
        environment=base.section(family, environments.ENVIRONMENTS[family][1](**options)),
        policy={"fc_layer_params": fc_layer_params, "activation": "tanh"},
        learner=base.section("meta_gradient", learners.MetaGradient.Config(**learner)),
        num_seeds=10,
        evaluation={"num_tasks": 1, "num_updates": 0, "episodes": 100},
        **settings,
    )


def process(kind):
    """One of the two Markov reward processes: 20 000 episodes, one after another."""
    other = {"discount": "lambda", "lambda": "discount"}[kind]
    return alone(
        "reward_process",
        {"kind": kind},
        {
            **{"num_iterations": 40, "inner_updates": 500, "episodes_per_update": 1},
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
            # Rates of losses that are means over the steps of an episode.
            **{"inner_optimizer": "sgd", "inner_learning_rate": 1.0, "max_grad_norm": 0.0},
            **{"outer_optimizer": "sgd", "outer_learning_rate": 20.0},
            **{"outer_discount": 1.0, "outer_lambda": 1.0},
        },
    )
