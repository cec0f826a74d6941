"""Policies: pure functions of their parameters."""

from tfcaml.policies.actor_critic import ActorCritic, actor_critic
from tfcaml.policies.base import Policy
from tfcaml.policies.cells import CELLS, GATES, LongMemory, make_cell
from tfcaml.policies.context import (
    ContextPolicy,
    check_contextual,
    contextual_mlp,
    with_context,
)
from tfcaml.policies.few_shot_network import NETWORKS, FewShotNetwork
from tfcaml.policies.image_networks import (
    TORSOS,
    BesideContext,
    ConvolutionalNetwork,
    ResidualNetwork,
)
from tfcaml.policies.latent import LatentPolicy
from tfcaml.policies.network_policy import (
    ACTIVATIONS,
    NetworkPolicy,
    mlp_policy,
    rnn_critic,
    rnn_policy,
)
from tfcaml.policies.normalized import NormalizedPolicy
from tfcaml.policies.sequence_encoder import SequenceEncoder
from tfcaml.policies.trial import TrialPolicy, with_last_step
from tfcaml.policies.two_level import TwoLevelPolicy

__all__ = [
    "ACTIVATIONS",
    "CELLS",
    "GATES",
    "NETWORKS",
    "TORSOS",
    "ActorCritic",
    "BesideContext",
    "ContextPolicy",
    "ConvolutionalNetwork",
    "FewShotNetwork",
    "LatentPolicy",
    "LongMemory",
    "NetworkPolicy",
    "NormalizedPolicy",
    "Policy",
    "ResidualNetwork",
    "SequenceEncoder",
    "TrialPolicy",
    "TwoLevelPolicy",
    "actor_critic",
    "check_contextual",
    "contextual_mlp",
    "make_cell",
    "mlp_policy",
    "rnn_critic",
    "rnn_policy",
    "with_context",
    "with_last_step",
]
