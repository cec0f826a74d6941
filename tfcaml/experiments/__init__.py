"""Experiments: a learner and what it is compared with, several seeds, one run directory."""

from tfcaml.experiments.experiment import NO_AGENT, Experiment, ExperimentConfig

__all__ = ["NO_AGENT", "Experiment", "ExperimentConfig"]
