"""Compiled rollouts: N policies act in N tasks, E episodes each, in one loop over time.

    rollout = begin(policy, environment, params, task, key)      key: [N, E, 2], one per episode
    rollout, trajectory = play(policy, environment, params, task, rollout, num_steps)
    rollout = restart(policy, environment, params, task, rollout, key)    where episodes have ended
    trajectory = sample(policy, environment, params, task, num_episodes, key)     whole episodes

`sample` is what learners take as their `sampler`, in whose place others may be given.
"""

from __future__ import annotations

import collections
from typing import TYPE_CHECKING, Any, NamedTuple

import tensorflow as tf

from tfcaml import keys, nest
from tfcaml.types import Nest, Params, Task, Trajectory

if TYPE_CHECKING:
    from tfcaml.environments.base import TaskFamily
    from tfcaml.policies.base import Policy

# The part of a trajectory that is written step by step.
Steps = collections.namedtuple(
    "Steps", ("observation", "action", "reward", "mask", "log_prob", "terminated", "info")
)


class Rollout(NamedTuple):
    """Episodes under way.

    key:           [N, E, 2], one per episode
    state:         nest of [N, E, ...], the environment's
    observation:   nest of [N, E, ...], the latest
    memory:        nest of [N, E, ...], the policy's
    alive:         [N, E] bool, which episodes have not ended
    time:          [] integer, steps played so far; or [N, E], of each episode
    episode_noise: nest of [N, E, ...], what the policy drew for each episode
    """

    key: tf.Tensor
    state: Nest
    observation: Nest
    memory: Nest
    alive: tf.Tensor
    time: tf.Tensor
    episode_noise: Nest


def sample(
    policy: Policy,
    environment: TaskFamily,
    params: Params,
    task: Task,
    num_episodes: int,
    key: tf.Tensor,
) -> Trajectory:
    """Rolls out one policy per task, from the start to the end of each episode.

    All random numbers are drawn before the loop, from one key per (task, episode). No gradient
    leaves this function, so that a tape that is open around it sees data and nothing else.

    Args:
      policy: a `Policy`.
      environment: a `TaskFamily`.
      params: weights, each [N, ...].
      task: nest, leading [N].
      num_episodes: E.
      key: [2]; or [N, E, 2], one key per episode.

    Returns:
      `Trajectory` of T = `environment.horizon` steps; its `observation` is `()` in families of
      `long_episodes`.
    """
    if tf.convert_to_tensor(key).shape.rank == 1:
        key = keys.per_episode(key, nest.leading(task), num_episodes)
    rollout = begin(policy, environment, params, task, key)
    observed = not environment.long_episodes
    _, trajectory = play(
        policy, environment, params, task, rollout, environment.horizon, True, observed
    )
    return trajectory._replace(start=())


def begin(
    policy: Policy, environment: TaskFamily, params: Params, task: Task, key: tf.Tensor
) -> Rollout:
    """Starts episodes.

    Args:
      policy, environment, params, task: as of `sample`.
      key: [N, E, 2], one key per episode.

    Returns:
      `Rollout`.
    """
    state, observation = environment.reset(task, keys.salted(key, keys.RESET))
    return _rollout(policy, params, state, observation, key)


def _rollout(
    policy: Policy, params: Params, state: Nest, observation: Nest, key: tf.Tensor
) -> Rollout:
    """`Rollout` of episodes that start with this state and observation."""
    params = nest.stop_gradient(params)
    episode_noise = policy.episode_noise(keys.salted(key, keys.EPISODES))
    memory = policy.initial_memory(params, key.shape[1], episode_noise)
    alive = tf.ones(key.shape[:2], tf.bool)
    return Rollout(key, state, observation, memory, alive, tf.constant(0), episode_noise)


def restart(
    policy: Policy,
    environment: TaskFamily,
    params: Params,
    task: Task,
    rollout: Rollout,
    key: tf.Tensor,
) -> Rollout:
    """Starts new episodes in the place of those that have ended; the others go on.

    Args:
      policy, environment, params, task: as of `sample`.
      rollout: `Rollout`, with a `time` for each episode.
      key: [N, E, 2], of the episodes that start.

    Returns:
      `Rollout`.
    """
    latest = rollout.state, rollout.observation, rollout.alive
    start = environment.restart(task, *latest, keys.salted(key, keys.RESET))
    fresh = _rollout(policy, params, *start, key)
    fresh = fresh._replace(time=tf.zeros_like(rollout.time))
    return nest.where(rollout.alive, rollout, fresh)


