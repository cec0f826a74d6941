"""Divergence matrices of many policies: what they are made of, their seconds and their memory."""

import numpy as np
import tensorflow as tf

from tfcaml import keys, nest, policies
from tfcaml.divergence import policy_divergence
from tfcaml.environments import Particle, ParticleConfig
from tfcaml.rollouts import sampling

from .timing import Contestant, measure, peak_mebi


def population_of_policies(size, horizon):
    """(policy, weights [N, ...] of N different policies, an episode of each)."""
    environment = Particle(ParticleConfig(horizon=horizon))
    policy = policies.mlp_policy(environment.observation_spec, environment.action_spec)
    noise = np.random.default_rng(0)
    params = nest.map(
        lambda x: tf.constant(x + 0.1 * noise.normal(size=[size, *x.shape]).astype(np.float32)),
        policy.init(0),
    )
    support = environment.population(0).train
    task = nest.take(support, np.arange(size) % nest.leading(support))
    sample = tf.function(sampling.sample, autograph=False)
    return policy, params, sample(policy, environment, params, task, 1, keys.from_int(0))


def timed_matrix(form, size, num_states, horizon, repeats):
    """Seconds and peak memory of one divergence matrix of many policies; for a fresh process.

    Returns:
      dict(whole=`timing.summary` of the matrix with its densities and policies, pairs=that of the
      comparison of pairs alone, peak_mebi, before_mebi: memory with and before the matrix).
    """
    policy, params, trajectories = population_of_policies(size, horizon)
    before = peak_mebi()
    whole = lambda: policy_divergence.policy_divergence_matrix(
        policy, params, trajectories, form=form, num_states=num_states
    )
    figures = measure({"whole": Contestant(whole, unit="matrices/s")}, repeats, [])["figures"]
    figures["peak_mebi"], figures["before_mebi"] = peak_mebi(), before
    places = tf.function(policy_divergence.occupancies, autograph=False)(
        policy,
        params,
        trajectories,
        bandwidth=0.5,
        weight="inverse_density",
        num_states=num_states,
        key=keys.from_int(0),
    )
    compiled = tf.function(policy_divergence.pairwise, autograph=False)
    pairs = Contestant(lambda: compiled(places, form), unit="matrices/s")
    return {**figures, **measure({"pairs": pairs}, repeats, [])["figures"]}
