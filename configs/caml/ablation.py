"""CAML with one choice changed at a time, beside CAML as recommended (`caml_ablation` study)."""

from tfcaml.configs import base

from tfcaml import environments, learners

# factor -> variant -> what differs from `CAML.Config()`
TRAINING = {
    "metric": {
        "paper_scott": {"divergence": {"bandwidth": "scott", "weight": "density"}},
        "paper_h_1": {"divergence": {"bandwidth": "1.0", "weight": "density"}},
        "hellinger": {"divergence": {"form": "hellinger"}},
        "time_indexed": {"divergence": {"time_indexed": True}},
        "policies_only": {"divergence": {"metric": "action"}},
        "states_only": {"divergence": {"metric": "state"}},
        "parameter_distance": {"divergence": {"metric": "parameters"}},
        "random_distance": {"divergence": {"metric": "random"}},
        "oracle_task_distance": {"divergence": {"metric": "task"}},
    },
    "k": {
        "k_4": {"num_medoids": 4},
        "k_6": {"num_medoids": 6},
        "k_10": {"num_medoids": 10},
        "k_12": {"num_medoids": 12},
        "k_by_silhouette": {"num_medoids": 12, "adaptive_k": True},
    },
    "n": {
        "n_10": {"policies_per_clustering": 10},
        "n_50": {"policies_per_clustering": 50},
        "n_100": {"policies_per_clustering": 100},
    },
    "assignment": {"random_medoid": {"assignment": "random"}},
    "optimizer": {"optimizer_state_reset": {"keep_optimizer_state": False}},
    "updates": {"one_update_per_entity": {"inner_updates": 1}},
}
# The same training, another choice for new entities.
CHOICES = {
    "choice": {
        "uniform_best_episode": {"choice": {"rule": "uniform_best_episode"}},
        "round_robin_mean": {"choice": {"rule": "round_robin_mean"}},
        "upper_confidence_bound": {"choice": {"rule": "upper_confidence_bound"}},
        "oracle_choice": {"choice": {"rule": "oracle"}},
    },
    "fallback": {
        "no_fallback": {"choice": {"include_initial_weights": False}},
        "no_fallback_uniform_best_episode": {
            "choice": {"include_initial_weights": False, "rule": "uniform_best_episode"},
        },
        "min_transfer_0": {"choice": {"min_transfer": 0.0}},
        "min_transfer_0.75": {"choice": {"min_transfer": 0.75}},
        "min_transfer_0.9": {"choice": {"min_transfer": 0.9}},
    },
}


def get_config(query_split="variants", factors=tuple(TRAINING)):
    variants = {name: changes for factor in factors for name, changes in TRAINING[factor].items()}
    config = base.experiment(
        environment=base.section("particle", environments.ParticleConfig(query_split=query_split)),
        learner=base.section("caml", learners.CAML.Config()),
        compared={
            name: base.section("caml", learners.CAML.Config(**changes))
            for name, changes in variants.items()
        }
        | {"random": base.section("random", learners.RandomInitialization.Config())},
        num_seeds=10,
    )
    config.evaluation.num_tasks = 6
    return config
