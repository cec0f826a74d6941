import itertools

import numpy as np
import pytest
import tensorflow as tf
from tf_agents.networks import actor_distribution_network
from tf_agents.specs import tensor_spec

from tfcaml import keys, nest
from tfcaml.errors import ConfigError
from tfcaml.policies import NetworkPolicy, mlp_policy

OBSERVATION = tensor_spec.TensorSpec([2], tf.float32)


def observations(size=6, dimension=2):
    values = np.random.default_rng(0).normal(size=(1, size, dimension))
    return tf.constant(values, tf.float32)


def logits(policy, params, observation):
    return policy(params, observation).logits_parameter()


def test_each_task_is_answered_with_its_own_weights(policy):
    """And as the network answers when the weights are assigned to it."""
    sets = [policy.init(seed) for seed in range(3)]
    together = logits(policy, nest.stack(sets), tf.repeat(observations(), 3, axis=0))
    assert together.shape == [3, 6, 4]
    variables = policy.functional.variables
    before = [variable.numpy() for variable in variables]
    for i, params in enumerate(sets):
        for variable, value in zip(variables, params):
            variable.assign(value)
        distribution, _ = policy.network(observations()[0], tf.ones([6], tf.int32), ())
        np.testing.assert_allclose(
            together[i], distribution.logits_parameter(), rtol=1e-4, atol=1e-5
        )
    for variable, value in zip(variables, before):
        variable.assign(value)


def test_two_calls_in_one_function_give_two_answers(policy):
    """The trap of a network that keeps the weights it was first traced with."""
    first, second = (nest.repeat(policy.init(seed), 1) for seed in (1, 2))
    expected = [logits(policy, params, observations()) for params in (first, second)]
    assert np.abs(expected[0] - expected[1]).max() > 1e-2

    @tf.function(autograph=False)
    def both(first, second):
        return [logits(policy, params, observations()) for params in (first, second)]

    for order in (1, -1):
        actual = both(*(first, second)[::order])
        for a, e in zip(actual, expected[::order]):
            np.testing.assert_allclose(a, e, rtol=1e-4, atol=1e-5)


def test_variables_are_untouched_and_tracked(policy):
    variables = policy.network.trainable_variables
    refs, values = [v.ref() for v in variables], [v.numpy() for v in variables]
    params = nest.repeat(policy.init(5), 1)
    tf.function(lambda p: logits(policy, p, observations()), autograph=False)(params)
    with pytest.raises((ValueError, tf.errors.InvalidArgumentError)):
        policy(params, tf.zeros([1, 6, 3]))  # observations of another size
    assert [v.ref() for v in policy.network.trainable_variables] == refs
    for variable, value in zip(policy.network.trainable_variables, values):
        np.testing.assert_array_equal(variable, value)
    for places, variable in zip(policy.functional.slots, variables):
        assert all(vars(layer)[name] is variable for layer, name in places)


def test_gaussian_policy(gaussian_policy):
    params = nest.stack([gaussian_policy.init(seed) for seed in range(2)])
    distribution = gaussian_policy(params, tf.ones([2, 3, 1]))
    assert distribution.batch_shape == [2, 3] and distribution.event_shape == [1]
    np.testing.assert_allclose(distribution.stddev(), 1, rtol=1e-6)
    assert np.abs(distribution.mean()[0] - distribution.mean()[1]).max() > 1e-3
    noise = tf.constant(np.random.default_rng(1).normal(size=(2, 3, 1)), tf.float32)
    action = gaussian_policy.sample(distribution, noise)
    np.testing.assert_allclose(action, distribution.mean() + noise, rtol=1e-5)


def test_default_heads_of_tf_agents():
    action = tensor_spec.BoundedTensorSpec([2], tf.float32, -1, 1)
    network = actor_distribution_network.ActorDistributionNetwork(
        OBSERVATION, action, fc_layer_params=(4,)
    )
    policy = NetworkPolicy(network, action)
    params = nest.stack([policy.init(seed) for seed in range(2)])
    distribution = policy(params, tf.repeat(observations(), 2, axis=0))
    assert policy.num_actions is None and distribution.batch_shape == [2, 6]
    assert np.isfinite(distribution.log_prob(tf.zeros([2, 6, 2]))).all()


def test_discrete_sample_inverts_the_cumulative_distribution(policy):
    params = nest.map(lambda x: 3 * x, nest.repeat(policy.init(0), 1))
    distribution = policy(params, observations())
    grid = (np.arange(1000) + 0.5) / 1000
    actions = [
        policy.sample(distribution, tf.fill([1, 6, 1], tf.constant(u, tf.float32))) for u in grid
    ]
    assert actions[0].dtype == tf.int32
    counts = np.stack([np.bincount(row, minlength=4) for row in np.stack(actions)[:, 0].T])
    np.testing.assert_allclose(counts / 1000, distribution.probs_parameter()[0], atol=2e-3)
    almost_one = tf.fill([1, 6, 1], np.float32(1 - 2**-24))
    assert (policy.sample(distribution, almost_one) < 4).numpy().all()


def test_noise_belongs_to_the_episode(policy, gaussian_policy):
    key = keys.per_episode(keys.from_int(0), 2, 3)
    for acting, size in ((policy, 1), (gaussian_policy, 1)):
        noise = acting.noise(key, 5)
        assert noise.shape == [2, 3, 5, size]
        np.testing.assert_array_equal(noise[:1, :2], acting.noise(key[:1, :2], 5))
        assert np.isfinite(noise).all() and len(np.unique(noise)) == tf.size(noise)


