"""Whatever reads observations reads nests of them as their leaves joined to vectors."""

import numpy as np
import pytest
import tensorflow as tf
from tf_agents.environments import utils
from tf_agents.specs import tensor_spec

from tfcaml import learners, nest
from tfcaml.advantages import baselines
from tfcaml.divergence import policy_divergence_matrix
from tfcaml.environments.tf_agents import FamilyPyEnvironment
from tfcaml.policies import mlp_policy


@pytest.fixture(scope="module")
def both(random_trajectory):
    """Two policies of the same weights and their episodes: of vectors, and of their parts."""
    action = tensor_spec.BoundedTensorSpec([], tf.int32, 0, 3)
    spec = {"a": tf.TensorSpec([1], tf.float32), "b": tf.TensorSpec([2], tf.float32)}
    vectors = random_trajectory(0, observation_size=3)
    cut = lambda x: {"a": x[..., :1], "b": x[..., 1:]}
    parts = vectors._replace(observation=cut(vectors.observation))
    one = mlp_policy(tf.TensorSpec([3], tf.float32), action, (4,))
    return (one, vectors), (mlp_policy(spec, action, (4,)), parts)


def test_baselines_and_divergence(both):
    params = nest.map(lambda x: 3 * x, nest.stack([both[0][0].init(seed) for seed in range(2)]))
    results = [
        (
            policy_divergence_matrix(policy, params, trajectory, num_states=50),
            baselines.advantage(trajectory, 0.9, "reward_to_go", "linear_feature", True),
        )
        for policy, trajectory in both
    ]
    assert results[0][0][0, 1] > 1e-3
    for vectors, parts in zip(*results):
        np.testing.assert_allclose(parts, vectors, rtol=1e-4, atol=1e-5)


def test_caml_keeps_trajectories_of_them(cases):
    case = cases("dict")
    learner = learners.CAML(case.environment, case.policy)
    seen = nest.map(lambda x: x.shape[2:], learner.meta.read()["medoids"]["trajectory"].observation)
    assert seen == {"image": [5, 3, 3, 1], "position": [5, 2], "clock": [5]}


def test_environments_out(cases):
    case = cases("dict")
    task = nest.map(lambda x: x[:1], case.task)
    environment = FamilyPyEnvironment(case.environment, task)
    utils.validate_py_environment(environment, episodes=1)
    first = FamilyPyEnvironment(case.environment, task, seed=1).reset().observation
    expected = nest.map(lambda x: x[0, 0, 0], case.trajectory.observation)
    nest.map(lambda x, y: np.testing.assert_allclose(x, y, rtol=1e-6), first, expected)
