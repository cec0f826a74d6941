"""A loss of one's own: the policy gradient with a bonus for entropy in the inner step."""

import tfcaml  # isort: skip  (first: TF-Agents needs Keras 2)

import numpy as np
import tensorflow as tf

from tfcaml import environments, learners, losses, nest


class WithEntropy(losses.SurrogateLoss):
    """MAML's losses, less `bonus` times the mean entropy of the policy in the inner step."""

    def __init__(self, policy, config, bonus=0.01):
        super().__init__(policy, config)
        self.bonus = bonus

    def inner(self, meta, params, support):
        loss = super().inner(meta, params, support)  # [N]
        distribution = losses.action_distribution(self.policy, params, support.trajectory)
        mask = nest.flat_steps(support.trajectory.mask)  # [N, E * T], 1 on valid steps
        steps = tf.maximum(tf.reduce_sum(mask, axis=1), 1)
        entropy = tf.reduce_sum(distribution.entropy() * mask, axis=1) / steps  # nats, [N]
        return loss - self.bonus * entropy


class Entropic(learners.MAML):
    """MAML by that loss, for the command line: a class that makes its own loss."""

    Loss = WithEntropy


def main(iterations=30, bonuses=(0.0, 0.01, 0.1)):
    """Mean return over held-out goals before and after each of two updates, by bonus."""
    family = environments.Navigation()
    population = family.population(seed=0, num_test=20)
    policy = learners.MAML.make_policy(family, None, (64, 64), "relu")
    config = learners.MAML.Config(
        num_iterations=iterations, meta_batch_size=10, inner_learning_rate=0.5
    )
    found = {}
    for bonus in bonuses:
        loss = WithEntropy(policy, config, bonus)
        learner = learners.MAML(family, policy, config, loss=loss)
        tfcaml.train(learner, population, seed=0)
        result = tfcaml.evaluate(learner, population.test, num_updates=2, seed=0)
        found[bonus] = result.returns.mean(axis=(1, 2))
        print(f"bonus {bonus}:", np.round(found[bonus], 1))
    return found


if __name__ == "__main__":
    main()
