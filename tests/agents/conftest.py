"""Agents of TF-Agents, small and with the options that a loss of theirs allows."""

import pytest
import tensorflow as tf
from tf_agents.agents.ppo import ppo_clip_agent, ppo_kl_penalty_agent
from tf_agents.agents.reinforce import reinforce_agent
from tf_agents.keras_layers import dynamic_unroll_layer
from tf_agents.networks import (
    actor_distribution_network,
    actor_distribution_rnn_network,
    value_network,
)
from tf_agents.trajectories import time_step as ts

from tfcaml.policies import NetworkPolicy


def _reinforce(specs, actor, value, **options):
    return reinforce_agent.ReinforceAgent(*specs, actor, gamma=0.9, **options)


def _reinforce_value(specs, actor, value, **options):
    return _reinforce(specs, actor, value, value_network=value, **options)


def _ppo_clip(specs, actor, value, **options):
    options = {"normalize_rewards": False, "normalize_observations": False, **options}
    return ppo_clip_agent.PPOClipAgent(
        *specs,
        actor_net=actor,
        value_net=value,
        importance_ratio_clipping=0.2,
        entropy_regularization=0.01,
        use_gae=True,
        value_pred_loss_coef=0.01,  # small, that float32 shows the actor's part of the loss
        num_epochs=1,
        **options,
    )


def _ppo_kl(specs, actor, value, **options):
    return ppo_kl_penalty_agent.PPOKLPenaltyAgent(
        *specs,
        actor_net=actor,
        value_net=value,
        value_pred_loss_coef=0.01,
        num_epochs=1,
        initial_adaptive_kl_beta=1.0,
        adaptive_kl_target=0.01,
        adaptive_kl_tolerance=0.5,
        kl_cutoff_factor=0.0,
        normalize_rewards=False,
        **options,
    )


AGENTS = {
    "reinforce": _reinforce,
    "reinforce_value": _reinforce_value,
    "ppo_clip": _ppo_clip,
    "ppo_kl": _ppo_kl,
}


@pytest.fixture(scope="session")
def make_agent():
    """(kind, environment, **options) -> agent with one layer of eight units."""

    def make(kind, environment, optimizer=None, **options):
        specs = (ts.time_step_spec(environment.observation_spec), environment.action_spec)
        layers = {"fc_layer_params": (8,), "activation_fn": tf.tanh}
        actor = actor_distribution_network.ActorDistributionNetwork(
            environment.observation_spec, environment.action_spec, **layers
        )
        value = value_network.ValueNetwork(environment.observation_spec, **layers)
        optimizer = optimizer or tf.keras.optimizers.Adam()
        return AGENTS[kind](specs, actor, value, optimizer=optimizer, **options)

    return make


@pytest.fixture(scope="session")
def gru_policy(slide):
    """TF-Agents' recurrent actor with four gated recurrent units, for `slide`."""
    network = actor_distribution_rnn_network.ActorDistributionRnnNetwork(
        slide.observation_spec,
        slide.action_spec,
        input_fc_layer_params=(4,),
        output_fc_layer_params=None,
        rnn_construction_fn=dynamic_unroll_layer.DynamicUnroll,
        rnn_construction_kwargs={"cell": tf.keras.layers.GRUCell(4)},
    )
    return NetworkPolicy(network, slide.action_spec)
