"""Losses: (policy, params, trajectory, ...) -> [N], one number per task."""

from tfcaml.losses.policy_gradient import policy_gradient

__all__ = ["policy_gradient"]
