"""Hindsight MAML and its alternatives: exploring a new task by what went well in similar ones."""

from tfcaml.learners.hindsight.alternatives import HindsightCloning, HindsightRelabelling
from tfcaml.learners.hindsight.maml import HindsightMAML, HindsightMAMLConfig

__all__ = ["HindsightCloning", "HindsightMAML", "HindsightMAMLConfig", "HindsightRelabelling"]
