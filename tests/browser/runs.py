"""Tiny runs of three kinds: configs that a launcher trains in seconds."""

_START = """
from tfcaml.configs import base
from tfcaml import environments, learners


def get_config():
    policy = dict(fc_layer_params=(8,), activation="tanh")
    evaluation = dict(num_tasks=2, num_updates=2, episodes=2)
"""

CAML = f"""{_START}
    common = dict(num_iterations=4, inner_updates=2, episodes_per_update=2)
    caml = learners.CAML.Config(
        **common, meta_batch_size=6, policies_per_clustering=12, num_medoids=3,
        choice=dict(trial_episodes=3), divergence=dict(num_states=20),
    )
    return base.experiment(
        base.section("particle", environments.ParticleConfig(horizon=8)),
        base.section("caml", caml),
        dict(
            random=base.section("random", learners.RandomInitialization.Config()),
            reptile=base.section("reptile", learners.Reptile.Config(**common)),
        ),
        policy=policy,
        evaluation=evaluation,
        num_seeds=2,
        divergence_interval=2,
        divergence=dict(num_updates=1, episodes=1, num_clusters=2, bandwidth=0.5),
    )
"""

MAML = f"""{_START}
    common = dict(num_iterations=4, meta_batch_size=3, episodes_per_update=4)
    return base.experiment(
        base.section("navigation", environments.NavigationConfig(horizon=8)),
        base.section("maml", learners.MAML.Config(**common)),
        dict(fomaml=base.section("fomaml", learners.FOMAML.Config(**common))),
        policy=policy,
        evaluation=evaluation,
        num_seeds=4,
    )
"""

GLUCOSE = f"""{_START}
    reptile = learners.Reptile.Config(
        num_iterations=3, inner_updates=1, episodes_per_update=2, advantage=dict(discount=0.95)
    )
    family = environments.GlucoseConfig(interval=720, sensor_interval=180)
    return base.experiment(
        base.section("glucose", family),
        base.section("reptile", reptile),
        policy=policy,
        evaluation=evaluation,
    )
"""

CONFIGS = {"caml": CAML, "maml": MAML, "glucose": GLUCOSE}
