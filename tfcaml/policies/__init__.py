"""Policies: pure functions of their parameters."""

from tfcaml.policies.network_policy import NetworkPolicy, mlp_policy

__all__ = ["NetworkPolicy", "mlp_policy"]
