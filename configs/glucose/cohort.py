"""Insulin dosing on 30 virtual patients: 21 to learn from, nine of all cohorts held out.

Research use only, not for dosing decisions. Settings were chosen on perturbed patients, who are
nobody of the cohort, with seeds 100 and 101. A held-out patient is given ten days of adaptation:
two updates of five days, for CAML five days of trials and one update. Episodes (days) of training:
CAML 33,600, joint (each update from 20 patients at a time) and MAML 30,000, Reptile 37,500.
`matched` learns on each held-out patient itself, 2,000 days: what could be reached.
"""

from tfcaml.configs import base

from tfcaml import environments, learners

_TASKS = 9
_SHARED = {
    "advantage": {"discount": 0.95},
    "episodes_per_update": 10,
    "test_episodes_per_update": 5,
}


def get_config():
    caml = learners.CAML.Config(
        **_SHARED,
        num_iterations=120,
        num_medoids=5,
        # Untrained doses are nothing to fall back on.
        choice={"trial_episodes": 5, "include_initial_weights": False},
    )
    joint = learners.JointMixed.Config(
        **{**_SHARED, "episodes_per_update": 20}, num_iterations=300, inner_learning_rate=0.005
    )
    reptile = learners.Reptile.Config(
        **_SHARED, num_iterations=150, meta_batch_size=5, outer_step_size=0.5, adam_beta_1=0.9
    )
    maml = learners.MAML.Config(
        **_SHARED,
        num_iterations=150,
        meta_batch_size=10,
        inner_learning_rate=0.5,
        later_step_scale=1.0,
        outer={"optimizer": "ppo", "learning_rate": 3e-3},
    )
    matched = learners.Matched.Config(**_SHARED, num_iterations=200, meta_batch_size=_TASKS)
    return base.experiment(
        environment=base.section("glucose", environments.GlucoseConfig()),
        policy={"fc_layer_params": (32, 32), "activation": "tanh"},
        learner=base.section("caml", caml),
        compared={
            "joint": base.section("joint_mixed", joint),
            "reptile": base.section("reptile", reptile),
            "maml": base.section("maml", maml),
            "matched": base.section("matched", matched),
        },
        num_seeds=5,
        evaluation={"num_tasks": _TASKS, "num_updates": 2, "episodes": 20},
    )
