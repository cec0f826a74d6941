"""TRPO's step when the conjugate gradient is stopped early, as it is for large policies."""

import numpy as np
import pytest
import tensorflow as tf

from tests import by_hand
from tests.by_hand import EPISODES, TASKS, Phase, Softmax, join, split
from tfcaml import environments, learners
from tfcaml.types import MetaBatch

THETA = by_hand.weights(70)


def conjugate_gradient(matrix, b, num_iterations):
    """M. Hestenes, E. Stiefel, 1952."""
    x, residual, p = np.zeros_like(b), b, b
    for _ in range(num_iterations):
        rate = residual @ residual / (p @ matrix @ p)
        x = x + rate * p
        following = residual - rate * matrix @ p
        p = following + following @ following / (residual @ residual) * p
        residual = following
    return x


@pytest.mark.parametrize("num_iterations", [1, 2, 4])
def test_the_first_trial_reaches_the_border_of_the_trust_region(num_iterations):
    """Whatever direction x was found, its length is that of 1/2 s^T H s = delta."""
    max_kl, damping = 1e-5, 1e-3
    query = Phase(71, np.stack([THETA] * TASKS))
    config = learners.Pretrained.Config(
        meta_batch_size=TASKS,
        episodes_per_update=EPISODES,
        outer={"max_kl": max_kl, "damping": damping, "cg_iterations": num_iterations},
    )
    family, policy = environments.Navigation(), Softmax()
    family.action_spec = policy.action_spec  # nothing is played
    learner = learners.Pretrained(family, policy, config)
    learner.meta.write({"params": split(tf.constant(THETA))})
    experience = learner.loss.query_experience(None, query.acted(), query.trajectory())
    metrics = learner.update(MetaBatch((), experience))

    credit = by_hand.advantages(query)
    loss = lambda x: sum(by_hand.surrogate(x, query, i, credit[i]) for i in range(TASKS)) / TASKS
    gradient = by_hand.complex_step(loss, THETA)
    curvature = sum(by_hand.fisher(lambda x: x, THETA, query, i) for i in range(TASKS)) / TASKS
    damped = curvature + damping * np.eye(len(THETA))
    direction = conjugate_gradient(damped, gradient, num_iterations)
    length = np.sqrt(2 * max_kl / (direction @ damped @ direction + 1e-8))
    tries = int(metrics["line_search_tries"])
    moved = join(learner.meta.read()["params"]) - THETA
    np.testing.assert_allclose(moved, -(0.8 ** (tries - 1)) * length * direction, rtol=1e-5)
    assert tries <= 2 and metrics["step_accepted"] == 1
    exact = np.linalg.solve(damped, gradient)
    cosine = exact @ direction / np.linalg.norm(exact) / np.linalg.norm(direction)
    assert cosine < 1 - 1e-5  # it was stopped early
