"""Networks of one's own as policies: a Keras model, TF-Agents networks, one with memory."""

import tfcaml  # isort: skip  (first: TF-Agents needs Keras 2)

import numpy as np
import tensorflow as tf
from tf_agents.networks import actor_distribution_network, actor_distribution_rnn_network

from tfcaml import environments, learners, policies


def keras_policy(family):
    """A Keras 2 model: it gives a logit for each action."""
    model = tf.keras.Sequential(
        [
            tf.keras.layers.Dense(32, "relu", input_shape=family.observation_spec.shape),
            tf.keras.layers.LayerNormalization(),
            tf.keras.layers.Dense(4),
        ]
    )
    specs = family.observation_spec, family.action_spec
    return policies.NetworkPolicy.from_keras(model, *specs)


def tf_agents_policy(family):
    """A TF-Agents network, as an agent of yours may have it."""
    network = actor_distribution_network.ActorDistributionNetwork(
        family.observation_spec, family.action_spec, fc_layer_params=(32, 32)
    )
    return policies.NetworkPolicy(network, family.action_spec)


def recurrent_policy(family):
    """An LSTM: what it did earlier in the episode is known to the policy."""
    network = actor_distribution_rnn_network.ActorDistributionRnnNetwork(
        family.observation_spec,
        family.action_spec,
        input_fc_layer_params=(16,),
        lstm_size=(16,),
        output_fc_layer_params=None,
    )
    return policies.NetworkPolicy(network, family.action_spec)


def main(iterations=20, horizon=30, makers=(keras_policy, tf_agents_policy, recurrent_policy)):
    """Mean return on held-out entities before and after one update, for each kind of network."""
    family = environments.Particle(environments.ParticleConfig(horizon=horizon))
    population = family.population(seed=0)
    config = learners.Reptile.Config(num_iterations=iterations, inner_updates=2)
    found = {}
    for make in makers:
        policy = make(family)
        learner = learners.Reptile(family, policy, config)
        tfcaml.train(learner, population, seed=0)
        result = tfcaml.evaluate(learner, population.test, num_updates=1, seed=0)
        found[make.__name__] = result.returns.mean(axis=(1, 2))
        numbers = sum(np.prod(x.shape) for x in policy.init(0))
        print(f"{make.__name__}: {numbers} weights, memory {policy.has_memory},", end=" ")
        print("returns", np.round(found[make.__name__], 1))
    return found


if __name__ == "__main__":
    main()
