"""Several seeds at once, each in a process of its own with one thread."""

import tfcaml  # isort: skip  (first: TF-Agents needs Keras 2)

import concurrent.futures
import functools
import multiprocessing
import os
import time

import numpy as np

from tfcaml import environments, learners, policies

ONE_THREAD = {"TF_NUM_INTRAOP_THREADS": "1", "TF_NUM_INTEROP_THREADS": "1"}


def one_seed(seed, iterations):
    """Mean return on held-out entities before and after each of two updates."""
    family = environments.Particle(environments.ParticleConfig(horizon=30))
    population = family.population(seed)
    policy = policies.mlp_policy(family.observation_spec, family.action_spec, (32,))
    learner = learners.Reptile(
        family, policy, learners.Reptile.Config(num_iterations=iterations), seed=seed
    )
    tfcaml.train(learner, population, seed=seed)
    result = tfcaml.evaluate(learner, population.test, num_updates=2, seed=seed)
    return result.returns.mean(axis=(1, 2))


def main(seeds=(0, 1, 2, 3), iterations=50, processes=2):
    """The returns of all seeds, [seeds, 3]."""
    os.environ.update(ONE_THREAD)  # for the processes: TensorFlow reads it as it starts
    context = multiprocessing.get_context("spawn")  # never "fork": TensorFlow has threads
    start = time.monotonic()
    with concurrent.futures.ProcessPoolExecutor(processes, mp_context=context) as pool:
        returns = list(pool.map(functools.partial(one_seed, iterations=iterations), seeds))
    seconds = time.monotonic() - start
    for seed, row in zip(seeds, returns):
        print(f"seed {seed}: mean return", np.round(row, 1))
    print(f"{len(seeds)} seeds in {processes} processes: {seconds:.0f} s")
    return {"returns": np.array(returns)}


if __name__ == "__main__":
    main()
