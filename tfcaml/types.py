"""The values that flow through tfcaml, and the order of their axes.

Every tensor carries its axes in one fixed order

    [N tasks, E episodes, T steps, ...]

and nothing loops over tasks: N is an axis of every tensor, also when it is 1. Fast parameters (the
weights adapted to a task) carry a leading [N]; meta parameters have no task axis.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import tensorflow as tf

from tfcaml import nest
from tfcaml.errors import check, check_is
from tfcaml.nest import Nest

if TYPE_CHECKING:
    from tensorflow_probability import distributions as tfd

Params = Nest  # of float tensors
Task = Nest  # of tensors with leading [N]: all that tells one MDP of a family from another


class Trajectory(NamedTuple):
    """Episodes, padded to T steps. Data without gradient.

    observation: nest of [N, E, T, ...]  what the policy saw before each action
    action:      [N, E, T, A], or [N, E, T] integers when actions are discrete
    reward:      [N, E, T]  of the action; 0 on padded steps
    mask:        [N, E, T]  1 on valid steps, 0 on padded steps
    log_prob:    [N, E, T]  log-probability of the action under the behaviour policy, nats
    terminated:  [N, E, T]  1 on the step that ended the episode; 0 throughout where it was cut
    final_observation: nest of [N, E, ...]  what the last valid step led to
    episode_noise: nest of [N, E, ...]  what the policy drew once for each episode
    info:        nest of [N, E, T, ...]  what else the policy says of each step
    start:       nest of [N, E, ...]  what the policy remembered before the first step, where these
      are not episodes from their start on

    The last three are `()` where there is nothing of the kind; `observation` is `()` in whole
    episodes of families of `long_episodes`.
    """

    observation: Nest
    action: tf.Tensor
    reward: tf.Tensor
    mask: tf.Tensor
    log_prob: tf.Tensor
    terminated: tf.Tensor
    final_observation: Nest
    episode_noise: Nest = ()
    info: Nest = ()
    start: Nest = ()


class Metric(NamedTuple):
    """What a number that training reports is, for whoever shows it.

    description: one or more sentences, with the unit where there is one
    chart: the title of the chart that shows it together with the metrics of the same title; ""
      where it has no such chart
    """

    description: str
    chart: str = ""


class Episodes(NamedTuple):
    """Episodes with all that decides them.

    task: nest of [N, ...]
    key: [N, E, 2], one per episode
    trajectory: `Trajectory` [N, E, T]
    """

    task: Task
    key: tf.Tensor
    trajectory: Trajectory


class Film(NamedTuple):
    """An episode in pictures.

    pictures: [F, height, width, 3] uint8, the first at the start and the last at the end
    seconds: [F], the time in the episode at which each of them is
    notes: [F] strings, what else is written below each; `()` for nothing
    """

    pictures: np.ndarray
    seconds: np.ndarray
    notes: Sequence[str] = ()


class Experience(NamedTuple):
    """A trajectory and what is worked out from it once. Data without gradient.

    trajectory:   `Trajectory`
    weight:       [N, E, T]  what each step counts in the loss: an advantage, a reward, a return or
      the mask, by the loss
    distribution: nest of [N, E * T, ...], the parameters of the behaviour policy's action
      distributions (`()` where nothing needs them)
    extra:        nest of [N, ...], what else a loss needs
    """

    trajectory: Trajectory
    weight: tf.Tensor
    distribution: Nest = ()
    extra: Nest = ()


class FastState(NamedTuple):
    """What one adaptation step maps to itself.

    params: nest of [N, ...], what is adapted: the policy's weights, or whatever `acting` makes
      them from
    slots:  nest of [N, ...] of the inner optimiser (`()` for plain gradient descent)
    memory: nest of [N, ...], what else travels with adaptation and is not descended: buffers,
      hidden states, weights that stay
    """

    params: Params
    slots: Nest
    memory: Nest = ()


class MetaBatch(NamedTuple):
    """All that one outer step needs.

    support: tuple of K `Experience`s, one per inner step
    query:   `Experience` of the adapted parameters
    per_task: nest of [N, ...], what else the objective has to know of each task (`()` for nothing),
      so that it may be evaluated on some of the tasks at a time
    index:   [N] integers, which training tasks these are (`()` for tasks that are made anew)
    key:     [N, 2], a random key for each task, for what is drawn when a task is started on
    """

    support: tuple[Experience, ...]
    query: Experience
    per_task: Nest = ()
    index: Nest = ()
    key: Nest = ()


class Surrogate(NamedTuple):
    """What an outer optimiser sees of a learner at some meta parameters.

    loss:         [N]  of the adapted policies on the query
    distribution: their `tfd.Distribution`s at the query's steps, batch [N, E * T], or None
    kl:           [N], how far they are from the behaviour policies where that is not the mean KL
      of the query's steps, nats; or None
    metrics: dict of scalars that Adam's single outer step reports besides, or `()`
    """

    loss: tf.Tensor
    distribution: tfd.Distribution | None = None
    kl: tf.Tensor | None = None
    metrics: Nest = ()


def blank_trajectory(
    environment: Any, policy: Any, *shape: int, num_steps: int | None = None
) -> Trajectory:
    """A trajectory of zeros.

    Args:
      environment: a `TaskFamily`.
      policy: a `Policy`.
      *shape: N and E.
      num_steps: T; None: `environment.horizon`.

    Returns:
      `Trajectory` [N, E, T, ...], none of whose steps is valid.
    """
    steps = [*shape, num_steps or environment.horizon]
    zeros = lambda *axes: lambda spec: tf.zeros([*axes, *spec.shape], spec.dtype)
    per_step = tf.zeros(steps)
    each = lambda specs, *axes: tf.nest.map_structure(zeros(*axes), specs)
    return Trajectory(
        observation=each(environment.observation_spec, *steps),
        action=each(policy.action_spec, *steps),
        reward=per_step,
        mask=per_step,
        log_prob=per_step,
        terminated=per_step,
        final_observation=each(environment.observation_spec, *shape),
        episode_noise=each(policy.episode_noise_spec, *shape),
        info=each(policy.info_spec, *steps),
    )


def check_trajectory(name: str, value: Any) -> None:
    """Raises `ConfigError` unless it is a `Trajectory`, whose arrays share their axes [N, E, T]."""
    allowed = "a Trajectory, as learner.sample or learner.measure gives"
    check_is(name, value, Trajectory, allowed)
    shape = list(getattr(value.mask, "shape", []))
    check(len(shape) == 3, f"shape of {name}.mask", shape, "[N, E, T]")
    for field in ("observation", "action", "reward", "log_prob", "terminated"):
        for leaf in tf.nest.flatten(getattr(value, field)):
            own = list(getattr(leaf, "shape", []))[:3]
            check(own == shape, f"first axes of {name}.{field}", own, f"{shape}, as of its mask")


def episode_return(trajectory: Trajectory) -> tf.Tensor:
    """Undiscounted return of each episode, [N, E]."""
    return tf.reduce_sum(trajectory.reward * trajectory.mask, axis=-1)


def last_steps(mask: tf.Tensor) -> tf.Tensor:
    """Which steps are the last valid ones of episodes: mask [N, E, T] -> [N, E, T] bool."""
    return mask - tf.pad(mask[:, :, 1:], [[0, 0], [0, 0], [0, 1]]) > 0


def in_a_row(trajectory: Trajectory) -> Trajectory:
    """The episodes of each task one after another, as one; its padded steps are the last.

    Args:
      trajectory: `Trajectory` [N, E, T, ...], such as the episodes of a trial in their order.

    Returns:
      `Trajectory` [N, 1, E * T, ...], with the `start` of the first episode, the
      `final_observation` of the last and no `episode_noise`.
    """
    tasks, episodes, length = trajectory.mask.shape
    whole = trajectory._replace(
        final_observation=nest.map(lambda x: x[:, -1:], trajectory.final_observation),
        episode_noise=(),
        start=nest.map(lambda x: x[:, :1], trajectory.start),
    )
    if episodes == 1:
        return whole
    steps = episodes * length
    mask = tf.reshape(trajectory.mask, [tasks, steps])
    # Valid steps first, each kind in its own order.
    order = tf.argsort(tf.where(mask > 0, 0, steps) + tf.range(steps), axis=1)

    def row(x: tf.Tensor) -> tf.Tensor:
        x = tf.reshape(x, [tasks, steps, *x.shape[3:]])
        return tf.gather(x, order, axis=1, batch_dims=1)[:, None]

    fields = ("observation", "action", "reward", "mask", "log_prob", "terminated", "info")
    return whole._replace(**{name: nest.map(row, getattr(trajectory, name)) for name in fields})


def next_observation(trajectory: Trajectory) -> Nest:
    """What each action led to, nest of [N, E, T, ...]; on padded steps, the end of the episode."""
    ahead = tf.pad(trajectory.mask[:, :, 1:], [[0, 0], [0, 0], [0, 1]]) > 0

    def shift(observation: tf.Tensor, final: tf.Tensor) -> tf.Tensor:
        final = final[:, :, None]
        following = tf.concat([observation[:, :, 1:], final], axis=2)
        return tf.where(nest.expand(ahead, observation), following, final)

    return tf.nest.map_structure(shift, trajectory.observation, trajectory.final_observation)
