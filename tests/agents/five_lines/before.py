"""REINFORCE on one entity, with nothing but TF-Agents around the environment."""

import tfcaml  # isort: skip  (first: TF-Agents needs Keras 2)

import tensorflow as tf
from tf_agents.agents.reinforce import reinforce_agent
from tf_agents.drivers import dynamic_episode_driver
from tf_agents.metrics import tf_metrics
from tf_agents.networks import actor_distribution_network
from tf_agents.replay_buffers import tf_uniform_replay_buffer
from tf_agents.utils import common

from tfcaml import nest
from tfcaml.environments.tf_agents import FamilyTFEnvironment

UPDATES, EPISODES = 5, 10

family = tfcaml.environments.CartPole()
population = family.population(seed=0)
entity = nest.take(population.test, [0])
env = FamilyTFEnvironment(family, entity, EPISODES)
actor = actor_distribution_network.ActorDistributionNetwork(
    env.observation_spec(), env.action_spec(), fc_layer_params=(64, 64)
)
agent = reinforce_agent.ReinforceAgent(
    env.time_step_spec(), env.action_spec(), actor, tf.keras.optimizers.Adam(1e-2), gamma=0.99
)
agent.initialize()
buffer = tf_uniform_replay_buffer.TFUniformReplayBuffer(
    agent.collect_data_spec, env.batch_size, max_length=family.horizon + 1
)
mean_return = tf_metrics.AverageReturnMetric(batch_size=EPISODES, buffer_size=EPISODES)
driver = dynamic_episode_driver.DynamicEpisodeDriver(
    env, agent.collect_policy, [buffer.add_batch, mean_return], num_episodes=EPISODES
)
train = common.function(agent.train)

for update in range(UPDATES):
    driver.run()
    print(f"update {update}: mean return {mean_return.result():.1f}")
    train(buffer.gather_all())
    buffer.clear()
