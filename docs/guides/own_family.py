"""A task family of one's own, in TensorFlow throughout: rooms whose heaters differ."""

import tfcaml  # isort: skip  (first: TF-Agents needs Keras 2)

import numpy as np
import tensorflow as tf
from tf_agents.specs import tensor_spec

from tfcaml import environments, keys, learners, policies


class Rooms(environments.TaskFamily):
    """Hold a room at its set point. A task is {"gain": [N], "leak": [N]}."""

    horizon = 20  # steps of an episode
    noise_size = 1  # random numbers that one step uses

    def __init__(self):
        self.task_spec = {name: tf.TensorSpec([], tf.float32) for name in ("gain", "leak")}
        self.observation_spec = tf.TensorSpec([1], tf.float32)  # kelvin above the set point
        self.action_spec = tensor_spec.BoundedTensorSpec([1], tf.float32, -1, 1)

    def population(self, seed, num_test=4):
        rng = np.random.default_rng(seed)
        group = np.arange(16 + num_test) % 2  # 0: a heater, 1: a cooler
        gain, leak = rng.uniform((0.5, 0.0), (1.0, 0.1), (len(group), 2)).T  # a row is a room
        gain = gain * np.where(group == 0, 1, -1)
        task = {"gain": tf.constant(gain, tf.float32), "leak": tf.constant(leak, tf.float32)}
        train, test = [
            {name: x[rows] for name, x in task.items()} for rows in (slice(16), slice(16, None))
        ]
        return environments.Population(train, test, group[:16], group[16:])

    def reset(self, task, key):
        warmth = 4 * keys.uniform(key, [1]) - 2  # [N, E, 1]
        return warmth, warmth  # the state, and what the policy sees of it

    def step(self, task, state, action, noise):
        gain, leak = task["gain"][:, None, None], task["leak"][:, None, None]  # [N, 1, 1]
        warmth = (1 - leak) * state + gain * tf.clip_by_value(action, -1, 1) + 0.2 * (noise - 0.5)
        reward = -tf.abs(warmth[..., 0])  # [N, E]
        return warmth, warmth, reward, tf.zeros_like(reward, tf.bool)


def main(maml_iterations=50, caml_iterations=20):
    """Mean return on rooms never seen in training, before and after each of three updates."""
    family = Rooms()
    environments.check(family)
    population = family.population(seed=0)
    policy = policies.mlp_policy(family.observation_spec, family.action_spec, (32,))

    maml = learners.MAML(family, policy, learners.MAML.Config(num_iterations=maml_iterations))
    caml = learners.CAML(
        family,
        policy,
        learners.CAML.Config(
            num_iterations=caml_iterations,
            meta_batch_size=4,
            policies_per_clustering=8,
            num_medoids=2,
        ),
    )
    found = {}
    for learner in (maml, caml):
        tfcaml.train(learner, population, seed=0)
        result = tfcaml.evaluate(learner, population.test, num_updates=3, seed=0)
        name = type(learner).__name__
        found[name] = result.returns.mean(axis=(1, 2))
        print(name, np.round(found[name], 1))
    return found


if __name__ == "__main__":
    main()
