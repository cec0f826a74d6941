import os
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf
from tf_agents.networks import actor_distribution_network, sequential
from tf_agents.specs import tensor_spec

from tfcaml import nest
from tfcaml.errors import ConfigError
from tfcaml.policies.functional import Functional

OBSERVATION = tensor_spec.TensorSpec([3], tf.float32)
ACTION = tensor_spec.BoundedTensorSpec([2], tf.float32, -1, 1)


def build(**options):
    return actor_distribution_network.ActorDistributionNetwork(
        OBSERVATION, ACTION, fc_layer_params=(6,), **options
    )


@pytest.fixture(scope="module")
def functional():
    return Functional(build())


def call(functional, params, observation):
    distribution, _ = functional(params, observation, tf.ones(observation.shape[:1], tf.int32), ())
    return distribution.mean(), distribution.stddev()


def observations():
    return tf.constant(np.random.default_rng(0).normal(size=(5, 3)), tf.float32)


def test_weights_given_are_the_weights_used(functional):
    """As if they had been assigned to the variables."""
    params = functional.init(1)
    before = [variable.numpy() for variable in functional.variables]
    actual = call(functional, params, observations())
    for variable, value in zip(functional.variables, params):
        variable.assign(value)
    distribution, _ = functional.network(observations(), tf.ones([5], tf.int32), ())
    for variable, value in zip(functional.variables, before):
        variable.assign(value)
    np.testing.assert_allclose(actual[0], distribution.mean(), rtol=1e-6)
    np.testing.assert_allclose(actual[1], distribution.stddev(), rtol=1e-6)


def test_two_sets_of_weights_give_two_answers(functional):
    first, second = functional.init(1), functional.init(2)
    a, b = (call(functional, params, observations())[0] for params in (first, second))
    assert np.abs(a - b).max() > 1e-3

    @tf.function(autograph=False)
    def both(first, second):
        return [call(functional, params, observations())[0] for params in (first, second)]

    for params in ((first, second), (second, first)):
        expected = [call(functional, p, observations())[0] for p in params]
        for actual, value in zip(both(*params), expected):
            np.testing.assert_allclose(actual, value, rtol=1e-5, atol=1e-6)


def test_the_network_is_left_as_it_was(functional):
    network = functional.network
    variables = [variable.ref() for variable in network.trainable_variables]
    names = [variable.name for variable in network.variables]
    values = [variable.numpy() for variable in network.variables]
    dicts = {id(layer): dict(vars(layer)) for layer in network.submodules}
    call(functional, functional.init(3), observations())
    assert [variable.ref() for variable in network.trainable_variables] == variables
    assert [variable.name for variable in network.variables] == names
    for variable, value in zip(network.variables, values):
        np.testing.assert_array_equal(variable, value)
    for layer in network.submodules:
        for name, value in dicts[id(layer)].items():
            if isinstance(value, tf.Variable):
                assert vars(layer)[name] is value


def test_variables_come_back_after_an_exception(functional):
    network = functional.network
    variables = [variable.ref() for variable in network.trainable_variables]
    distribution, _ = network(observations(), tf.ones([5], tf.int32), ())
    before = distribution.mean()
    wrong = [tf.zeros([7, 7]) for _ in functional.variables]
    for params in (wrong, functional.init(0)[:-1]):  # shapes that do not fit; one too few
        with pytest.raises((ValueError, tf.errors.InvalidArgumentError)):
            call(functional, params, observations())
        assert [v.ref() for v in network.trainable_variables] == variables
        for places, variable in zip(functional.slots, functional.variables):
            assert all(vars(layer)[name] is variable for layer, name in places)
        distribution, _ = network(observations(), tf.ones([5], tf.int32), ())
        np.testing.assert_array_equal(distribution.mean(), before)


def test_gradients_reach_the_weights_and_not_the_variables(functional):
    params = functional.init(4)
    with tf.GradientTape() as tape:
        tape.watch(params)
        mean, stddev = call(functional, params, observations())
        loss = tf.reduce_sum(mean**2) + tf.reduce_sum(stddev)
    to_params, to_variables = tape.gradient(loss, [params, list(functional.variables)])
    assert all(gradient is not None for gradient in to_params)
    assert all(gradient is None for gradient in to_variables)


