"""Evolution strategies: a gradient of what can't be differentiated, from random changes.

T. Salimans et al., "Evolution strategies as a scalable alternative to reinforcement learning",
arXiv 1703.03864; R. Houthooft et al., "Evolved policy gradients", NeurIPS 2018, Algorithm 1:

    phi_v = phi + sigma eps_v, eps_v ~ N(0, I)            members v = 1 ... V of a population
    g = (1 / (V sigma)) sum over v of F_v eps_v           F_v: fitness, or its centred ranks

g is the gradient of the mean fitness of the population's distribution, which is to be ascended.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from tfcaml import keys, nest
from tfcaml.errors import check, check_whole
from tfcaml.optimization import optimizers
from tfcaml.types import Metric, Nest

# What a step of evolution reports, by name.
METRICS = {
    "evolution_gradient": Metric("Norm of the estimated gradient, by ranks, without decay."),
    "step_size": Metric("Step size of evolution."),
    "failed_members": Metric(
        "Share of the members whose fitness was not finite; they count as the worst other one."
    ),
}


def perturbations(key: tf.Tensor, like: Nest, size: int, antithetic: bool = False) -> Nest:
    """eps of each member of a population; a member's numbers do not depend on how many there are.

    Args:
      key: [2].
      like: nest of what is perturbed.
      size: V.
      antithetic: whether members come in pairs of opposite numbers, the second half being the
        opposite of the first; V is even then.

    Returns:
      nest like `like`, each [V, ...].

    Raises:
      ConfigError: V below 2, or odd with pairs.
    """
    check_whole("size", size, 2)
    check(not (antithetic and size % 2), "size", size, "even, as members come in pairs")
    leaves = tf.nest.flatten(like)
    drawn = size // 2 if antithetic else size
    members = keys.per_episode(key, 1, drawn)[0]
    found = []
    for number, leaf in enumerate(leaves):
        noise = tf.cast(keys.normal(keys.salted(members, number), leaf.shape), leaf.dtype)
        found.append(tf.concat([noise, -noise], axis=0) if antithetic else noise)
    return tf.nest.pack_sequence_as(like, found)


def perturbed(params: Nest, noise: Nest, sigma: float) -> Nest:
    """phi + sigma eps, each [V, ...]."""
    return nest.map(lambda p, e: p[None] + tf.cast(sigma, p.dtype) * e, params, noise)


def repaired(fitness: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Members whose fitness is not finite get that of the worst other one: [V, ...] -> the same.

    Returns:
      (fitness, share of the numbers that were not finite []).
    """
    finite = tf.math.is_finite(fitness)
    worst = tf.reduce_min(tf.where(finite, fitness, np.inf), axis=0)
    failed = 1 - tf.reduce_mean(tf.cast(finite, fitness.dtype))
    return tf.where(finite, fitness, worst), failed


def centred_ranks(fitness: tf.Tensor) -> tf.Tensor:
    """Ranks of a population, from -0.5 to the fittest, 0.5; equal ones share theirs: [V]."""
    ahead = tf.sign(fitness[:, None] - fitness[None])
    return tf.reduce_sum(ahead, axis=1) / (2 * (fitness.shape[0] - 1))


def evolution_gradient(noise: Nest, fitness: tf.Tensor, sigma: float) -> Nest:
    """g of the module, the gradient of the mean fitness.

    Args:
      noise: nest of [V, ...], as of `perturbations`.
      fitness: [V], or what stands for it.
      sigma: number > 0.

    Returns:
      nest, each [...].
    """
    share = fitness / (fitness.shape[0] * tf.cast(sigma, fitness.dtype))
    return nest.map(lambda e: tf.tensordot(tf.cast(share, e.dtype), e, 1), noise)


class Evolution(NamedTuple):
    """A step of evolution, as pure functions.

    init: meta -> slots
    ask:  (meta, key [2]) -> (eps, members: nests like meta, each [V, ...])
    tell: (meta, slots, eps, fitness [V]) -> (meta, slots, metrics)
    """

    init: Callable
    ask: Callable
    tell: Callable


def evolution_strategy(
    population: int,
    antithetic: bool,
    sigma: float,
    learning_rate: float,
    weight_decay: float = 0.0,
    decay_steps: int = 0,
) -> Evolution:
    """Adam without momentum along g of the members' centred ranks, less what decay takes.

    The gradient that is ascended is g - weight_decay phi. Antithetic members are ranked by what
    the one of a pair has more than the other: where both lived in the same task, how hard that one
    is does not count.

    Args:
      population: V.
      antithetic: as of `perturbations`.
      sigma: number > 0.
      learning_rate: of the first step.
      weight_decay: number >= 0.
      decay_steps: steps over which the learning rate falls linearly to a tenth, where it stays; 0:
        it does not.
    """
    adam = optimizers.adam(1.0, beta_1=0.0)

    def ask(meta: Nest, key: tf.Tensor) -> tuple[Nest, Nest]:
        noise = perturbations(key, meta, population, antithetic)
        return noise, perturbed(meta, noise, sigma)

    def tell(
        meta: Nest, slots: Nest, noise: Nest, fitness: tf.Tensor
    ) -> tuple[Nest, Nest, dict[str, tf.Tensor]]:
        if antithetic:
            more = fitness[: population // 2] - fitness[population // 2 :]
            fitness = tf.concat([more, -more], axis=0)
        uphill = evolution_gradient(noise, centred_ranks(fitness), sigma)
        descent = nest.map(lambda g, p: weight_decay * p - g, uphill, meta)
        rate = tf.constant(learning_rate)
        if decay_steps:
            rate *= tf.maximum(1 - 0.9 * slots["count"] / decay_steps, 0.1)
        moved, slots = adam.apply(meta, descent, slots)
        meta = nest.map(lambda p, q: p + tf.cast(rate, p.dtype) * (q - p), meta, moved)
        norm = tf.linalg.global_norm(tf.nest.flatten(uphill))
        return meta, slots, {"evolution_gradient": norm, "step_size": rate}

    return Evolution(adam.init, ask, tell)
