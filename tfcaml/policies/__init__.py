"""Policies: pure functions of their parameters."""

from tfcaml.policies.base import Policy
from tfcaml.policies.context import (
    ContextPolicy,
    check_contextual,
    contextual_mlp,
    with_context,
)
from tfcaml.policies.latent import LatentPolicy
from tfcaml.policies.network_policy import ACTIVATIONS, NetworkPolicy, mlp_policy
from tfcaml.policies.sequence_encoder import SequenceEncoder

__all__ = [
    "ACTIVATIONS",
    "ContextPolicy",
    "LatentPolicy",
    "NetworkPolicy",
    "Policy",
    "SequenceEncoder",
    "check_contextual",
    "contextual_mlp",
    "mlp_policy",
    "with_context",
]
