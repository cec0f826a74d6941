"""What every policy is."""

import tensorflow as tf

from tfcaml import nest
from tfcaml.errors import ConfigError


class Policy:
    """A stochastic policy as a pure function of its parameters.

    A subclass without memory defines `__call__`, `noise` and `sample`. One with memory defines
    `initial_memory`, `act` and `unroll` too, and sets `has_memory`; it has no answer to a state
    alone, and its `__call__` raises a ConfigError. One that learns from rewards within an episode
    defines `observe`, one that draws something once per episode `episode_noise`, and one that makes
    choices of its own at each step `play`.

    Attributes:
      action_spec: `BoundedTensorSpec` of one action.
      num_actions: how many actions there are, or None when actions are continuous.
      has_memory: whether an action depends on what the policy saw earlier in the episode.
      supports_xla: whether XLA can compile the policy's gradients.
      episode_noise_spec: nest of `TensorSpec`s of what `episode_noise` gives for one episode.
      info_spec: nest of `TensorSpec`s of the `info` that `play` gives for one step.
    """

    action_spec = None
    num_actions = None
    has_memory = False
    supports_xla = True
    episode_noise_spec = ()
    info_spec = ()

    @property
    def names(self):
        """A name for each tensor of the weights, in the order of `tf.nest.flatten`: tuple."""
        return tuple(nest.names(self.init(0)))

    @property
    def head(self):
        """The positions in `names` of the last layer's weights and of all that follow: tuple.

        The last layer is that of the last matrix; its bias and a standard deviation follow.
        """
        return last_layer([x.shape.rank for x in tf.nest.flatten(self.init(0))])

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

    def noise(self, key, num_steps):
        """The numbers `sample` turns into actions: key [N, E, 2] -> [N, E, num_steps, ...]."""
        raise NotImplementedError

    def sample(self, distribution, noise):
        """An action per row of `distribution` [N, B] from its `noise` [N, B, ...]."""
        raise NotImplementedError

    def episode_noise(self, key):
        """What is drawn once for each episode: key [N, E, 2] -> nest of [N, E, ...]; `()`: nothing.

        Draw what does not depend on parameters, such as the epsilon of a reparameterised latent:
        so the losses of `unroll` are differentiable in what turns it into the latent.
        """
        return ()

    def initial_memory(self, params, num_episodes, noise=()):
        """What the policy remembers before an episode: nest of [N, E, ...], `()` if nothing.

        Args:
          params: weights, each [N, ...]; the memory may be one of them.
          num_episodes: E.
          noise: of `episode_noise`.
        """
        return ()

    def act(self, params, observation, memory):
        """The action distribution at one step of episodes.

        Args:
          params: weights, each [N, ...].
          observation: nest of [N, E, ...].
          memory: as `initial_memory` or the step before gave it.

        Returns:
          (`tfd.Distribution` with batch shape [N, E], memory after the step).
        """
        return self(params, observation), memory

    def play(self, params, observation, memory, noise):
        """One step of episodes: `act`, and an action drawn.

        Args:
          params, observation, memory: as of `act`.
          noise: [N, E, ...], a step of `noise`.

        Returns:
          (action [N, E, ...], its log-probability [N, E], info: nest of [N, E, ...] like
          `info_spec`, memory after the step).
        """
        distribution, memory = self.act(params, observation, memory)
        action = self.sample(distribution, noise)
        return action, distribution.log_prob(action), (), memory

    def observe(self, memory, action, reward, ended):
        """The memory after what came of an action, which `act` does not know yet.

        Args:
          memory: as `act` gave it.
          action: [N, E] or [N, E, A].
          reward: [N, E].
          ended: [N, E] bool, whether the episode ended with this step.
        """
        return memory

    def unroll(self, params, trajectory):
        """The action distributions at all steps of a trajectory.

        Args:
          params: weights, each [N, ...].
          trajectory: `Trajectory` [N, E, T, ...].

        Returns:
          `tfd.Distribution` with batch shape [N, E * T].
        """
        return self(params, nest.flat_steps(trajectory.observation))

    def value(self, params, trajectory, head="value"):
        """What the states of a trajectory are worth, for policies with a critic.

        Args:
          params: weights, each [N, ...].
          trajectory: `Trajectory` [N, E, T, ...].
          head: which critic, where there are several.

        Returns:
          (values of the observations [N, E, T], of what each episode led to [N, E]).

        Raises:
          ConfigError: the policy has no critic.
        """
        raise ConfigError(f"expected a policy with a critic; received {type(self).__name__}")


def last_layer(ranks):
    """Positions from the last matrix on, given the weights' ranks; all where none is a matrix."""
    matrices = [i for i, rank in enumerate(ranks) if rank >= 2]
    return tuple(range(matrices[-1] if matrices else 0, len(ranks)))
