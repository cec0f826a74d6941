"""Ordinary TF-Agents agents by name, for configs; in Python, make your own and wrap its loss."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import tensorflow as tf
from tf_agents.agents.ppo import ppo_clip_agent
from tf_agents.agents.reinforce import reinforce_agent
from tf_agents.networks import value_network
from tf_agents.trajectories import time_step as ts

from tfcaml.agents.agent_loss import AgentLoss, PPOLoss, ReinforceLoss

if TYPE_CHECKING:
    from tf_agents.networks.network import Network

    from tfcaml.environments.base import TaskFamily


def reinforce(
    environment: TaskFamily,
    actor_network: Network,
    fc_layer_params: Sequence[int],
    discount: float = 0.99,
) -> ReinforceLoss:
    """The loss of a `ReinforceAgent` with normalised returns and no value network.

    Args:
      environment: an `TaskFamily`.
      actor_network: of its observations and actions.
      fc_layer_params: units of each hidden layer of a value network, where there is one.
      discount: gamma.

    Returns:
      `AgentLoss`.
    """
    agent = reinforce_agent.ReinforceAgent(
        ts.time_step_spec(environment.observation_spec),
        environment.action_spec,
        actor_network,
        tf.keras.optimizers.SGD(),  # not used
        gamma=discount,
        normalize_returns=True,
    )
    return ReinforceLoss(agent)


def ppo_clip(
    environment: TaskFamily,
    actor_network: Network,
    fc_layer_params: Sequence[int],
    discount: float = 0.99,
    bootstrap: bool = False,
) -> PPOLoss:
    """The loss of a `PPOClipAgent` with a value network of its own.

    Arguments as above, and `bootstrap`: see `AgentLoss`.
    """
    values = value_network.ValueNetwork(
        environment.observation_spec,
        fc_layer_params=tuple(fc_layer_params),
        activation_fn=tf.keras.activations.tanh,
    )
    agent = ppo_clip_agent.PPOClipAgent(
        ts.time_step_spec(environment.observation_spec),
        environment.action_spec,
        optimizer=tf.keras.optimizers.SGD(),  # not used
        actor_net=actor_network,
        value_net=values,
        importance_ratio_clipping=0.2,
        discount_factor=discount,
        normalize_observations=False,  # their statistics are not part of the weights
        normalize_rewards=False,
    )
    return PPOLoss(agent, bootstrap)


# name in a config -> (environment, actor network, fc_layer_params, discount) -> AgentLoss
AGENTS: dict[str, Callable[..., AgentLoss]] = {"ppo_clip": ppo_clip, "reinforce": reinforce}
