"""A learned loss, MAML and RL^2 for ants that run to places ahead, in small form; docs/epg.md.

New places are ahead and behind, where none was in training. Each method plays 4 million steps in
training.
"""

from tfcaml.configs import base
from tfcaml.configs.epg import _methods

from tfcaml import learners


def get_config():
    maml = learners.MAML.Config(
        num_iterations=100,
        meta_batch_size=10,
        episodes_per_update=20,
        test_episodes_per_update=4,
        inner_learning_rate=0.3,
        inner_estimator="likelihood_ratio",
        outer={"fisher_subsample": 0, "cg_iterations": 10},
    )
    rl2 = learners.RL2.Config(
        num_iterations=100,
        meta_batch_size=10,
        trials_per_task=4,
        episodes_per_update=10,
        outer={"optimizer": "ppo", "clip_ratio": 0.2, "steps": 10},
    )
    return _methods.experiment(
        "goal_ant",
        {"horizon": 100},
        life={"episodes_per_update": 4, "unroll": 16, "minibatches": 4},
        epg={
            "num_iterations": 53,
            "inner_learning_rate": 3e-4,
            "memory": 0,
            "outer": {"population": 32, "learning_rate": 0.03},
        },
        ppo={"inner_learning_rate": 3e-3},
        num_updates=32,
        others={"maml": base.section("maml", maml), "rl2": base.section("rl2", rl2)},
        policy={"fc_layer_params": (32, 32), "activation": "tanh"},
        num_seeds=1,
        evaluation={"num_tasks": 40, "num_updates": 32, "episodes": 5},
        save_interval=20,
    )
