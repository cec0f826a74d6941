"""Settings and fixtures of all tests."""

import gc
import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
if gc.isenabled():  # imports make a million objects, none of them rubbish
    gc.disable()

import tfcaml  # isort: skip  (before TensorFlow: it decides which Keras that loads)

import hypothesis
import numpy as np
import pytest
import tensorflow as tf
from tf_agents.specs import tensor_spec

from tfcaml import keys, nest
from tfcaml.rollouts import sampling
from tfcaml.types import Trajectory

hypothesis.settings.register_profile(
    "deterministic", derandomize=True, deadline=None, max_examples=50, database=None
)
hypothesis.settings.load_profile("deterministic")
# Compiling a learner with XLA takes seconds: "automatic" means no here, and tests of XLA say so.
tfcaml.learners.MetaLearner.xla_pays = classmethod(lambda cls: False)
tf.get_logger().setLevel("ERROR")  # eager `vectorized_map` warns that it traces anew


def pytest_collection_finish():
    """What the imports have made stays: the collector need not look at it time and again."""
    gc.freeze()
    gc.enable()


class Slide(tfcaml.environments.TaskFamily):
    """A point on a line with continuous actions, random starts and noisy steps.

    A task is {"goal": [N]}; an action in R moves the point by a tenth of it.
    """

    noise_size = 1
    horizon = 6

    def __init__(self):
        self.task_spec = {"goal": tf.TensorSpec([], tf.float32)}
        self.observation_spec = tf.TensorSpec([1], tf.float32)
        self.action_spec = tensor_spec.BoundedTensorSpec([1], tf.float32, -10, 10)

    def reset(self, task, key):
        position = keys.uniform(key, [1]) - 0.5
        return position, position

    def step(self, task, state, action, noise):
        position = state + 0.1 * action + 0.01 * (noise - 0.5)
        distance = tf.abs(position[..., 0] - task["goal"][:, None])
        return position, position, -distance, distance < 0.0


@pytest.fixture
def xla_pays(monkeypatch):
    """Learners whose `jit_compile` is automatic are compiled where they can be."""
    pays = classmethod(lambda cls: cls.quick_under_xla)
    monkeypatch.setattr(tfcaml.learners.MetaLearner, "xla_pays", pays)


@pytest.fixture(scope="session")
def particle():
    """Particles with episodes of ten steps."""
    config = tfcaml.environments.ParticleConfig(horizon=10)
    return tfcaml.environments.Particle(config)


@pytest.fixture(scope="session")
def policy(particle):
    """A softmax policy with one hidden layer of eight units."""
    return tfcaml.policies.mlp_policy(particle.observation_spec, particle.action_spec, (8,))


@pytest.fixture(scope="session")
def slide():
    return Slide()


@pytest.fixture(scope="session")
def gaussian_policy(slide):
    """A Gaussian policy for `slide`."""
    return tfcaml.policies.mlp_policy(slide.observation_spec, slide.action_spec, (4,))


@pytest.fixture(scope="session")
def population(particle):
    return particle.population(seed=0)


@pytest.fixture(scope="session")
def sample(particle, policy):
    """`sampling.sample` of the particles, compiled once per shape."""

    @tf.function(autograph=False)
    def compiled(params, task, num_episodes, key):
        return sampling.sample(policy, particle, params, task, num_episodes, key)

    return compiled


@pytest.fixture(scope="session")
def rollouts(policy, population, sample):
    """Five different policies, the entities they act in, and three episodes of each."""
    params = nest.stack([policy.init(seed) for seed in range(5)])
    params = nest.map(lambda x: 3 * x, params)  # far from uniform
    task = nest.map(lambda x: x[::5], population.train)
    return params, task, sample(params, task, 3, keys.from_int(0))


@pytest.fixture(scope="session")
def constant_action(policy):
    """(actions) -> weights [len(actions), ...] of policies that always take that action."""

    def weights(actions):
        zeros = nest.map(tf.zeros_like, policy.init(0))
        bias = 50 * tf.one_hot(actions, 4)
        return (*nest.repeat(zeros[:-1], len(actions)), bias)

    return weights


@pytest.fixture(scope="session")
def random_trajectory():
    """(seed, shape [N, E, T], ...) -> `Trajectory` of random numbers, with episodes that end."""

    def make(seed, shape=(2, 4, 6), observation_size=2, action_size=None, dtype=np.float32):
        rng = np.random.default_rng(seed)
        length = rng.integers(1, shape[-1] + 1, shape[:-1])
        mask = (np.arange(shape[-1]) < length[..., None]).astype(dtype)
        if action_size is None:
            action = rng.integers(0, 4, shape).astype(np.int32)
        else:
            action = rng.normal(size=(*shape, action_size)).astype(dtype)
        terminated = (np.arange(shape[-1]) == length[..., None] - 1) * mask
        return Trajectory(
            observation=tf.constant(rng.normal(size=(*shape, observation_size)).astype(dtype)),
            action=tf.constant(action),
            reward=tf.constant(rng.normal(size=shape).astype(dtype) * mask),
            mask=tf.constant(mask),
            log_prob=tf.constant(-rng.uniform(size=shape).astype(dtype)),
            terminated=tf.constant(terminated.astype(dtype)),
            final_observation=tf.constant(
                rng.normal(size=(*shape[:-1], observation_size)).astype(dtype)
            ),
        )

    return make
