"""Observations of every dtype as the one vector that `mlp_policy` reads."""

import gymnasium
import numpy as np
import pytest
import tensorflow as tf
from gymnasium import spaces
from tf_agents.specs import tensor_spec

import tfcaml
from tests.policies.conftest import Tiny
from tfcaml import environments, keys, learners, nest
from tfcaml.advantages import baselines
from tfcaml.divergence import policy_divergence_matrix
from tfcaml.errors import ConfigError
from tfcaml.policies import mlp_policy
from tfcaml.rollouts import sampling

ACTION = tensor_spec.BoundedTensorSpec([], tf.int32, 0, 2)
DTYPES = ("bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "float32", "float64")
bounded = tensor_spec.BoundedTensorSpec


def leaf(shape, dtype, low, high):
    """[1, 5, ...] numbers from low to high."""
    values = np.random.default_rng(0).integers(low, high, (1, 5, *shape), endpoint=True)
    return tf.constant(values.astype(tf.as_dtype(dtype).as_numpy_dtype))


@pytest.mark.parametrize("dtype", DTYPES)
def test_one_tensor_enters_as_its_numbers(dtype):
    """A policy without hidden layers is linear in them."""
    policy = mlp_policy(tf.TensorSpec([2, 2], dtype), ACTION, ())
    x = leaf([2, 2], dtype, 0, 1 if dtype == "bool" else 100)
    kernel, bias = params = tuple(p[None] + 0.5 for p in policy.init(3))
    expected = np.reshape(x, [1, 5, 4]).astype(np.float32) @ kernel + bias[:, None]
    np.testing.assert_allclose(policy(params, x).logits_parameter(), expected, rtol=1e-5)


NESTS = {
    "discrete": ({"x": tf.TensorSpec([2], tf.float32), "k": bounded([], tf.int64, 2, 5)}, 6),
    "image": ({"x": tf.TensorSpec([2], tf.float32), "im": bounded([2, 2, 1], tf.uint8, 0, 9)}, 42),
    "tuple": ((tf.TensorSpec([], tf.float64), bounded([2], tf.int64, [0, -1], [1, 3])), 8),
    "one": ({"k": bounded([2], tf.int8, 0, 1)}, 4),
    "alone": (bounded([2], tf.int64, [0, 1], [1, 3]), 5),
}


@pytest.mark.parametrize("one_hot", [0, 10])
@pytest.mark.parametrize("name", NESTS)
def test_nests_enter_as_their_numbers_or_one_hot(name, one_hot):
    spec, size = NESTS[name]
    policy = mlp_policy(spec, ACTION, (), one_hot=one_hot)
    is_integer = lambda x: x.dtype.is_integer
    draw = lambda x: leaf(x.shape, x.dtype, *((x.minimum, x.maximum) if is_integer(x) else (0, 3)))
    seen = nest.map(draw, spec)
    columns = []
    for x, one in zip(tf.nest.flatten(seen), tf.nest.flatten(spec)):
        values = np.reshape(x, [1, 5, -1]).astype(np.float32)
        if not (one_hot and is_integer(one)):
            columns.append(values)
            continue
        low, high = (np.broadcast_to(b, one.shape).ravel() for b in (one.minimum, one.maximum))
        for i in range(values.shape[-1]):
            columns.append(values[..., i : i + 1] == np.arange(low[i], high[i] + 1))
    joined = np.concatenate(columns, axis=-1).astype(np.float32)
    kernel, bias = params = tuple(p[None] + 0.5 for p in policy.init(3))
    assert joined.shape[-1] == kernel.shape[1] and (not one_hot or joined.shape[-1] == size)
    expected = joined @ kernel + bias[:, None]
    np.testing.assert_allclose(policy(params, seen).logits_parameter(), expected, rtol=1e-5)


def test_one_hot_of_what_has_more_values_is_refused():
    image = {"im": bounded([2], tf.uint8, 0, 255), "x": tf.TensorSpec([2], tf.float32)}
    with pytest.raises(ConfigError, match=r"0, or at least 256, .* received one_hot=255"):
        mlp_policy(image, ACTION, (), one_hot=255)
    with pytest.raises(ConfigError, match="no part of the observation is a bounded integer"):
        mlp_policy(tf.TensorSpec([2], tf.int32), ACTION, (), one_hot=255)
    with pytest.raises(ConfigError, match="one_hot to be an integer >= 0; received one_hot=-1"):
        mlp_policy(image, ACTION, (), one_hot=-1)


@pytest.mark.parametrize(
    "action",
    [
        {"a": bounded([2], tf.float32, -1, 1), "b": ACTION},
        bounded([3], tf.int8, 0, 1),
        bounded([2], tf.int64, [0, 0], [1, 2]),
        tf.TensorSpec([], tf.bool),
        tf.TensorSpec([], tf.int32),
    ],
)
def test_actions_of_other_kinds_are_refused_in_one_line(action):
    with pytest.raises(ConfigError, match=r"a single BoundedTensorSpec.*received action") as error:
        mlp_policy(tf.TensorSpec([2], tf.float32), action, ())
    assert "\n" not in str(error.value)


def test_all_dtypes_at_once_are_learned_from():
    """And read by baselines and divergences."""
    # TensorFlow can't repeat the rows of a uint16, which the divergence does.
    spec = {dtype: tf.TensorSpec([2], dtype) for dtype in DTYPES if dtype != "uint16"}
    environment = Tiny(spec, ACTION)
    policy = mlp_policy(spec, ACTION, (4,))
    task = {"goal": tf.constant([0.3, -1.0])}
    config = learners.Reptile.Config(meta_batch_size=2, inner_updates=1, episodes_per_update=3)
    learner = learners.Reptile(environment, policy, config, jit_compile=False)
    metrics = learner.train(task, keys.from_int(0))
    assert metrics["bad_update"] == 0 and np.isfinite(list(metrics.values())).all()
    params = nest.map(lambda x: 3 * x, nest.stack([policy.init(seed) for seed in range(2)]))
    rollout = lambda params: sampling.sample(policy, environment, params, task, 3, keys.from_int(1))
    trajectory = tf.function(rollout, autograph=False)(params)
    advantage = baselines.advantage(trajectory, 0.9, "reward_to_go", "linear_feature", True)
    assert np.isfinite(advantage).all()
    divergence = policy_divergence_matrix(policy, params, trajectory, num_states=20)
    assert np.isfinite(divergence).all() and divergence[0, 1] > 1e-4


class Zoo(gymnasium.Env):
    """Shows a member of every space, drawn from the episode's seed and the task."""

    action_space = spaces.Discrete(3, start=-1)

    def __init__(self):
        self.observation_space = spaces.Dict(
            box=spaces.Box(-1, 1, (2,), np.float64),
            short=spaces.Box(-5, 5, (2,), np.int16),
            flag=spaces.Box(np.zeros(2, bool), np.ones(2, bool), (2,), bool),
            image=spaces.Box(0, 255, (2, 2, 1), np.uint8),
            state=spaces.Discrete(4, start=2),
            pair=spaces.Tuple([spaces.MultiDiscrete([2, 5], start=[1, -4]), spaces.Discrete(3)]),
            bits=spaces.MultiBinary([2, 2]),
        )

    def set_task(self, task):
        self.goal = float(task["goal"])

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.observation_space.seed(seed)
        return self.observation_space.sample(), {}

    def step(self, action):
        assert self.action_space.contains(int(action))
        return self.observation_space.sample(), -abs(action - self.goal), False, False, {}


@pytest.mark.slow
def test_gymnasium_spaces_are_learned_from():
    task = lambda rng: {"goal": rng.uniform(-1, 1)}
    family = environments.HostEnvironment(Zoo, task, horizon=3)
    environments.check(family)  # observations keep to their specs too
    policy = mlp_policy(family.observation_spec, family.action_spec, (4,), one_hot=11)
    # bits, box, flag, image, pair, short, state
    assert policy.init(0)[0].shape[0] == 4 * 2 + 2 + 2 + 4 + (2 + 5 + 3) + 2 * 11 + 4
    config = learners.Reptile.Config(
        num_iterations=1, inner_updates=1, meta_batch_size=2, episodes_per_update=2
    )
    learner = learners.Reptile(family, policy, config)
    history = tfcaml.train(learner, family.population(0), seed=0)
    assert history[0]["bad_update"] == 0