@pytest.mark.parametrize("units", [(100, 100), (16,), ()])
def test_mlp_kernels_are_glorot_uniform_or_have_its_variance(units):
    action = tensor_spec.BoundedTensorSpec([], tf.int32, 0, 3)
    policy = mlp_policy(tensor_spec.TensorSpec([30], tf.float32), action, units)
    sizes = [30, *units, 4]
    draws = nest.stack([policy.init(seed) for seed in range(20)])
    assert len(draws) == 2 * (len(sizes) - 1)
    for layer, (fan_in, fan_out) in enumerate(itertools.pairwise(sizes)):
        kernel, bias = draws[2 * layer], draws[2 * layer + 1]
        assert kernel.shape == [20, fan_in, fan_out]
        np.testing.assert_allclose(np.var(kernel), 2 / (fan_in + fan_out), rtol=0.1)
        np.testing.assert_array_equal(bias, 0)


def test_without_hidden_layers_actions_are_linear_in_the_observation():
    x = observations()
    action = tensor_spec.BoundedTensorSpec([], tf.int32, 0, 3)
    policy = mlp_policy(OBSERVATION, action, ())
    kernel, bias = params = tuple(p[None] + 0.5 for p in policy.init(3))
    np.testing.assert_allclose(
        logits(policy, params, x), x @ kernel + bias[:, None], rtol=1e-5, atol=1e-6
    )
    spec = {"a": OBSERVATION, "b": tensor_spec.TensorSpec([3], tf.float32)}
    continuous = mlp_policy(spec, tensor_spec.BoundedTensorSpec([2], tf.float32, -1, 1), ())
    kernel, bias, _ = params = tuple(p[None] + 0.5 for p in continuous.init(3))
    seen = {"a": x, "b": observations(dimension=3)}
    mean = continuous(params, seen).mean()
    np.testing.assert_allclose(
        mean, tf.concat([x, seen["b"]], axis=-1) @ kernel + bias[:, None], rtol=1e-5, atol=1e-6
    )


@pytest.mark.parametrize("activation", ["tanh", "relu", "swish"])
def test_activations(activation):
    action = tensor_spec.BoundedTensorSpec([], tf.int32, 0, 1)
    policy = mlp_policy(OBSERVATION, action, (3,), activation)
    kernel_1, kernel_2 = tf.ones([1, 2, 3]), tf.constant([[[1.0, 0], [0, 1], [0, 0]]])
    params = (kernel_1, tf.zeros([1, 3]), kernel_2, tf.zeros([1, 2]))
    expected = getattr(tf.keras.activations, activation)(tf.reduce_sum(observations(), -1))
    np.testing.assert_allclose(
        logits(policy, params, observations())[..., 0], expected, rtol=1e-5, atol=1e-6
    )


@pytest.mark.parametrize("precision", ["float64", "mixed_float16"])
def test_a_keras_of_another_precision_is_refused_in_one_line(precision):
    action = tensor_spec.BoundedTensorSpec([2], tf.float32, -1, 1)
    tf.keras.mixed_precision.set_global_policy(precision)
    try:
        with pytest.raises(ConfigError, match=f"float32, as rollouts are; .*'{precision}'"):
            mlp_policy(OBSERVATION, action, (3,))
        model = tf.keras.Sequential([tf.keras.layers.Dense(2)])
        with pytest.raises(ConfigError, match=r"\(see tf.keras.mixed|as actions are; received"):
            NetworkPolicy.from_keras(model, OBSERVATION, action)
    finally:
        tf.keras.mixed_precision.set_global_policy(None)  # floatx decides again


def test_episodes_are_played_in_float32():
    action = tensor_spec.BoundedTensorSpec([], tf.int32, 0, 1)
    model = tf.keras.Sequential([tf.keras.layers.Dense(2, dtype=tf.float64)])
    policy = NetworkPolicy.from_keras(model, OBSERVATION, action)
    with pytest.raises(ConfigError, match=r"float32, to play episodes .*'float64'"):
        policy.noise(keys.per_episode(keys.from_int(0), 2, 3), 5)
    wide = tensor_spec.BoundedTensorSpec([1], tf.float64, -1, 1)
    with pytest.raises(ConfigError, match=r"float32 or an integer's; .*'float64'"):
        mlp_policy(OBSERVATION, wide, (3,))


def test_unknown_activation():
    action = tensor_spec.BoundedTensorSpec([], tf.int32, 0, 3)
    with pytest.raises(ConfigError, match=r"tanh, .* received policy.activation='cos'"):
        mlp_policy(OBSERVATION, action, (8,), "cos")


@pytest.mark.parametrize(
    "action",
    [
        tensor_spec.BoundedTensorSpec([], tf.int32, 1, 4),
        tensor_spec.BoundedTensorSpec([2], tf.int32, 0, 3),
    ],
)
def test_discrete_actions_are_one_number_from_zero(action):
    """Anything else would be sampled from one distribution and scored by another."""
    with pytest.raises(ConfigError, match="one integer from 0 on"):
        mlp_policy(OBSERVATION, action, (8,))