@pytest.mark.parametrize(
    "network",
    [
        lambda: sequential.Sequential(
            [
                tf.keras.layers.Dense(4),
                tf.keras.layers.LayerNormalization(),
                tf.keras.layers.Dense(2),
            ],
            input_spec=OBSERVATION,
        ),
        lambda: sequential.Sequential(
            [
                tf.keras.layers.Reshape([3, 1]),
                tf.keras.layers.Conv1D(2, 2),
                tf.keras.layers.Flatten(),
                tf.keras.layers.Dense(2),
            ],
            input_spec=OBSERVATION,
        ),
        lambda: tf.keras.Sequential(
            [tf.keras.layers.Reshape([3, 1], input_shape=[3]), tf.keras.layers.LSTM(2)]
        ),
    ],
    ids=["layer_normalization", "convolution", "lstm"],
)
def test_other_layers(network):
    """Every weight counts, and every weight can be drawn anew."""
    functional = Functional(network())
    params = nest.map(lambda x: x + 0.1, functional.init(0))
    with tf.GradientTape() as tape:
        tape.watch(params)
        output = functional(params, observations())
        output = output[0] if isinstance(output, tuple) else output  # TF-Agents adds a state
        loss = tf.reduce_sum(output**3)
    for gradient in tape.gradient(loss, params):
        assert np.abs(gradient).max() > 0
    assert [p.shape for p in params] == [v.shape for v in functional.variables]


def test_a_keras_model():
    model = tf.keras.Sequential([tf.keras.layers.Dense(2, input_shape=[3])])
    functional = Functional(model)
    kernel, bias = tf.ones([3, 2]), tf.constant([1.0, 2.0])
    actual = functional((kernel, bias), observations())
    np.testing.assert_allclose(actual, observations() @ kernel + bias, rtol=1e-5, atol=1e-6)


def test_init_is_a_function_of_the_seed():
    """Of nothing else: not of the global random stream, nor of which network of the kind it is."""
    draws = []
    for global_seed in (1, 2):
        tf.random.set_seed(global_seed)
        draws.append(Functional(build()).init(5))
    for first, second in zip(*draws):
        np.testing.assert_array_equal(first, second)
    functional = Functional(build())
    others = [functional.init(seed) for seed in range(20)]
    for i, variable in enumerate(functional.variables):
        distinct = {draw[i].numpy().tobytes() for draw in others}
        assert len(distinct) == (20 if "kernel" in variable.name else 1), variable.name


def test_init_does_not_change_the_network(functional):
    before = [variable.numpy() for variable in functional.variables]
    functional.init(9)
    for variable, value in zip(functional.variables, before):
        np.testing.assert_array_equal(variable, value)


def test_init_has_the_statistics_of_the_initializers():
    network = sequential.Sequential(
        [
            tf.keras.layers.Dense(
                400,
                kernel_initializer=tf.keras.initializers.RandomNormal(2.0, 0.5),
                bias_initializer=tf.keras.initializers.Constant(3.0),
            ),
            tf.keras.layers.Dense(
                200, kernel_initializer=tf.compat.v1.keras.initializers.VarianceScaling(4.0)
            ),
            tf.keras.layers.Dense(100, kernel_initializer="glorot_uniform"),
        ],
        input_spec=tensor_spec.TensorSpec([50], tf.float32),
    )
    kernel_1, bias_1, kernel_2, bias_2, kernel_3, _ = Functional(network).init(0)
    np.testing.assert_allclose([np.mean(kernel_1), np.std(kernel_1)], [2, 0.5], atol=0.02)
    np.testing.assert_array_equal(bias_1, 3)
    np.testing.assert_allclose(np.var(kernel_2), 4 / 400, rtol=0.03)
    np.testing.assert_array_equal(bias_2, 0)
    limit = np.sqrt(6 / 300)
    np.testing.assert_allclose(np.var(kernel_3), limit**2 / 3, rtol=0.03)
    assert np.abs(kernel_3).max() <= limit
    correlation = np.corrcoef(np.ravel(kernel_2)[:20_000], np.ravel(kernel_3))[0, 1]
    assert abs(correlation) < 0.03  # each variable has a seed of its own


class Hidden(tf.keras.layers.Layer):
    """Keeps its only variable in a place of its own."""

    def build(self, input_shape):
        kernel = self.add_weight(name="kernel", shape=[input_shape[-1], 2])
        self.place = {"inside": kernel}

    def call(self, inputs):
        return inputs @ self.place["inside"]


class WithoutInitializer(tf.keras.layers.Layer):
    """Forgets how its variable was drawn."""

    def build(self, input_shape):
        self.kernel = self.add_weight(name="kernel", shape=[input_shape[-1], 2])

    def call(self, inputs):
        return inputs @ self.kernel


def test_a_variable_out_of_reach_is_an_error():
    network = sequential.Sequential([Hidden()], input_spec=OBSERVATION)
    with pytest.raises(ValueError, match=r"no layer holds the variable .*kernel.* attribute"):
        Functional(network)


