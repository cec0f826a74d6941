"""What every policy is."""

from tfcaml import nest


class Policy:
    """A stochastic policy as a pure function of its parameters.

    A subclass without memory defines `__call__`, `noise` and `sample`. One with memory defines
    `initial_memory`, `act` and `unroll` too, and sets `has_memory`; it has no answer to a state
    alone, and its `__call__` raises a ConfigError.

    Attributes:
      action_spec: `BoundedTensorSpec` of one action.
      num_actions: how many actions there are, or None when actions are continuous.
      has_memory: whether an action depends on what the policy saw earlier in the episode.
      supports_xla: whether XLA can compile the policy's gradients.
    """

    action_spec = None
    num_actions = None
    has_memory = False
    supports_xla = True

    def init(self, seed):
        """New weights without task axis. `seed`: Python int."""
        raise NotImplementedError

    def __call__(self, params, observation):
        """The action distribution at states, each by itself.

        Args:
          params: weights, each [N, ...].
          observation: nest of [N, B, ...].

        Returns:
          `tfd.Distribution` with batch shape [N, B].
        """
        raise NotImplementedError

    def noise(self, seed, num_steps):
        """The numbers `sample` turns into actions: seed [N, E, 2] -> [N, E, num_steps, ...]."""
        raise NotImplementedError

    def sample(self, distribution, noise):
        """An action per row of `distribution` [N, B] from its `noise` [N, B, ...]."""
        raise NotImplementedError

    def initial_memory(self, num_tasks, num_episodes):
        """What the policy remembers before an episode: nest of [N, E, ...], `()` if nothing."""
        return ()

    def act(self, params, observation, memory):
        """One step of episodes.

        Args:
          params: weights, each [N, ...].
          observation: nest of [N, E, ...].
          memory: as `initial_memory` or the step before gave it.

        Returns:
          (`tfd.Distribution` with batch shape [N, E], memory after the step).
        """
        return self(params, observation), memory

    def unroll(self, params, observation):
        """The action distributions at all steps of whole episodes.

        Args:
          params: weights, each [N, ...].
          observation: nest of [N, E, T, ...], from the first step on.

        Returns:
          `tfd.Distribution` with batch shape [N, E * T].
        """
        return self(params, nest.flat_steps(observation))
