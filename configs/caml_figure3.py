"""Figure 3 of the CAML paper: adapting to fresh variants of known groups, all methods.

Sampled entities: 100 for CAML, Reptile and joint pretraining, five updates each. MAML and FOMAML
get twice the episodes: 100 iterations of five entities, ten episodes before and ten after the inner
step. Settings of Reptile, MAML and FOMAML: the best of a grid on other seeds
(`launchers.reproduce --study=caml_tuning`).
"""

from configs import base
from tfcaml import environments, learners
from tfcaml.learners import caml

_TASKS = 6
_MAML = {
    "num_iterations": 100,
    "meta_batch_size": 5,
    "episodes_per_update": 10,
    "baseline": "time_step_mean",
    "later_step_scale": 1.0,
}


def get_config(query_split="variants"):
    config = base.experiment(
        environment=base.section("particle", environments.ParticleConfig(query_split=query_split)),
        learner=base.section("caml", learners.CAML.Config()),
        baselines={
            "caml_paper": base.section("caml", caml.paper_config()),
            "reptile": base.section("reptile", learners.Reptile.Config(outer_step_size=0.05)),
            "maml": base.section(
                "maml",
                learners.MAML.Config(**_MAML, outer_optimizer="trpo", inner_learning_rate=1.0),
            ),
            "fomaml": base.section(
                "fomaml",
                learners.FOMAML.Config(**_MAML, outer_optimizer="trpo", inner_learning_rate=0.3),
            ),
            "joint": base.section("joint", learners.Joint.Config()),
            "joint_mixed": base.section("joint_mixed", learners.JointMixed.Config()),
            "unmatched": base.section(
                "unmatched", learners.Unmatched.Config(meta_batch_size=_TASKS)
            ),
            "random": base.section("random", learners.RandomInitialization.Config()),
            "matched": base.section("matched", learners.Matched.Config(meta_batch_size=_TASKS)),
        },
        num_seeds=10,
    )
    # One update more than is shown: at equal episodes CAML after u meets the others after u + 1.
    config.evaluation.num_updates = 6
    config.evaluation.num_tasks = _TASKS
    return config
