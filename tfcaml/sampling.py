"""Compiled rollouts: N policies act in N tasks, E episodes each, in one loop over time."""

import collections

import tensorflow as tf

from tfcaml import nest, seeds
from tfcaml.types import Trajectory

# The part of a trajectory that is written step by step.
Steps = collections.namedtuple("Steps", Trajectory._fields[:-1])


def sample(policy, environment, params, task, num_episodes, seed):
    """Rolls out one policy per task.

    All random numbers are drawn before the loop, from one seed per (task, episode). No gradient
    leaves this function, so that a tape that is open around it sees data and nothing else.

    Args:
      policy: a `Policy`.
      environment: an `Environment`.
      params: weights, each [N, ...].
      task: nest, leading [N].
      num_episodes: E.
      seed: [2].

    Returns:
      `Trajectory` of T = `environment.horizon` steps.
    """
    params = nest.stop_gradient(params)
    num_tasks = nest.leading(task)
    episode_seed = seeds.per_episode(seed, num_tasks, num_episodes)
    salted = lambda salt: seeds.salted(episode_seed, salt)
    horizon = environment.horizon
    action_noise = _time_major(policy.noise(salted(seeds.ACTIONS), horizon))
    step_noise = _time_major(seeds.uniform(salted(seeds.STEPS), [horizon, environment.noise_size]))
    state, observation = environment.reset(task, salted(seeds.RESET))
    alive = tf.ones([num_tasks, num_episodes], tf.bool)

    def step(time, state, observation, alive, steps):
        distribution = policy(params, observation)
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
        steps = Steps(*(array.write(time, value) for array, value in zip(steps, row)))
        # An ended episode stands still, so that its last state stays to be read.
        still = lambda new, old: tf.where(_expand(alive, new), new, old)
        state = nest.map(still, next_state, state)
        observation = still(next_observation, observation)
        ended = terminated | environment.truncated(next_state)
        return time + 1, state, observation, alive & ~ended, steps

    arrays = Steps(
        *(
            tf.TensorArray(dtype, horizon, element_shape=[num_tasks, num_episodes, *shape])
            for dtype, shape in (
                (observation.dtype, observation.shape[2:]),
                (policy.action_spec.dtype, policy.action_spec.shape),
                *[(tf.float32, ())] * 4,
            )
        )
    )
    _, _, observation, _, steps = tf.while_loop(
        lambda time, *_: time < horizon,
        step,
        (0, state, observation, alive, arrays),
        maximum_iterations=horizon,
        parallel_iterations=1,
    )
    trajectory = Trajectory(*(_task_major(a.stack()) for a in steps), observation)
    return nest.stop_gradient(trajectory)


def _time_major(x):
    return tf.transpose(x, [2, 0, 1, *range(3, x.shape.rank)])


def _task_major(x):
    return tf.transpose(x, [1, 2, 0, *range(3, x.shape.rank)])


def _expand(mask, like):
    """mask [N, E] -> [N, E, 1, ...] of the rank of `like`."""
    return tf.reshape(mask, mask.shape + [1] * (like.shape.rank - 2))
