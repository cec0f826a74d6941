"""MAML and its relatives on 2D navigation (MAML paper, section 5.3.1).

40 held-out goals, 0 to 3 adaptation steps. All methods share what an iteration samples (20 tasks,
20 episodes per task and step) and how they adapt to a new goal: a step of the trained length, then
half of it, from 40 episodes each, as the paper's code does.
"""

from tfcaml.configs import base

from tfcaml import environments, learners

TRAINING = {
    "num_iterations": 100,  # the code's; with 20 tasks, more makes the second step worse
    "outer": {"fisher_subsample": 5, "cg_iterations": 10},
}
ADAPTATION = {
    "inner_learning_rate": 0.5,  # the code's for this family; the text says 0.1
    "test_episodes_per_update": 40,  # the code's 4,000 steps per update
}
SHARED = {**TRAINING, **ADAPTATION}


def pretrained(**changes):
    """Twice the episodes of MAML's phases, as it has one: equal environment steps."""
    settings = {**SHARED, "episodes_per_update": 40, **changes}
    return base.section("pretrained", learners.Pretrained.Config(**settings))


def promp():
    """Its outer step is PPO's, without products."""
    settings = {"num_iterations": SHARED["num_iterations"], "meta_batch_size": 20, **ADAPTATION}
    return base.section("promp", learners.ProMP.Config(**settings))


def reptile(**changes):
    """Adapts by the same rule as the others: a whole step, then halves."""
    settings = {
        "num_iterations": SHARED["num_iterations"],
        "meta_batch_size": 20,
        "episodes_per_update": 20,
        "test_episodes_per_update": SHARED["test_episodes_per_update"],
        "inner_optimizer": "sgd",
        "inner_learning_rate": SHARED["inner_learning_rate"],
        "later_step_scale": 0.5,
        "advantage": {"baseline": "linear_feature"},
    }
    return base.section("reptile", learners.Reptile.Config(**{**settings, **changes}))


def get_config(observe_goal=False):
    navigation = environments.NavigationConfig(observe_goal=observe_goal)
    method = lambda name, **changes: base.section(
        name, learners.LEARNERS[name].Config(**{**SHARED, **changes})
    )
    if observe_goal:  # it has nothing to adapt to
        main, baselines = base.section("oracle", learners.Oracle.Config(**TRAINING)), {}
    else:
        main = method("maml")
        baselines = {
            "random": method("maml", num_iterations=0),
            "pretrained": pretrained(inner_learning_rate=0.1),  # maml_navigation_tuning.py
            "fomaml": method("fomaml"),
            "meta_sgd": method("meta_sgd"),
            "e_maml": method("e_maml"),
            "promp": promp(),
            "reptile": reptile(inner_updates=3, outer_step_size=1.0),  # and there
        }
    return base.experiment(
        environment=base.section("navigation", navigation),
        policy={"fc_layer_params": (100, 100), "activation": "relu"},
        learner=main,
        compared=baselines,
        num_seeds=5,
        evaluation={"num_tasks": 40, "num_updates": 3, "episodes": 20},
        save_interval=20,
    )
