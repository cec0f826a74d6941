"""The methods that the experiments on locomotion share.

20 tasks and 20 episodes per task and phase, as many steps in all methods: half the batch and half
the horizon of the MAML paper (section 5.3.2).
"""

from tfcaml.configs import base

from tfcaml import environments, learners

# Chosen on half-cheetah's directions with seed 100, see docs/locomotion.md.
_RATE = 0.3
_OUTER = {"fisher_subsample": 0, "cg_iterations": 10}
_TASKS, _EPISODES = 20, 20


def experiment(family, num_tasks, num_iterations=300, **options):
    """The experiment on a family.

    Args:
      family: its name.
      num_tasks: held-out tasks.
      num_iterations: of methods of 20 tasks and two phases; others play as many steps.
      **options: of the family.
    """
    inner = {"inner_learning_rate": _RATE, "inner_estimator": "likelihood_ratio"}
    shared = {"num_iterations": num_iterations, "meta_batch_size": _TASKS, **inner}

    def method(name, outer=_OUTER, **changes):
        settings = {**shared, "outer": outer, **changes}
        return base.section(name, learners.LEARNERS[name].Config(**settings))

    # It has one phase to MAML's two, and its step on a new task needs no second derivative.
    pretrained = {"episodes_per_update": 2 * _EPISODES, "inner_estimator": "log_likelihood"}
    return base.experiment(
        environment=base.section(family, environments.ENVIRONMENTS[family][1](**options)),
        policy={"fc_layer_params": (64, 64), "activation": "tanh"},
        learner=method("maml"),
        compared={
            "random": method("maml", num_iterations=0),
            "pretrained": method("pretrained", test_episodes_per_update=_EPISODES, **pretrained),
            "fomaml": method("fomaml"),
            "meta_sgd": method("meta_sgd"),
            "promp": base.section("promp", learners.ProMP.Config(**shared)),
            "reptile": _reptile(num_iterations),
            "caml": _caml(num_iterations // 5),
        },
        num_seeds=3,
        evaluation={"num_tasks": num_tasks, "num_updates": 3, "episodes": 20},
        save_interval=10,
    )


def _reptile(num_iterations):
    settings = {
        "num_iterations": num_iterations,
        "meta_batch_size": 10,
        "episodes_per_update": _EPISODES,
        "inner_updates": 4,
        "inner_optimizer": "sgd",
        "inner_learning_rate": _RATE,
        "later_step_scale": 0.5,
        "outer_step_size": 1.0,
        "advantage": {"baseline": "linear_feature"},
    }
    return base.section("reptile", learners.Reptile.Config(**settings))


def _caml(num_iterations):
    """40 updates of each of 5 entities at a time: as many episodes as five iterations of MAML."""
    settings = {
        "num_iterations": num_iterations,
        "meta_batch_size": 5,
        "episodes_per_update": _EPISODES,
        "inner_updates": 40,
        "policies_per_clustering": 25,
        "num_medoids": 4,
        "advantage": {"baseline": "linear_feature"},
    }
    return base.section("caml", learners.CAML.Config(**settings))
