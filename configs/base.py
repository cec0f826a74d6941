"""What every config has: the defaults of the dataclasses, as a `ConfigDict`."""

import dataclasses

import ml_collections

from tfcaml.experiments.experiment import NO_AGENT


def section(name, config):
    """A named part of an experiment (`environment`, a learner) with its dataclass's fields."""
    return ml_collections.ConfigDict({"name": name, **dataclasses.asdict(config)})


def experiment(environment, learner, compared=None, **settings):
    """An experiment; see `tfcaml.experiments.ExperimentConfig` for what the settings mean."""
    return ml_collections.ConfigDict(
        {
            "environment": environment,
            "policy": {"fc_layer_params": (100, 100), "activation": "tanh"},
            "agent": NO_AGENT,
            "learner": learner,
            "compared": compared or {},
            "num_seeds": 1,
            "evaluation": {"num_tasks": 3, "num_updates": 5, "episodes": 20},
            "save_interval": 10,
            "log_interval": 1,
            "divergence_interval": 0,
            "divergence": {"num_updates": 5, "episodes": 1, "num_clusters": 6, "bandwidth": 0.5},
            **settings,
        }
    )
