"""Networks of every kind as policies, and a family of environments to act in."""

import collections
import contextlib
import functools

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from tf_agents.distributions.tanh_bijector_stable import Tanh
from tf_agents.networks import (
    actor_distribution_network,
    actor_distribution_rnn_network,
    normal_projection_network,
    sequential,
)
from tf_agents.specs import tensor_spec

import tfcaml
from tfcaml import keys, losses, nest
from tfcaml.policies import NetworkPolicy, mlp_policy
from tfcaml.rollouts import sampling

tfd, layers = tfp.distributions, tf.keras.layers


class Tiny(tfcaml.environments.TaskFamily):
    """A point that is to go to a goal, seen through whatever the specs ask for.

    Episodes end when noise has carried the point far enough: at most steps, in some of them.
    """

    horizon = 5
    noise_size = 1

    def __init__(self, observation_spec, action_spec):
        self.observation_spec, self.action_spec = observation_spec, action_spec
        self.task_spec = {"goal": tf.TensorSpec([], tf.float32)}

    def reset(self, task, key):
        position = keys.uniform(key, [2])
        return position, self._see(position)

    def step(self, task, state, action, noise):
        if self.action_spec.dtype.is_integer:
            move = tf.cast(action, tf.float32) - 1
        else:
            move = tf.reduce_mean(tf.reshape(action, [*action.shape[:2], -1]), axis=-1)
        position = state + tf.stack([0.3 * move, noise[..., 0] - 0.3], axis=-1)
        reward = -tf.abs(position[..., 0] - task["goal"][:, None])
        return position, self._see(position), reward, position[..., 1] > 1.3

    def _see(self, position):
        def leaf(spec):
            phase = tf.range(spec.shape.num_elements(), dtype=tf.float32)
            values = tf.sin(position[..., :1] * (1 + phase) + position[..., 1:] - phase)
            return tf.cast(tf.reshape(values, [*position.shape[:2], *spec.shape]), spec.dtype)

        return nest.map(leaf, self.observation_spec)


@contextlib.contextmanager
def floatx(dtype):
    before = tf.keras.backend.floatx()
    tf.keras.backend.set_floatx(dtype.name)
    try:
        yield
    finally:
        tf.keras.backend.set_floatx(before)


VECTOR, IMAGE = {"": (2,)}, {"": (4, 4, 1)}
DICT = {"image": (3, 3, 1), "position": (2,), "clock": ()}
Kind = collections.namedtuple("Kind", "observation action build")


def _continuous(scale):
    """A Gaussian head; with `scale` squashed."""
    return lambda spec: normal_projection_network.NormalProjectionNetwork(
        spec,
        init_means_output_factor=1.0,
        mean_transform=None,
        std_transform=tf.exp,
        scale_distribution=scale,
    )


def _actor(observation, action, scale=False, **options):
    return actor_distribution_network.ActorDistributionNetwork(
        observation,
        action,
        fc_layer_params=(4,),
        activation_fn=tf.tanh,
        dtype=tf.keras.backend.floatx(),
        continuous_projection_net=_continuous(scale),
        **options,
    )


def _recurrent(observation, action):
    return actor_distribution_rnn_network.ActorDistributionRnnNetwork(
        observation,
        action,
        input_fc_layer_params=(4,),
        lstm_size=(3,),
        output_fc_layer_params=None,
        activation_fn=tf.tanh,
        dtype=tf.keras.backend.floatx(),
        continuous_projection_net=_continuous(False),
    )


def _nested(observation, action):
    preprocessing = {
        "image": tf.keras.Sequential([layers.Conv2D(2, 2), layers.Flatten()]),
        "position": layers.Dense(2),
        "clock": layers.Reshape([1]),
    }
    return _actor(
        observation,
        action,
        preprocessing_layers=preprocessing,
        preprocessing_combiner=layers.Concatenate(),
    )


def _sequential(*stack):
    return lambda observation, action: sequential.Sequential(
        [layer() for layer in stack], input_spec=observation
    )


def _transformed(means):
    """Twice the hyperbolic tangent of a Gaussian, less 1; its scale has no batch axis."""
    scale = tf.constant([0.5, 0.7], means.dtype)
    number = means.dtype.as_numpy_dtype
    steps = [tfp.bijectors.Shift(number(-1)), tfp.bijectors.Scale(number(2))]
    bijector = tfp.bijectors.Chain([*steps, Tanh()])
    return tfd.TransformedDistribution(tfd.MultivariateNormalDiag(means, scale), bijector)


