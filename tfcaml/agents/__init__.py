"""The bridge to TF-Agents, and to machines without tfcaml."""

from tfcaml.agents.adapted_policy import AdaptedPolicy
from tfcaml.agents.export import export

__all__ = ["AdaptedPolicy", "export"]
