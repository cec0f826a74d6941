"""The values that flow through tfcaml, and the order of their axes.

Every tensor carries its axes in one fixed order

    [N tasks, E episodes, T steps, ...]

and nothing loops over tasks: N is an axis of every tensor, also when it is 1. Fast parameters (the
weights adapted to a task) carry a leading [N]; meta parameters have no task axis.
"""

from typing import Any, NamedTuple

import tensorflow as tf

Params = Any  # nest of float tensors
Task = Any  # nest of tensors with leading [N]: all that tells one MDP of a family from another


class Trajectory(NamedTuple):
    """Episodes, padded to T steps. Data without gradient.

    observation: nest of [N, E, T, ...]  what the policy saw before each action
    action:      [N, E, T, A], or [N, E, T] integers when actions are discrete
    reward:      [N, E, T]  paid for the action; 0 on padded steps
    mask:        [N, E, T]  1 while the episode lives, 0 on padded steps
    log_prob:    [N, E, T]  log-probability of the action under the policy that acted, nats
    terminated:  [N, E, T]  1 on the step that ended the episode; 0 throughout where it was cut
    final_observation: nest of [N, E, ...]  what the last living step led to
    """

    observation: Any
    action: tf.Tensor
    reward: tf.Tensor
    mask: tf.Tensor
    log_prob: tf.Tensor
    terminated: tf.Tensor
    final_observation: Any


class Experience(NamedTuple):
    """A trajectory and what is worked out from it once. Data without gradient.

    trajectory:   `Trajectory`
    advantage:    [N, E, T]  credit of each action, by the learner's rule
    distribution: nest of [N, E * T, ...], the parameters of the action distributions that acted
      (`()` where nothing needs them)
    extra:        nest of [N, E, T, ...], what else a loss of its own needs
    """

    trajectory: Trajectory
    advantage: tf.Tensor
    distribution: Any = ()
    extra: Any = ()


class FastState(NamedTuple):
    """What one adaptation step maps to itself: weights and the state of their optimiser.

    params: nest of [N, ...]
    slots:  nest of [N, ...] of the inner optimiser (`()` for plain gradient descent)
    """

    params: Params
    slots: Any


class MetaBatch(NamedTuple):
    """All that one outer step needs.

    support: tuple of K `Experience`s, one per inner step
    query:   `Experience` of the adapted parameters
    per_task: [N], what else the objective has to know of each task (`()` for nothing), so that it
      may be evaluated on some of the tasks at a time
    """

    support: tuple
    query: Experience
    per_task: Any = ()


class Surrogate(NamedTuple):
    """What an outer optimiser sees of a learner at some meta parameters.

    loss:         [N]  of the adapted policies on the query
    distribution: their `tfd.Distribution`s at the query's steps, batch [N, E * T], or None
    """

    loss: tf.Tensor
    distribution: Any = None


def episode_return(trajectory):
    """Undiscounted return of each episode, [N, E]."""
    return tf.reduce_sum(trajectory.reward * trajectory.mask, axis=-1)


def next_observation(trajectory):
    """What each action led to, nest of [N, E, T, ...]; on padded steps, the end of the episode."""
    ahead = tf.pad(trajectory.mask[:, :, 1:], [[0, 0], [0, 0], [0, 1]]) > 0

    def shift(observation, final):
        final = final[:, :, None]
        following = tf.concat([observation[:, :, 1:], final], axis=2)
        goes_on = tf.reshape(ahead, [*ahead.shape, *[1] * (observation.shape.rank - 3)])
        return tf.where(goes_on, following, final)

    return tf.nest.map_structure(shift, trajectory.observation, trajectory.final_observation)
