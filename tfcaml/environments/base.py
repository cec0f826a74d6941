"""A family of Markov decision processes as pure functions, batched over tasks and episodes."""

from typing import Any, NamedTuple

import tensorflow as tf

from tfcaml import nest


class Population(NamedTuple):
    """The entities of one study: some to learn from, others, never seen in training, to adapt to.

    support: tasks, leading [S]
    query:   tasks, leading [Q]; none of them is in `support`
    support_group: [S] integers, the latent group of each entity (for reports, never for learning)
    query_group:   [Q]
    """

    support: Any
    query: Any
    support_group: Any
    query_group: Any

    def sample(self, num_tasks, seed):
        """`num_tasks` support entities drawn with replacement. seed: [2]."""
        size = nest.leading(self.support)
        index = tf.random.stateless_uniform([num_tasks], seed, 0, size, tf.int32)
        return nest.take(self.support, index)


class Environment:
    """A family of MDPs that differ by a `task`. All state is in the arguments.

    Subclasses set
      task_spec: nest of `TensorSpec`s of one task
      observation_spec: `TensorSpec` of one observation
      action_spec: `BoundedTensorSpec` of one action
      horizon: steps after which an episode is truncated
      noise_size: how many U(0, 1) numbers one step uses (0 for a deterministic family)
    """

    task_spec = None
    observation_spec = None
    action_spec = None
    horizon = None
    noise_size = 0

    def population(self, seed, num_query=None):
        """The `Population` of a study with this seed (Python int).

        `num_query`: held-out entities, as many as the family's options say unless given.
        """
        raise NotImplementedError

    def reset(self, task, seed):
        """Starts episodes.

        Args:
          task: nest, leading [N].
          seed: [N, E, 2], one seed per episode.

        Returns:
          (state, nest of [N, E, ...]; observation [N, E, O]).
        """
        raise NotImplementedError

    def step(self, task, state, action, noise):
        """One step of every episode.

        Args:
          task: nest, leading [N].
          state: nest of [N, E, ...].
          action: [N, E] integers or [N, E, A].
          noise: [N, E, noise_size], U(0, 1).

        Returns:
          (state, observation [N, E, O], reward [N, E], terminated [N, E] bool). Truncation at the
          horizon is the caller's.
        """
        raise NotImplementedError
