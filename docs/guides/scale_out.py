"""A run that two Ray workers train, and a learner whose episodes they play."""

import tfcaml  # isort: skip  (first: TF-Agents needs Keras 2)

import pathlib
import time

import numpy as np
import tensorflow as tf
from tfcaml.configs import base

from tfcaml import environments, learners, policies
from tfcaml.experiments.experiment import Experiment
from tfcaml.experiments.ray_workers import RayWorkers
from tfcaml.rollouts.ray_sampler import RaySampler


def config(iterations, num_seeds):
    """Reptile and joint pretraining on particles."""
    reptile = learners.Reptile.Config(num_iterations=iterations)
    joint = learners.Joint.Config(num_iterations=iterations)
    return base.experiment(
        base.section("particle", environments.ParticleConfig(horizon=30)),
        base.section("reptile", reptile),
        {"joint": base.section("joint", joint)},
        num_seeds=num_seeds,
    ).to_dict()


def whole_jobs(directory, content, workers=None):
    """(seconds of training, mean returns of Reptile [seeds, updates + 1])."""
    experiment = Experiment.create(directory, content, jit_compile=False)
    start = time.monotonic()
    experiment.train(workers=workers)
    seconds = time.monotonic() - start
    summary, _ = experiment.evaluate()
    return seconds, np.mean(summary["methods"]["reptile"]["returns"], axis=-1)


def make():
    """What a worker plays with: a family whose steps run in Python, and a policy."""
    family = environments.CartPole(environments.CartPoleConfig(horizon=50))
    return family, policies.mlp_policy(family.observation_spec, family.action_spec, (32,))


def shared_iterations(iterations, sampler=None):
    """(seconds of training, the weights that MAML has learned)."""
    family, policy = make()
    maml = learners.MAML.Config(num_iterations=iterations, meta_batch_size=8)
    learner = learners.MAML(family, policy, maml, sampler=sampler)
    start = time.monotonic()
    tfcaml.train(learner, family.population(0))
    seconds = time.monotonic() - start
    return seconds, [weight.numpy() for weight in tf.nest.flatten(learner.meta.read())]


def main(iterations=150, num_seeds=6, shared=4, directory="scale_out"):
    """Whether workers change a number: they don't."""
    content = config(iterations, num_seeds)
    alone, returns = whole_jobs(pathlib.Path(directory, "alone"), content)
    with RayWorkers(2) as workers:
        together, others = whole_jobs(pathlib.Path(directory, "workers"), content, workers)
    print(f"whole jobs: {alone:.0f} s in one process, {together:.0f} s by two workers")
    print("the same returns:", np.array_equal(returns, others))

    alone, weights = shared_iterations(shared)
    with RaySampler(make, workers=2) as sampler:
        together, sampled = shared_iterations(shared, sampler)
    print(f"shared iterations: {alone:.0f} s in one process, {together:.0f} s by two workers")
    same = [np.array_equal(left, right) for left, right in zip(weights, sampled)]
    print("the same weights:", all(same))
    return {"returns": returns, "the same": [np.array_equal(returns, others), all(same)]}


if __name__ == "__main__":
    main()
