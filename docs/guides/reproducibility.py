"""What a seed decides: the same bits again, after a stop too, and other bits under XLA."""

import tfcaml  # isort: skip  (first: TF-Agents needs Keras 2)

import pathlib

import numpy as np
import tensorflow as tf

from tfcaml import environments, keys, learners, policies, training


def make(iterations, jit_compile=False):
    """A learner as it is before training."""
    family = environments.Particle(environments.ParticleConfig(horizon=20))
    policy = policies.mlp_policy(family.observation_spec, family.action_spec, (16,))
    config = learners.Reptile.Config(num_iterations=iterations, inner_updates=2)
    return learners.Reptile(family, policy, config, seed=0, jit_compile=jit_compile)


def trained(iterations, seed, jit_compile=False):
    """All its weights after training, as one array."""
    learner = make(iterations, jit_compile)
    tfcaml.train(learner, learner.environment.population(seed=0), seed=seed)
    return flat(learner)


def flat(learner):
    return np.concatenate([np.ravel(x) for x in learner.meta.read()["params"]])


def resumed(iterations, seed, directory):
    """The same weights of a training that stops half way and goes on in another learner."""
    first = make(iterations)
    population = first.environment.population(seed=0)
    while int(first.iteration) < iterations // 2:
        training.train_iteration(first, population, seed)
    path = tf.train.Checkpoint(**first.checkpointed()).write(str(pathlib.Path(directory) / "half"))
    second = make(iterations)
    tf.train.Checkpoint(**second.checkpointed()).read(path).assert_consumed()
    tfcaml.train(second, population, seed=seed)  # the iterations that are missing
    return flat(second)


def main(iterations=6, directory="runs/reproducibility"):
    """Largest differences of weights between pairs of trainings."""
    pathlib.Path(directory).mkdir(parents=True, exist_ok=True)
    once = trained(iterations, seed=0)
    others = {
        "again, same seed": trained(iterations, seed=0),
        "stopped half way and resumed": resumed(iterations, 0, directory),
        "another seed": trained(iterations, seed=1),
        "same seed, under XLA": trained(iterations, seed=0, jit_compile=True),
    }
    found = {name: float(np.abs(once - other).max()) for name, other in others.items()}
    for name, difference in found.items():
        print(f"{name}: largest difference {difference}")
    # A key is derived, never drawn from a stream: what came before does not matter.
    one = keys.uniform(keys.per_episode(keys.from_int(0), 1, 2), [3])
    many = keys.uniform(keys.per_episode(keys.from_int(0), 5, 2), [3])
    print("first task's numbers the same among five:", bool(np.all(one[0] == many[0])))
    return found


if __name__ == "__main__":
    main()
