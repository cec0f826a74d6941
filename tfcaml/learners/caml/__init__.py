"""CAML, cluster-adapting meta-learning."""

from tfcaml.learners.caml.config import CAMLConfig, paper_config
from tfcaml.learners.caml.learner import CAML

__all__ = ["CAML", "CAMLConfig", "paper_config"]
