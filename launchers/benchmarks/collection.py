"""Ways to collect episodes: tfcaml's compiled rollout, and TF-Agents' drivers and agent."""

import time

import tensorflow as tf
from tf_agents.agents.reinforce import reinforce_agent
from tf_agents.drivers import dynamic_episode_driver
from tf_agents.policies import actor_policy, tf_policy
from tf_agents.replay_buffers import tf_uniform_replay_buffer
from tf_agents.trajectories import policy_step
from tf_agents.utils import common

from tfcaml import keys, nest
from tfcaml.policies import distributions
from tfcaml.rollouts import sampling

from .timing import Contestant


def rollout(policy, environment, params, task, num_episodes, jit_compile):
    """`Contestant`: one policy per task, `num_episodes` each."""
    compiled = tf.function(
        lambda params, task, key: sampling.sample(
            policy, environment, params, task, num_episodes, key
        ),
        autograph=False,
        jit_compile=jit_compile,
    )
    run = lambda: compiled(params, task, keys.from_int(time.monotonic_ns()))
    return Contestant(run, nest.leading(task) * num_episodes * environment.horizon, "steps/s")


def driver(environment, policy, num_episodes, horizon, record=True):
    """`Contestant`: the stock driver, compiled, filling a replay buffer with as many episodes."""
    buffer = _buffer(environment, policy, horizon)
    stock = dynamic_episode_driver.DynamicEpisodeDriver(
        environment, policy, [buffer.add_batch] if record else [], num_episodes=num_episodes
    )
    run = common.function(stock.run)
    return Contestant(lambda: run()[0], num_episodes * horizon, "steps/s")


def reinforce(environment, network, num_episodes, horizon):
    """`Contestant`: the stock driver, then one update of the stock `ReinforceAgent`."""
    agent = reinforce_agent.ReinforceAgent(
        environment.time_step_spec(),
        environment.action_spec(),
        network,
        tf.compat.v1.train.AdamOptimizer(1e-3),
    )
    agent.initialize()
    episodes_per_row = num_episodes // environment.batch_size
    buffer = _buffer(environment, agent.collect_policy, horizon * episodes_per_row)
    stock = dynamic_episode_driver.DynamicEpisodeDriver(
        environment, agent.collect_policy, [buffer.add_batch], num_episodes=num_episodes
    )
    collect, train = common.function(stock.run), common.function(agent.train)

    def run():
        collect()
        loss = train(buffer.gather_all()).loss
        buffer.clear()
        return loss

    return Contestant(run, num_episodes * horizon, "steps/s")


def actor(environment, policy):
    """The policy's own network, with one set of weights for all rows."""
    return actor_policy.ActorPolicy(
        environment.time_step_spec(), environment.action_spec(), policy.network
    )


class ActorPerTask(tf_policy.TFPolicy):
    """The weights of each task for its block of rows: what `tfcaml` rolls out, under a driver."""

    def __init__(self, environment, policy, params, num_episodes):
        super().__init__(environment.time_step_spec(), environment.action_spec())
        self._policy, self._params, self._num_episodes = policy, params, num_episodes

    def _distribution(self, time_step, policy_state):
        observation = time_step.observation
        blocks = tf.reshape(observation, [-1, self._num_episodes, *observation.shape[1:]])
        distribution = self._policy(self._params, blocks)
        rows = lambda x: tf.reshape(x, [-1, *x.shape[2:]])
        values = nest.map(rows, distributions.tensors(distribution))
        return policy_step.PolicyStep(distributions.rebuild(distribution, values), policy_state)


def _buffer(environment, policy, num_steps):
    """Room for `num_steps` per row and for the entries between episodes."""
    return tf_uniform_replay_buffer.TFUniformReplayBuffer(
        policy.trajectory_spec, environment.batch_size, max_length=num_steps + 1
    )
