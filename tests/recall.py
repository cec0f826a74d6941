"""A policy that uses all that a policy may: memory, rewards, draws of an episode, own choices."""

import tensorflow as tf
import tensorflow_probability as tfp
from tf_agents.specs import tensor_spec

from tfcaml import keys, nest
from tfcaml.policies import Policy


class Recall(Policy):
    """A Gaussian of deviation 1/2 around

        a o + b (last action) + c (last reward) + latent        latent = d + e epsilon

    with epsilon drawn once per episode, params {"weights": [N, 5]}, a to e. It says of each step
    how many came before it in the episode. The critic gives 2 o + (last reward).
    """

    action_spec = tensor_spec.BoundedTensorSpec([1], tf.float32, -10, 10)
    has_memory = True
    episode_noise_spec = {"epsilon": tf.TensorSpec([], tf.float32)}
    info_spec = {"before": tf.TensorSpec([], tf.int32)}

    def init(self, seed):
        return {"weights": 0.5 * tf.random.stateless_normal([5], [seed, 1])}

    def noise(self, key, num_steps):
        return keys.normal(key, [num_steps, 1])

    def sample(self, distribution, noise):
        return distribution.mean() + distribution.stddev() * noise

    def episode_noise(self, key):
        return {"epsilon": keys.normal(key, [])}

    def initial_memory(self, params, num_episodes, noise=()):
        epsilon = noise["epsilon"]
        weights = params["weights"]
        return {
            "latent": weights[:, 3:4] + weights[:, 4:5] * epsilon,
            "action": tf.zeros_like(epsilon),
            "reward": tf.zeros_like(epsilon),
            "before": tf.zeros_like(epsilon, tf.int32),
        }

    def act(self, params, observation, memory):
        a, b, c = (params["weights"][:, i : i + 1] for i in range(3))
        mean = a * observation[..., 0] + b * memory["action"] + c * memory["reward"]
        mean = (mean + memory["latent"])[..., None]
        distribution = tfp.distributions.MultivariateNormalDiag(mean, 0.5 + tf.zeros_like(mean))
        return distribution, {**memory, "before": memory["before"] + 1}

    def play(self, params, observation, memory, noise):
        info = {"before": memory["before"]}
        action, log_prob, _, memory = super().play(params, observation, memory, noise)
        return action, log_prob, info, memory

    def observe(self, memory, action, reward, ended):
        return {**memory, "action": action[..., 0], "reward": reward}

    def unroll(self, params, trajectory):
        means = []
        for seen, memory in self._memories(params, trajectory):
            means.append(self.act(params, seen, memory)[0].mean())
        mean = nest.flat_steps(tf.stack(means, axis=2))
        return tfp.distributions.MultivariateNormalDiag(mean, 0.5 + tf.zeros_like(mean))

    def value(self, params, trajectory, head="value"):
        pairs = list(self._memories(params, trajectory, after=True))
        values = [2 * seen[..., 0] + memory["reward"] for seen, memory in pairs]
        return tf.stack(values[:-1], axis=2), values[-1]

    def _memories(self, params, trajectory, after=False):
        """(observation, memory) at each step, and of what the episodes led to if `after`."""
        memory = trajectory.start
        if not tf.nest.flatten(memory):
            episodes = trajectory.reward.shape[1]
            memory = self.initial_memory(params, episodes, trajectory.episode_noise)
        for t in range(trajectory.reward.shape[2]):
            seen, action = trajectory.observation[:, :, t], trajectory.action[:, :, t]
            yield seen, memory
            _, moved = self.act(params, seen, memory)
            moved = self.observe(moved, action, trajectory.reward[:, :, t], False)
            memory = nest.where(trajectory.mask[:, :, t] > 0, moved, memory)
        if after:
            yield trajectory.final_observation, memory
