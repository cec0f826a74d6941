"""Evolution strategies: a gradient of what can't be differentiated, from random changes.

T. Salimans et al., "Evolution strategies as a scalable alternative to reinforcement learning",
arXiv 1703.03864; R. Houthooft et al., "Evolved policy gradients", NeurIPS 2018, Algorithm 1:

    phi_v = phi + sigma eps_v, eps_v ~ N(0, I)            members v = 1 ... V of a population
    g = (1 / (V sigma)) sum over v of F_v eps_v           F_v: fitness, or its centred ranks

g is the gradient of the mean fitness of the population's distribution, which is to be ascended.
"""

import tensorflow as tf

from tfcaml import keys, nest
from tfcaml.errors import check, check_whole
from tfcaml.types import Nest


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


def centred_ranks(fitness: tf.Tensor) -> tf.Tensor:
    """Ranks of a population, from -0.5 to the fittest, 0.5; equal ones by their order: [V]."""
    order = tf.argsort(tf.argsort(fitness, stable=True))
    size = fitness.shape[0]
    return tf.cast(order, fitness.dtype) / (size - 1) - 0.5


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
