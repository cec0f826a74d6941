"""Policies: pure functions of their parameters."""

from tfcaml.policies.network_policy import ACTIVATIONS, NetworkPolicy, mlp_policy

__all__ = ["ACTIVATIONS", "NetworkPolicy", "mlp_policy"]
