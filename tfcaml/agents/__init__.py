"""The bridge to TF-Agents: its agents' losses in, our learners out as its agents."""

from tfcaml.agents.agent_loss import AgentLoss, PPOLoss, ReinforceLoss, agent_loss

__all__ = ["AgentLoss", "PPOLoss", "ReinforceLoss", "agent_loss"]
