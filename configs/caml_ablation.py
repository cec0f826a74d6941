"""CAML with one choice changed at a time, beside CAML as recommended (`caml_ablation` study)."""

import dataclasses

from configs import base
from tfcaml import environments, learners

# factor -> variant -> what differs from `CAML.Config()`
TRAINING = {
    "metric": {
        "paper_scott": {"bandwidth": "scott", "weight": "density"},
        "paper_h_1": {"bandwidth": "1.0", "weight": "density"},
        "hellinger": {"form": "hellinger"},
        "time_indexed": {"time_indexed": True},
        "policies_only": {"metric": "action"},
        "states_only": {"metric": "state"},
        "parameter_distance": {"metric": "parameters"},
        "random_distance": {"metric": "random"},
        "oracle_task_distance": {"metric": "task"},
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
        "uniform_best_episode": {"choice": "uniform_best_episode"},
        "round_robin_mean": {"choice": "round_robin_mean"},
        "upper_confidence_bound": {"choice": "upper_confidence_bound"},
        "oracle_choice": {"choice": "oracle"},
    },
    "fallback": {
        "no_fallback": {"fresh_arm": False},
        "no_fallback_uniform_best_episode": {
            "fresh_arm": False,
            "choice": "uniform_best_episode",
        },
        "min_transfer_0": {"min_transfer": 0.0},
        "min_transfer_0.75": {"min_transfer": 0.75},
        "min_transfer_0.9": {"min_transfer": 0.9},
    },
}


def get_config(query_split="variants", factors=tuple(TRAINING)):
    variants = {name: changes for factor in factors for name, changes in TRAINING[factor].items()}
    config = base.experiment(
        environment=base.section("particle", environments.ParticleConfig(query_split=query_split)),
        learner=base.section("caml", learners.CAML.Config()),
        compared={
            name: base.section("caml", dataclasses.replace(learners.CAML.Config(), **changes))
            for name, changes in variants.items()
        }
        | {"random": base.section("random", learners.RandomInitialization.Config())},
        num_seeds=10,
    )
    config.evaluation.num_tasks = 6
    return config
