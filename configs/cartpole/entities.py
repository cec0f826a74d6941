"""CartPole entities by the loss of a TF-Agents `ReinforceAgent`: parts that users already have.

gymnasium's CartPole with poles, carts and forces that differ, reversed for half of the entities; 24
to learn from and 6 held out. `joint` is one policy trained on all by the same loss and fine-tuned
in the same way, with as many episodes per iteration.
"""

from tfcaml.configs import base

from tfcaml import environments, learners

SHARED = {
    "num_iterations": 60,
    "meta_batch_size": 12,
    "episodes_per_update": 10,
    "inner_learning_rate": 0.03,  # the loss is a sum over steps; of 0.003 and 0.03, on seed 100
    "outer": {"fisher_subsample": 4, "cg_iterations": 10},
}


def get_config():
    maml = learners.MAML.Config(**SHARED)
    # Of 0.03, 0.01, 0.003 and 0.001 the best on seed 100: longer steps undo what it has learned.
    joint = learners.Pretrained.Config(
        **{**SHARED, "episodes_per_update": 20, "inner_learning_rate": 0.001}
    )
    joint_section = base.section("pretrained", joint)
    joint_section.test_episodes_per_update = SHARED["episodes_per_update"]
    return base.experiment(
        environment=base.section("cart_pole", environments.CartPoleConfig()),
        policy={"fc_layer_params": (64, 64), "activation": "tanh"},
        agent="reinforce",
        learner=base.section("maml", maml),
        compared={
            "joint": joint_section,
            "random": base.section("maml", learners.MAML.Config(**{**SHARED, "num_iterations": 0})),
        },
        num_seeds=5,
        evaluation={"num_tasks": 6, "num_updates": 3, "episodes": 20},
        save_interval=10,
    )
