"""CAML on the personalised particles, beside what it has to beat. `make demo` runs this.

Six latent groups of four entities; three held-out entities; the measured-best settings of CAML.
All methods see the same number of sampled entities (100) and of updates on each (5).
"""

from tfcaml.configs import base

from tfcaml import environments, learners

# The best of a grid on other seeds, see `launchers/studies/caml/tuning.py`.
REPTILE = {"outer_step_size": 0.05, "adam_beta_1": 0.9}


def get_config():
    return base.experiment(
        environment=base.section("particle", environments.ParticleConfig()),
        learner=base.section("caml", learners.CAML.Config()),
        compared={
            "random": base.section("random", learners.RandomInitialization.Config()),
            "joint": base.section("joint", learners.Joint.Config()),
            "reptile": base.section("reptile", learners.Reptile.Config(**REPTILE)),
        },
        num_seeds=10,
    )
