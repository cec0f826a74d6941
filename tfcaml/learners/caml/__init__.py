"""CAML, cluster-adapting meta-learning."""

from tfcaml.learners.caml.learner import CAML, CAMLConfig, paper_config

__all__ = ["CAML", "CAMLConfig", "paper_config"]
