"""What experiments with meta-gradient RL on Atari games share."""

from tfcaml.configs import base

from tfcaml import environments, learners


def game(name, learner, episodes, **settings):
    """Meta-gradient RL that learns the discount and lambda in one game.

    Args:
      name: of the game.
      learner: dict of settings.
      episodes: of the measurement in the end.
      **settings: of the experiment.
    """
    return base.experiment(
        environment=base.section("atari", environments.AtariConfig(game=name)),
        policy={"fc_layer_params": (), "activation": "tanh"},
        learner=base.section(
            "meta_gradient",
            learners.MetaGradient.Config(
                **{
                    **{"unroll": 20, "reward_clip": 1.0, "learn_lambda": True},
                    "advantage": {
                        **{"discount": 0.99, "gae_lambda": 0.95},
                        **{"baseline": "none", "normalize": False},
                    },
                    **{"outer_discount": 0.995, "outer_lambda": 1.0},
                    **{"outer_learning_rate": 1e-3, "embedding_size": 16},
                    **learner,
                }
            ),
        ),
        evaluation={"num_tasks": 1, "num_updates": 0, "episodes": episodes},
        **settings,
    )
