"""Policies: pure functions of their parameters."""

from tfcaml.policies.actor_critic import ActorCritic, actor_critic
from tfcaml.policies.base import Policy
from tfcaml.policies.context import (
    ContextPolicy,
    check_contextual,
    contextual_mlp,
    with_context,
)
from tfcaml.policies.image_networks import (
    TORSOS,
    BesideContext,
    ConvolutionalNetwork,
    ResidualNetwork,
)
from tfcaml.policies.latent import LatentPolicy
from tfcaml.policies.network_policy import (
    ACTIVATIONS,
    CELLS,
    NetworkPolicy,
    mlp_policy,
    rnn_critic,
    rnn_policy,
)
from tfcaml.policies.sequence_encoder import SequenceEncoder
from tfcaml.policies.trial import TrialPolicy, with_last_step

__all__ = [
    "ACTIVATIONS",
    "CELLS",
    "TORSOS",
    "ActorCritic",
    "BesideContext",
    "ContextPolicy",
    "ConvolutionalNetwork",
    "LatentPolicy",
    "NetworkPolicy",
    "Policy",
    "ResidualNetwork",
    "SequenceEncoder",
    "TrialPolicy",
    "actor_critic",
    "check_contextual",
    "contextual_mlp",
    "mlp_policy",
    "rnn_critic",
    "rnn_policy",
    "with_context",
    "with_last_step",
]
