"""A family of gymnasium environments: carts whose pushes differ in force and direction."""

import tfcaml  # isort: skip  (first: TF-Agents needs Keras 2)

import gymnasium
import numpy as np

from tfcaml import environments, learners, policies


def make():
    """A new environment, the same for all entities."""
    return gymnasium.make("CartPole-v1")


def sample_task(rng):
    """One entity, drawn with NumPy's generator `rng`."""
    return {"force": rng.uniform(5, 15) * rng.choice([-1, 1]), "length": rng.uniform(0.3, 0.8)}


def set_task(environment, task):
    """Makes an environment that entity's; a reset follows."""
    cart_pole = environment.unwrapped
    cart_pole.force_mag = task["force"]
    cart_pole.length = task["length"]
    cart_pole.polemass_length = cart_pole.masspole * cart_pole.length  # derived from it


def main(iterations=30, horizon=60, workers=2, worker="process"):
    """Mean return on held-out carts before and after each of two updates; at most `horizon`."""
    family = environments.HostEnvironment(
        make, sample_task, set_task, horizon, num_train=20, workers=workers, worker=worker
    )
    environments.check(family)
    population = family.population(seed=0, num_test=6)
    policy = policies.mlp_policy(family.observation_spec, family.action_spec, (32, 32))
    config = learners.MAML.Config(num_iterations=iterations, meta_batch_size=8)
    learner = learners.MAML(family, policy, config)
    tfcaml.train(learner, population, seed=0)
    result = tfcaml.evaluate(learner, population.test, num_updates=2, seed=0)
    mean = result.returns.mean(axis=(1, 2))
    print("mean return", np.round(mean, 1))
    print("faults", family.faults())
    family.close()
    return {"mean": mean}


if __name__ == "__main__":
    main()
