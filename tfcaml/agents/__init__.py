"""The bridge to TF-Agents, and to machines without tfcaml."""

from tfcaml.agents.adapted_policy import AdaptedPolicy

__all__ = ["AdaptedPolicy"]
