"""The methods that the experiments of TESP share, with its ablations V1 to V5.

All sample as many episodes of each task in each phase. TESP has a phase more than the others, in
which its buffer is filled, and so 4 iterations to 5 of theirs: as many environment steps in all.
MAML, Meta-SGD and CAVIA differentiate through their steps, and learn by trust regions.
"""

from tfcaml.configs import base

from tfcaml import environments, learners

ABLATIONS = {  # what they are called -> what they change
    "all_episodes": {"buffer": "all", "buffer_size": learners.TESP.Config.buffer_size},  # V1
    "policy_too": {"adapt_policy": True},  # V2
    "no_regularizer": {"regularizer": 0.0},  # V3
    "not_adapted": {"rates": "none"},  # V4
    "one_rate": {"rates": "constant", "inner_learning_rate": 0.1},  # V5
}


SHARED = {"context_size": 4, "regularizer": 0.0025}  # the code's 0.01 of the mean square
OWN = {  # chosen on the point, seeds 100 to 102; see docs/tesp.md
    "tesp": {**SHARED, "encoder_units": 24, "buffer_size": 8},
    "adapt_sv": SHARED,
    "cavia": {"context_size": SHARED["context_size"], "inner_learning_rate": 1.0},
    "maml": {"inner_learning_rate": 0.1},
    "meta_sgd": {"inner_learning_rate": 0.3},
}
OUTER = {"steps": 10, "learning_rate": 3e-3}  # of TESP and AdaptSV


KIN = ("adapt_sv", "maml", "meta_sgd")  # beside TESP where its ablations are too long


def experiment(family, num_seeds, compared=None, iterations=80, tasks=20):
    """The experiment on a family.

    Args:
      family: its name.
      num_seeds: of the study.
      compared: names of the methods beside TESP; all unless given.
      iterations: of TESP.
      tasks: of an iteration.
    """
    sizes = {"meta_batch_size": tasks, "episodes_per_update": 10}
    phases = {  # environment steps are the same
        "tesp": {**sizes, "num_iterations": iterations},
        "others": {**sizes, "num_iterations": iterations * 5 // 4, "inner_updates": 3},
    }

    def method(name, **changes):
        outer = {"outer": OUTER} if name in ("tesp", "adapt_sv") else {}
        settings = {**phases.get(name, phases["others"]), **OWN[name], **outer, **changes}
        return base.section(name, learners.LEARNERS[name].Config(**settings))

    found = {
        **{name: method("tesp", **changes) for name, changes in ABLATIONS.items()},
        **{name: method(name) for name in ("maml", "meta_sgd", "cavia", "adapt_sv")},
    }
    return base.experiment(
        environment=base.section(family, environments.ENVIRONMENTS[family][1]()),
        policy={"fc_layer_params": (32, 32), "activation": "tanh"},
        learner=method("tesp"),
        compared={name: found[name] for name in (found if compared is None else compared)},
        num_seeds=num_seeds,
        evaluation={"num_tasks": 90, "num_updates": 4, "episodes": 10},
        save_interval=25,
    )