def test_a_variable_that_cannot_be_drawn_is_an_error():
    network = sequential.Sequential([WithoutInitializer()], input_spec=OBSERVATION)
    functional = Functional(network)
    output, _ = functional((tf.ones([3, 2]),), observations())  # but it can be replaced
    assert output.shape == [5, 2]
    with pytest.raises(ValueError, match=r"cannot draw new values for .*kernel.*'kernel'"):
        functional.init(0)


def test_an_lstm_starts_by_remembering():
    model = tf.keras.Sequential([tf.keras.layers.LSTM(2, input_shape=[None, 3])])
    np.testing.assert_array_equal(Functional(model).init(0)[2], model.trainable_variables[2])
    assert model.trainable_variables[2].numpy().sum() == 2


class Counted(tf.keras.initializers.Initializer):
    def __init__(self, first, seed=None):
        self.first, self.seed = first, seed

    def get_config(self):
        return {"first": self.first, "seed": self.seed}

    def __call__(self, shape, dtype=None, **kwargs):
        return tf.fill(shape, tf.cast(self.first, dtype))


def test_an_initializer_of_ones_own():
    dense = tf.keras.layers.Dense(2, bias_initializer=Counted(7))
    functional = Functional(sequential.Sequential([dense], input_spec=OBSERVATION))
    np.testing.assert_array_equal(functional.init(0)[1], [7, 7])


@pytest.mark.parametrize("name", ["float16", "bfloat16", "mixed_float16"])
def test_half_and_mixed_precision_are_refused(name):
    layers = [tf.keras.layers.Dense(2, dtype=tf.keras.mixed_precision.Policy(name))]
    with pytest.raises(ConfigError, match=f"float32 or float64 .*received .*='{name}'"):
        Functional(sequential.Sequential(layers, input_spec=OBSERVATION))


def test_weights_of_several_dtypes_are_refused():
    layers = [tf.keras.layers.Dense(2), tf.keras.layers.Dense(2, dtype=tf.float64)]
    with pytest.raises(ConfigError, match=r"one \(tf.keras.*\['float32', 'float64'\]"):
        Functional(sequential.Sequential(layers, input_spec=OBSERVATION))


def test_initializers_keep_having_no_seed():
    layer = tf.keras.layers.Dense(
        2, kernel_initializer=tf.compat.v1.keras.initializers.VarianceScaling()
    )
    functional = Functional(sequential.Sequential([layer], input_spec=OBSERVATION))
    assert functional.network.layers[0].kernel_initializer.seed is None


DETERMINISTIC = """
import tfcaml, numpy as np, tensorflow as tf
from tf_agents.networks import actor_distribution_network, actor_distribution_rnn_network
from tf_agents.specs import tensor_spec
from tfcaml import environments, learners, policies

tf.config.experimental.enable_op_determinism()
family = environments.Particle(environments.ParticleConfig(horizon=3))
observation, action = family.observation_spec, family.action_spec
several = {"a": observation, "k": tensor_spec.BoundedTensorSpec([], tf.int32, 0, 3)}
gaussian = tensor_spec.BoundedTensorSpec([2], tf.float32, -1, 1)
policies.mlp_policy(several, gaussian, (4,), one_hot=4)
dense = tf.keras.layers.Dense(
    4, kernel_initializer=tf.compat.v1.keras.initializers.VarianceScaling()
)
policies.NetworkPolicy.from_keras(tf.keras.Sequential([dense]), observation, action)
for network in (
    actor_distribution_network.ActorDistributionNetwork(observation, gaussian),
    actor_distribution_rnn_network.ActorDistributionRnnNetwork(
        observation, action, lstm_size=(3,)
    ),
):
    policies.NetworkPolicy(network, network.output_tensor_spec)
policy = policies.mlp_policy(observation, action, (4,))
config = learners.Reptile.Config(
    num_iterations=2, inner_updates=1, meta_batch_size=2, episodes_per_update=2
)
learner = learners.Reptile(family, policy, config, jit_compile=False)
history = tfcaml.train(learner, family.population(0), seed=0)
assert all(np.isfinite(list(metrics.values())).all() for metrics in history)
print("trained", int(learner.bad_updates))
"""


@pytest.mark.slow
def test_learners_train_with_deterministic_operations():
    """TensorFlow then refuses draws without a seed, with which networks fill their variables."""
    result = subprocess.run(
        [sys.executable, "-c", DETERMINISTIC],
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.stdout.strip().endswith("trained 0"), result.stderr[-2000:]
