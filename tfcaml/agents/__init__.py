"""The bridge to TF-Agents, and to machines without tfcaml."""

from tfcaml.agents.adapted_policy import AdaptedPolicy
from tfcaml.agents.agent_loss import AgentLoss, PPOLoss, ReinforceLoss, agent_loss
from tfcaml.agents.builders import AGENTS
from tfcaml.agents.export import export
from tfcaml.agents.meta_agent import MetaAgent

__all__ = [
    "AGENTS",
    "AdaptedPolicy",
    "AgentLoss",
    "MetaAgent",
    "PPOLoss",
    "ReinforceLoss",
    "agent_loss",
    "export",
]