def _keras_logits(observation, action):
    model = tf.keras.Sequential([layers.Dense(4, "tanh"), layers.Dense(3)])
    return NetworkPolicy.from_keras(model, observation, action)


def _keras_means(observation, action):
    inputs = nest.map(lambda spec: tf.keras.Input(spec.shape, dtype=spec.dtype), observation)
    flat = [layers.Flatten()(inputs[key]) for key in observation]
    means = layers.Dense(2)(layers.Dense(4, "tanh")(layers.Concatenate()(flat)))
    return NetworkPolicy.from_keras(tf.keras.Model(inputs, means), observation, action)


_dense = lambda units: lambda: layers.Dense(units, "tanh")
_lambda = lambda function: lambda: layers.Lambda(function)
_lstm = lambda: layers.LSTM(3, return_state=True, return_sequences=True)
KINDS = {
    "mlp": Kind(VECTOR, 2, mlp_policy),
    "mlp_dict": Kind(DICT, "discrete", mlp_policy),
    "scalar_normal": Kind(VECTOR, (), _actor),
    "squashed": Kind(VECTOR, 2, lambda *specs: _actor(*specs, scale=True)),
    "sequential_transformed": Kind(VECTOR, 2, _sequential(_dense(2), _lambda(_transformed))),
    "sequential_independent": Kind(
        VECTOR,
        2,
        _sequential(_dense(2), _lambda(lambda x: tfd.Independent(tfd.Normal(x, 0.5), 1))),
    ),
    "conv": Kind(IMAGE, 2, lambda *specs: _actor(*specs, conv_layer_params=((2, 2, 1),))),
    "dict": Kind(DICT, 2, _nested),
    "lstm": Kind(VECTOR, 2, _recurrent),
    "sequential_lstm": Kind(
        VECTOR,
        "discrete",
        _sequential(_lstm, _dense(3), _lambda(lambda x: tfd.Categorical(logits=2 * x))),
    ),
    "keras_logits": Kind(VECTOR, "discrete", _keras_logits),
    "keras_means": Kind(DICT, 2, _keras_means),
}


def specs(kind, dtype=tf.float32):
    """(observation_spec, action_spec) of a name in `KINDS`."""
    observation, action, _ = KINDS[kind]
    leaf = lambda shape, name: tensor_spec.TensorSpec(shape, dtype, name)
    observation = {name: leaf(shape, name) for name, shape in observation.items()}
    if action == "discrete":
        action = tensor_spec.BoundedTensorSpec([], tf.int32, 0, 2)
    else:
        shape = [action] if isinstance(action, int) else action
        action = tensor_spec.BoundedTensorSpec(shape, dtype, -3, 1)
    return observation.get("", observation), action


def build(kind, dtype=tf.float32):
    """A policy of a name in `KINDS`."""
    with floatx(dtype):
        observation, action = specs(kind, dtype)
        made = KINDS[kind].build(observation, action)
        return made if isinstance(made, NetworkPolicy) else NetworkPolicy(made, action)


class Case:
    """A policy of one kind, two sets of weights, and the episodes they made."""

    def __init__(self, kind):
        self.policy = build(kind)
        self.environment = Tiny(*specs(kind))
        self.task = {"goal": tf.constant([0.3, -1.0])}
        self.params = self.draw(0)
        rollout = lambda params: sampling.sample(
            self.policy, self.environment, params, self.task, 3, keys.from_int(1)
        )
        self.trajectory = tf.function(rollout, autograph=False)(self.params)

        def log_probs(first, second, trajectory):
            acted = lambda params: losses.action_log_prob(self.policy, params, trajectory)
            return [acted(first), acted(second)]

        self.log_probs = tf.function(log_probs, autograph=False)

    def draw(self, seed):
        """Weights for two tasks, larger than a network starts with."""
        rng = np.random.default_rng(seed)
        noisy = lambda x: x + tf.constant(0.3 * rng.normal(size=x.shape), x.dtype)
        return nest.map(noisy, nest.stack([self.policy.init(2 * seed + i) for i in range(2)]))


QUICK = ("mlp", "mlp_dict", "lstm", "keras_logits")
SLOW = [pytest.param(kind, marks=pytest.mark.slow) for kind in KINDS if kind not in QUICK]


@pytest.fixture(scope="session", params=[*QUICK, *SLOW])
def case(request, cases):
    return cases(request.param)


@pytest.fixture(scope="session")
def cases():
    """kind -> `Case`, each made once."""
    return functools.cache(Case)


@pytest.fixture(scope="session")
def build_policy():
    """(kind, dtype) -> `NetworkPolicy`."""
    return build
