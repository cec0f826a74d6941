"""Policies: pure functions of their parameters."""

from tfcaml.policies.base import Policy
from tfcaml.policies.network_policy import ACTIVATIONS, NetworkPolicy, mlp_policy

__all__ = ["ACTIVATIONS", "NetworkPolicy", "Policy", "mlp_policy"]
