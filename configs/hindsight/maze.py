"""Hindsight MAML in mini-mazes: goals that only a sparse reward tells, 50 to learn from, 20 new.

The policy is a table: no hidden layer, on a one-hot cell. MAML learns for a few iterations only; in
more it becomes sure of where the training goals are, and no longer explores.

Of the settings tried those that served MAML's adaptation best, alone, on seeds 100 to 102, and the
methods' own ones the best of two to five on seeds 100 to 105.
"""

from tfcaml.configs import base

from tfcaml import environments, learners, settings

SHARED = {
    "num_iterations": 10,
    "inner_learning_rate": 25.0,  # of a mean over some 1,000 steps, few of which are paid for
    "later_step_scale": 1.0,
    "outer": {"max_kl": 0.03, "fisher_subsample": 0, "cg_iterations": 10},
    "advantage": {"baseline": "time_step_mean"},
    "test_episodes_per_update": 10,
}
HINDSIGHT = {
    "buffer": {
        "best": 1.0,  # goals differ in how easy they are: a quantile would keep the near ones
        "floor": 0.0,  # whoever arrived at all
    },
    "similarity": {"objective": "regression"},
    "guidance": {"min_similarity": -1.0},  # the nearest, however far
}
CLIPPED = settings.merged(HINDSIGHT, {"guidance": {"importance_clip": 1.0}})


def get_config(layout="maze"):
    maze = environments.MazeConfig(layout=layout, num_train=50)
    method = lambda name, **changes: base.section(
        name, learners.LEARNERS[name].Config(**{**SHARED, **changes})
    )
    return base.experiment(
        environment=base.section("maze", maze),
        policy={"fc_layer_params": (), "activation": "tanh"},
        learner=method("hindsight_maml", **CLIPPED),
        compared={
            "relabelling": method("hindsight_relabelling", **CLIPPED),
            "cloning": method("hindsight_cloning", **HINDSIGHT, cloning_learning_rate=10.0),
            "maml": method("maml"),
            "random": method("maml", num_iterations=0),
        },
        num_seeds=5,
        evaluation={"num_tasks": 20, "num_updates": 20, "episodes": 20},
    )
