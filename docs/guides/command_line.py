"""A config of one's own: MAML and a compared method on CartPole entities, in a minute."""

from tfcaml.configs import base

from tfcaml import environments, learners


def get_config():
    """What `tfcaml train --config=command_line.py` trains; any field can be set by a flag."""
    family = environments.CartPoleConfig(horizon=60, num_train=12)
    maml = learners.MAML.Config(num_iterations=15, meta_batch_size=6, episodes_per_update=10)
    untrained = learners.MAML.Config(num_iterations=0, episodes_per_update=10)
    return base.experiment(
        environment=base.section("cart_pole", family),
        learner=base.section("maml", maml),
        compared={"untrained": base.section("maml", untrained)},
        policy={"fc_layer_params": (32, 32), "activation": "tanh"},
        num_seeds=2,
        evaluation={"num_tasks": 4, "num_updates": 2, "episodes": 10},
    )


def main():
    """The settings that differ from learner to learner."""
    config = get_config()
    for name, section in {"maml": config.learner, **config.compared}.items():
        print(f"{name}: {section.num_iterations} iterations of {section.meta_batch_size} tasks")
    return {"seeds": config.num_seeds}


if __name__ == "__main__":
    main()
