"""What the experiments with MAESN share: methods that learn from dense rewards, tested on sparse.

All methods play as many environment steps in training and as many episodes with a new goal. What
they are compared by is the return after the last update of the evaluation.
"""

from tfcaml.configs import base

from tfcaml import environments, learners

POINT = {  # what differs between methods, chosen on seeds from 100 on; see docs/maesn.md
    "maesn": {
        **{"latent_size": 4, "kl_weight": 0.02},
        **{"latent_learning_rate": 0.1, "later_step_scale": 0.7},
    },
    "latent_space": {"kl_weight": 0.1, "latent_learning_rate": 1.0, "later_step_scale": 0.7},
    "maml": {"inner_learning_rate": 0.1},
}
# Ten products of TRPO's conjugate gradients hardly see the latents: see docs/maesn.md.
_FARTHER = {"fisher_subsample": 0, "cg_iterations": 20, "max_kl": 0.03}
ROBOTS = {  # chosen on wheels, in the same way
    "maesn": {**POINT["maesn"], "latent_learning_rate": 3.0, "outer": _FARTHER},
    "latent_space": {**POINT["latent_space"], "latent_learning_rate": 3.0},
    "maml": POINT["maml"],
}
_OUTER = {"fisher_subsample": 0, "cg_iterations": 10}


def experiment(family, sizes, chosen, **settings):
    """The experiment on a family.

    Args:
      family: its name.
      sizes: dict of what all methods have: num_iterations, of methods of two phases; LatentSpace
        has one phase, and twice as many; meta_batch_size, episodes_per_update and
        test_episodes_per_update.
      chosen: dict name -> settings of that method.
      **settings: of the experiment.
    """

    def method(name):
        doubled = {"num_iterations": 2 * sizes["num_iterations"]} if name == "latent_space" else {}
        changes = {**sizes, **doubled, "outer": _OUTER, **chosen[name]}
        return base.section(name, learners.LEARNERS[name].Config(**changes))

    return base.experiment(
        environment=base.section(family, environments.ENVIRONMENTS[family][1]()),
        learner=method("maesn"),
        compared={name: method(name) for name in ("latent_space", "maml")},
        save_interval=20,
        **settings,
    )


def small(family):
    """The experiment on a family in small form: few tasks, episodes and updates, one seed."""
    return experiment(
        family,
        sizes={
            "num_iterations": 50,
            "meta_batch_size": 10,
            "episodes_per_update": 10,
            "test_episodes_per_update": 20,
        },
        chosen=ROBOTS,
        policy={"fc_layer_params": (64, 64), "activation": "relu"},
        num_seeds=1,
        evaluation={"num_tasks": 10, "num_updates": 5, "episodes": 10},
    )


def from_scratch(config):
    """What learns each held-out goal by itself, by as many episodes: dict name -> its section.

    Args:
      config: of `experiment`, or a dict of it.
    """
    shared = {
        "meta_batch_size": config["evaluation"]["num_tasks"],
        "episodes_per_update": config["learner"]["test_episodes_per_update"],
    }
    by_gradient = {
        "inner_learning_rate": 0.03,
        "shared_initialization": True,
        "advantage": {"baseline": "linear_feature"},
    }
    methods = {
        "TRPO": ("natural_policy_gradient", {}),
        "TRPO with VIME": ("natural_policy_gradient", {"vime": {"eta": 1e-2}}),
        "policy gradient": ("policy_gradient", by_gradient),
    }
    return {
        f"{name} from scratch": base.section(kind, learners.LEARNERS[kind].Config(**shared, **own))
        for name, (kind, own) in methods.items()
    }
