"""Trials of a recurrent policy on bandits: compiled, step by step, and TF-Agents' recurrent PPO."""

import tensorflow as tf
from tf_agents.agents.ppo import ppo_clip_agent
from tf_agents.environments import tf_py_environment
from tf_agents.networks import actor_distribution_rnn_network, value_rnn_network

from tfcaml import environments, keys, learners, nest
from tfcaml.environments.tf_agents import FamilyPyEnvironment, FamilyTFEnvironment

from . import collection
from .timing import Contestant, Ratio, measure

_LAYERS = {"input_fc_layer_params": None, "output_fc_layer_params": None}


def run(repeats, quick):
    """Environment steps per second while trials of 100 pulls are recorded."""
    horizon, num_tasks, units = (5, 4, 4) if quick else (100, 1000, 64)
    family = environments.Bandit(environments.BanditConfig(horizon=horizon))
    task = family.population(0, num_tasks).test
    one_task = nest.take(task, [0])
    learner = learners.RL2(family, config=learners.RL2.Config(units=units))
    num_trials = nest.leading(task)

    def of_agent(environment, num_episodes):
        policy = _collect_policy(environment, units)
        return collection.driver(environment, policy, num_episodes, horizon)

    unbatched = tf_py_environment.TFPyEnvironment(FamilyPyEnvironment(family, one_task))
    contestants = {
        "tfcaml": Contestant(_compiled(learner, task), num_trials * horizon, "steps/s"),
        "tfcaml, step by step": Contestant(_loop(learner, one_task), horizon, "steps/s"),
        "TF-Agents' PPO, wide": of_agent(FamilyTFEnvironment(family, task, 1), num_trials),
        "TF-Agents' PPO, unbatched": of_agent(unbatched, 1),
    }
    bars = {
        "tfcaml, step by step": 100,
        "TF-Agents' PPO, wide": 1,
        "TF-Agents' PPO, unbatched": 100,
    }
    return measure(contestants, repeats, [Ratio("tfcaml", name, bar) for name, bar in bars.items()])


def _compiled(learner, task):
    fast = learner.start(learner.meta.read(), nest.leading(task))
    return lambda: learner.measure(fast, task, 1, keys.from_int(1)).reward


def _loop(learner, task):
    """One trial, a compiled call of the policy for each of its steps."""
    family = learner.environment
    act = tf.function(learner.policy.play, autograph=False)
    fast = learner.start(learner.meta.read(), 1)
    params = learner.acting(learner.meta.read(), fast)
    noise = learner.policy.noise(keys.per_episode(keys.from_int(1), 1, 1), family.horizon)

    def play():
        state, observation = family.reset(task, keys.per_episode(keys.from_int(1), 1, 1))
        memory, rewards = learner.policy.initial_memory(params, 1), []
        for step in range(family.horizon):
            action, _, _, memory = act(params, observation, memory, noise[:, :, step])
            coin = keys.uniform(keys.per_episode(keys.from_int(step), 1, 1), [family.noise_size])
            state, observation, reward, _ = family.step(task, state, action, coin)
            ended = tf.constant([[step + 1 == family.horizon]])
            memory = learner.policy.observe(memory, action, reward, ended)
            rewards.append(reward)
        return rewards

    return play


def _collect_policy(environment, units):
    """That of TF-Agents' PPO with an LSTM of so many units."""
    specs = environment.observation_spec(), environment.action_spec()
    actor = actor_distribution_rnn_network.ActorDistributionRnnNetwork(
        *specs, lstm_size=(units,), **_LAYERS
    )
    critic = value_rnn_network.ValueRnnNetwork(specs[0], lstm_size=(units,), **_LAYERS)
    agent = ppo_clip_agent.PPOClipAgent(
        environment.time_step_spec(),
        specs[1],
        optimizer=tf.keras.optimizers.Adam(),
        actor_net=actor,
        value_net=critic,
    )
    agent.initialize()
    return agent.collect_policy
