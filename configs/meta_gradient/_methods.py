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
            # Losses are means over the ten or nine steps of an episode, so that a value moves by
            # 0.3 of its error. With 0.1 the noise that a return brings into it weighs less than
            # what a discount of 0 hides, and some of the even states' discounts go back to 1.
            **{"inner_optimizer": "sgd", "inner_learning_rate": 3.0, "max_grad_norm": 0.0},
            **{"outer_optimizer": "sgd", "outer_learning_rate": 10.0},
            **{"outer_discount": 1.0, "outer_lambda": 1.0},
        },
    )
