"""Compiled rollouts: N policies act in N tasks, E episodes each, in one loop over time."""

import collections

import tensorflow as tf

from tfcaml import keys, nest
from tfcaml.types import Trajectory

# The part of a trajectory that is written step by step.
Steps = collections.namedtuple("Steps", Trajectory._fields[:-1])


def sample(policy, environment, params, task, num_episodes, seed):
    """Rolls out one policy per task.

    All random numbers are drawn before the loop, from one seed per (task, episode). No gradient
    leaves this function, so that a tape that is open around it sees data and nothing else.

    Args:
      policy: a `Policy`.
      environment: an `TaskFamily`.
      params: weights, each [N, ...].
      task: nest, leading [N].
      num_episodes: E.
      seed: [2].

    Returns:
      `Trajectory` of T = `environment.horizon` steps.
    """
    params = nest.stop_gradient(params)
    num_tasks = nest.leading(task)
    episode_seed = keys.per_episode(seed, num_tasks, num_episodes)
    salted = lambda salt: keys.salted(episode_seed, salt)
    horizon = environment.horizon
    action_noise = nest.time_major(policy.noise(salted(keys.ACTIONS), horizon))
    step_noise = nest.time_major(
        keys.uniform(salted(keys.STEPS), [horizon, environment.noise_size])
    )
    state, observation = environment.reset(task, salted(keys.RESET))
    memory = policy.initial_memory(num_tasks, num_episodes)
    alive = tf.ones([num_tasks, num_episodes], tf.bool)

    def step(time, state, observation, memory, alive, steps):
        distribution, memory = policy.act(params, observation, memory)
        action = policy.sample(distribution, action_noise[time])
        next_state, next_observation, reward, terminated = environment.step(
            task, state, action, step_noise[time]
        )
        living = tf.cast(alive, reward.dtype)
        row = Steps(
            observation,
            action,
            reward * living,
            living,
            distribution.log_prob(action),
            tf.cast(terminated & alive, reward.dtype),
        )
        steps = nest.map(lambda array, value: array.write(time, value), steps, row)
        # An ended episode stands still, so that its last state stays to be read.
        still = lambda new, old: tf.where(_expand(alive, new), new, old)
        state = nest.map(still, next_state, state)
        observation = nest.map(still, next_observation, observation)
        ended = terminated | environment.truncated(next_state)
        return time + 1, state, observation, memory, alive & ~ended, steps

    array = lambda dtype, shape=(): tf.TensorArray(
        dtype, horizon, element_shape=[num_tasks, num_episodes, *shape]
    )
    arrays = Steps(
        nest.map(lambda x: array(x.dtype, x.shape[2:]), observation),
        array(policy.action_spec.dtype, policy.action_spec.shape),
        *(array(tf.float32) for _ in range(4)),
    )
    _, _, observation, _, _, steps = tf.while_loop(
        lambda time, *_: time < horizon,
        step,
        (0, state, observation, memory, alive, arrays),
        maximum_iterations=horizon,
        parallel_iterations=1,
    )
    steps = nest.map(lambda array: nest.task_major(array.stack()), steps)
    trajectory = Trajectory(*steps, observation)
    return nest.stop_gradient(trajectory)


def _expand(mask, like):
    """mask [N, E] -> [N, E, 1, ...] of the rank of `like`."""
    return tf.reshape(mask, mask.shape + [1] * (like.shape.rank - 2))