def nothing_played(
    policy: Policy, environment: TaskFamily, num_tasks: int | tf.Tensor, num_episodes: int
) -> Rollout:
    """A `Rollout` of zeros in which no episode is alive, to `restart`: N tasks, E episodes."""
    start = tf.function(begin, autograph=False).get_concrete_function
    row = lambda x: tf.TensorSpec([1, *x.shape], x.dtype)
    params, task = nest.map(row, (policy.init(0), environment.task_spec))
    key = tf.TensorSpec([1, num_episodes, 2], tf.int32)
    specs = start(policy, environment, params, task, key).structured_outputs
    rollout = nest.map(lambda x: tf.zeros([num_tasks, *x.shape[1:]], x.dtype), specs)
    return rollout._replace(time=tf.zeros([num_tasks, num_episodes], tf.int32))


def play(
    policy: Policy,
    environment: TaskFamily,
    params: Params,
    task: Task,
    rollout: Rollout,
    num_steps: int,
    from_start: bool = False,
    observed: bool = True,
) -> tuple[Rollout, Trajectory]:
    """Goes on with episodes for some steps; those that have ended stand still.

    Args:
      policy, environment, params, task: as of `sample`.
      rollout: `Rollout`.
      num_steps: T, a Python int.
      from_start: whether these are known to be the episodes' first steps.
      observed: whether observations are kept; the trajectory's `observation` is `()` otherwise.

    Returns:
      (`Rollout`, `Trajectory` of T steps, whose `start` is what the policy remembered before).
    """
    params = nest.stop_gradient(params)
    num_tasks, num_episodes = rollout.alive.shape
    key = rollout.key
    if not from_start:  # the numbers of later steps are those of other keys
        later = tf.stack([rollout.time, tf.zeros_like(rollout.time)], axis=-1)
        key = tf.bitwise.bitwise_xor(key, keys.LATER * later)
    salted = lambda salt: keys.salted(key, salt)
    action_noise = nest.time_major(policy.noise(salted(keys.ACTIONS), num_steps))
    step_noise = nest.time_major(
        keys.uniform(salted(keys.STEPS), [num_steps, environment.noise_size])
    )

    def step(
        time: tf.Tensor, state: Nest, observation: Nest, memory: Nest, alive: tf.Tensor, steps: Nest
    ) -> tuple[Any, ...]:
        action, log_prob, info, acted = policy.play(params, observation, memory, action_noise[time])
        next_state, next_observation, reward, terminated = environment.step(
            task, state, action, step_noise[time]
        )
        last = rollout.time + time + 1 == environment.horizon
        ended = terminated | environment.truncated(next_state) | last
        living = tf.cast(alive, reward.dtype)
        row = Steps(
            observation if observed else (),
            action,
            reward * living,
            living,
            log_prob,
            tf.cast(terminated & alive, reward.dtype),
            info,
        )
        steps = nest.map(lambda array, value: array.write(time, value), steps, row)
        # An ended episode stands still, so that its last state stays to be read.
        state = nest.where(alive, next_state, state)
        memory = nest.where(alive, policy.observe(acted, action, reward, ended), memory)
        observation = nest.where(alive, next_observation, observation)
        return time + 1, state, observation, memory, alive & ~ended, steps

    array = lambda dtype, shape=(): tf.TensorArray(
        dtype, num_steps, element_shape=[num_tasks, num_episodes, *shape]
    )
    arrays = Steps(
        observation=nest.map(
            lambda x: array(x.dtype, x.shape[2:]), rollout.observation if observed else ()
        ),
        action=array(policy.action_spec.dtype, policy.action_spec.shape),
        reward=array(tf.float32),
        mask=array(tf.float32),
        log_prob=array(tf.float32),
        terminated=array(tf.float32),
        info=nest.map(lambda spec: array(spec.dtype, spec.shape), policy.info_spec),
    )
    goes_on = lambda time, alive: time < num_steps
    if not environment.supports_xla:  # a step that runs in Python costs time even without episodes
        goes_on = lambda time, alive: (time < num_steps) & tf.reduce_any(alive)
    time, state, observation, memory, alive, steps = tf.while_loop(
        lambda time, state, observation, memory, alive, steps: goes_on(time, alive),
        step,
        (0, rollout.state, rollout.observation, rollout.memory, rollout.alive, arrays),
        maximum_iterations=num_steps,
        parallel_iterations=1,
    )
    steps = nest.map(lambda array: nest.task_major(array.stack()), steps)
    if observed and not environment.supports_xla:  # where no step was written stands the last one
        valid = tf.range(num_steps) < time
        fill = lambda x, last: tf.where(nest.expand(valid[None, None], x), x, last[:, :, None])
        steps = steps._replace(observation=nest.map(fill, steps.observation, observation))
    trajectory = Trajectory(
        **steps._asdict(),
        final_observation=observation,
        episode_noise=rollout.episode_noise,
        start=rollout.memory,
    )
    rollout = rollout._replace(
        state=state,
        observation=observation,
        memory=memory,
        alive=alive,
        time=rollout.time + num_steps,
    )
    return rollout, nest.stop_gradient(trajectory)
