"""How policies that TF-Agents trains, each on its own, diverge: followed in TensorBoard."""

import tfcaml  # isort: skip  (first: TF-Agents needs Keras 2)

import tensorflow as tf
from tf_agents.agents.reinforce import reinforce_agent
from tf_agents.drivers import dynamic_episode_driver
from tf_agents.networks import actor_distribution_network
from tf_agents.replay_buffers import tf_uniform_replay_buffer
from tf_agents.utils import common

from tfcaml import nest
from tfcaml.agents.trajectories import from_tf_agents
from tfcaml.environments.tf_agents import FamilyTFEnvironment
from tfcaml.policies import NetworkPolicy
from tfcaml.reporting.divergence_monitor import DivergenceMonitor, DivergenceMonitorConfig

UPDATES, INTERVAL, EPISODES = 40, 10, 10
ENTITIES = [0, 1, 4, 5, 8, 9]  # two of each of three groups

family = tfcaml.environments.Particle()
population = family.population(seed=0)


def training(entity):
    """An actor, what plays episodes of it on one entity, and what trains it on them."""
    env = FamilyTFEnvironment(family, nest.take(population.train, [entity]), EPISODES)
    actor = actor_distribution_network.ActorDistributionNetwork(
        env.observation_spec(), env.action_spec(), fc_layer_params=(64, 64)
    )
    agent = reinforce_agent.ReinforceAgent(
        env.time_step_spec(),
        env.action_spec(),
        actor,
        tf.keras.optimizers.Adam(1e-2),
        gamma=0.99,
        normalize_returns=True,
    )
    agent.initialize()
    buffer = tf_uniform_replay_buffer.TFUniformReplayBuffer(
        agent.collect_data_spec, env.batch_size, max_length=family.horizon + 1
    )
    driver = dynamic_episode_driver.DynamicEpisodeDriver(
        env, agent.collect_policy, [buffer.add_batch], num_episodes=EPISODES
    )
    train = common.function(agent.train)

    def play():
        buffer.clear()
        driver.run()
        return buffer.gather_all()  # a row per episode

    return actor, play, train


actors, plays, trains = zip(*[training(entity) for entity in ENTITIES])
# What tfcaml needs: the network as a function of its weights, the weights, and the episodes.
policy = NetworkPolicy(actors[0], family.action_spec)
monitor = DivergenceMonitor("runs/own", DivergenceMonitorConfig(num_clusters=3))
groups = population.train_group[ENTITIES]
for update in range(UPDATES + 1):
    episodes = [play() for play in plays]
    if update % INTERVAL == 0:
        params = nest.stack([tuple(actor.trainable_variables) for actor in actors])
        played = nest.stack(episodes)  # [N, E, T, ...]
        played = from_tf_agents(played, log_prob=tf.zeros_like(played.reward))  # not looked at
        record = monitor.record(update, policy, params, played, groups)
        print(f"update {update}: {record.metrics}")
    for train, batch in zip(trains, episodes):
        train(batch)
