"""A policy that draws a latent once per episode and keeps to it."""

import tensorflow as tf

from tfcaml import keys, nest
from tfcaml.policies import Policy, mlp_policy


class LatentPolicy(Policy):
    """pi(a | o, z) with z ~ N(mu, sigma) drawn before each episode.

    Its parameters are {"network": weights, "mu": [N, d], "log_sigma": [N, d]}. The memory is z,
    [N, E, d], and the noise of an episode is epsilon: z = mu + sigma epsilon is differentiable.

    Args:
      network: a `Policy` without memory of observations {"latent": [d], "observation": ...}.
      size: d.
    """

    has_memory = True

    def __init__(self, network, size):
        self.network, self.size = network, size
        self.action_spec, self.num_actions = network.action_spec, network.num_actions
        self.supports_xla = network.supports_xla
        self.episode_noise_spec = tf.TensorSpec([size], tf.float32)

    def init(self, seed):
        zeros = tf.zeros([self.size])
        return {"network": self.network.init(seed), "mu": zeros, "log_sigma": zeros}

    def episode_noise(self, key):
        return keys.normal(key, [self.size])

    def initial_memory(self, params, num_episodes, noise=()):
        return params["mu"][:, None] + tf.exp(params["log_sigma"])[:, None] * noise

    def act(self, params, observation, memory):
        seen = {"latent": memory, "observation": observation}
        return self.network(params["network"], seen), memory

    def unroll(self, params, trajectory):
        """All steps at once, as nothing changes the latent; a `start` is one that is given."""
        _, episodes, steps = trajectory.mask.shape
        latent = trajectory.start
        if isinstance(latent, tuple):
            latent = self.initial_memory(params, episodes, trajectory.episode_noise)
        observation = nest.flat_steps(trajectory.observation)
        return self.act(params, observation, tf.repeat(latent, steps, axis=1))[0]


def latent_mlp_policy(environment, size, **options):
    """A `LatentPolicy` of `size` numbers with the network of `mlp_policy`, which takes options."""
    latent = tf.TensorSpec([size], tf.float32)
    seen = {"latent": latent, "observation": environment.observation_spec}
    return LatentPolicy(mlp_policy(seen, environment.action_spec, **options), size)
