"""Figure 3 of the CAML paper: adapting to fresh variants of known groups, all methods.

Sampled entities: 100 for CAML, Reptile and joint pretraining, five updates each. MAML and FOMAML
get twice the episodes: 100 iterations of five entities, ten episodes before and ten after the inner
step. Settings of Reptile, MAML and FOMAML: the best of a grid on 25 other seeds
(`launchers.reproduce --study=caml_tuning --seeds=20`).
"""

from tfcaml.configs import base
from tfcaml.configs.caml import particles as caml_particles

from tfcaml import environments, learners
from tfcaml.learners import caml

_TASKS = 6
_MAML = {
    "num_iterations": 100,
    "meta_batch_size": 5,
    "episodes_per_update": 10,
    "advantage": {"baseline": "time_step_mean"},
    "later_step_scale": 1.0,
    "inner_learning_rate": 1.0,
    "outer": {"optimizer": "adam", "learning_rate": 3e-4},
}


def get_config(query_split="variants"):
    config = base.experiment(
        environment=base.section("particle", environments.ParticleConfig(query_split=query_split)),
        learner=base.section("caml", learners.CAML.Config()),
        compared={
            "caml_paper": base.section("caml", caml.paper_config()),
            "reptile": base.section("reptile", learners.Reptile.Config(**caml_particles.REPTILE)),
            "maml": base.section("maml", learners.MAML.Config(**_MAML)),
            "fomaml": base.section("fomaml", learners.FOMAML.Config(**_MAML)),
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
