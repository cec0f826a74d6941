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
    "one_rate": {"rates": "constant"},  # V5
}


def experiment(
    family,
    iterations,
    episodes,
    tasks,
    tesp,
    adapt_sv,
    maml,
    meta_sgd,
    cavia,
    one_rate,
    units,
    num_seeds,
    compared=None,
    num_tasks=90,
    test_episodes=10,
    outer=None,
    **options,
):
    """The experiment on a family.

    Args:
      family: its name.
      iterations: of TESP.
      episodes, tasks: of an iteration's phase.
      tesp, adapt_sv, maml, meta_sgd, cavia: dicts of their own settings.
      one_rate: the rate of V5.
      units: of each of the policy's two hidden layers.
      num_seeds: of the study.
      compared: names of the methods beside TESP; all unless given.
      num_tasks, test_episodes: of the evaluation.
      outer: the outer step of TESP and AdaptSV.
      **options: of the family.
    """
    sizes = {"meta_batch_size": tasks, "episodes_per_update": episodes}
    others = {**sizes, "num_iterations": iterations * 5 // 4, "inner_updates": 3}
    context = {"context_size": tesp["context_size"], "regularizer": tesp["regularizer"]}

    def method(name, **changes):
        return base.section(name, learners.LEARNERS[name].Config(**changes))

    def ablation(name):
        changes = ABLATIONS[name] | (
            {"inner_learning_rate": one_rate} if name == "one_rate" else {}
        )
        return method("tesp", **{**sizes, "num_iterations": iterations, **own, **changes})

    own = {**tesp, "outer": outer or {}}
    found = {
        **{name: ablation(name) for name in ABLATIONS},
        "maml": method("maml", **{**others, **maml}),
        "meta_sgd": method("meta_sgd", **{**others, **meta_sgd}),
        "cavia": method("cavia", **{**others, "context_size": tesp["context_size"], **cavia}),
        "adapt_sv": method("adapt_sv", **{**others, **context, "outer": outer or {}, **adapt_sv}),
    }
    return base.experiment(
        environment=base.section(family, environments.ENVIRONMENTS[family][1](**options)),
        policy={"fc_layer_params": (units, units), "activation": "tanh"},
        learner=method("tesp", **{**sizes, "num_iterations": iterations, **own}),
        compared={name: found[name] for name in (found if compared is None else compared)},
        num_seeds=num_seeds,
        evaluation={"num_tasks": num_tasks, "num_updates": 4, "episodes": test_episodes},
        save_interval=25,
    )
