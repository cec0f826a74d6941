import functools
import math

import numpy as np
import pytest
import scipy.integrate
import scipy.special
import scipy.stats
import tensorflow as tf

from tfcaml import keys, nest
from tfcaml.divergence import (
    KernelDensity,
    hellinger,
    jensen_shannon,
    policy_divergence,
    root_jensen_shannon,
    symmetric_kl,
)
from tfcaml.divergence.jensen_shannon import FORMS
from tfcaml.divergence.policy_divergence import (
    OCCUPANCIES,
    WEIGHTS,
    occupancies,
    policy_divergence_matrix,
)
from tfcaml.errors import ConfigError
from tfcaml.rollouts import sampling

BOUND = 2 * math.log(2)
SMALL = {"num_states": 40, "max_points": 25}


@pytest.fixture(scope="module")
def gaussian_rollouts(gaussian_policy, slide):
    """Four policies with continuous actions."""
    params = nest.map(
        lambda x: 2 * x, nest.stack([gaussian_policy.init(seed) for seed in range(4)])
    )
    task = {"goal": tf.constant([0.0, 1.0, 2.0, 3.0])}
    key = keys.from_int(0)
    return params, sampling.sample(gaussian_policy, slide, params, task, 3, key)


def algorithm_1(places, form):
    """Algorithm 1 with four loops, in float64."""
    density = np.exp(places.log_occupancy.numpy().astype(np.float64))
    weight = np.exp(places.log_weight.numpy().astype(np.float64))
    size, num_states, num_actions = density.shape
    if form == "normalized_jensen_shannon":
        density = density * weight
        density /= density.sum(axis=(1, 2), keepdims=True)
        weight = np.full_like(weight, 0.5)
    matrix = np.zeros([size, size])
    for i in range(size):
        for j in range(size):
            for m in range(num_states):
                for a in range(num_actions):
                    p, q = density[i, m, a], density[j, m, a]
                    if form == "hellinger":
                        term = (math.sqrt(p) - math.sqrt(q)) ** 2
                    else:
                        middle = (p + q) / 2
                        term = p * math.log(p / middle) + q * math.log(q / middle)
                    matrix[i, j] += weight[m, a] * term
    return matrix


def check_distances(matrix):
    assert np.isfinite(matrix).all() and (matrix >= 0).all()
    np.testing.assert_array_equal(matrix, matrix.T)
    np.testing.assert_array_equal(np.diag(matrix), 0)
    assert matrix[np.triu_indices(len(matrix), 1)].min() > 1e-5


OPTIONS = [
    *[{"weight": weight} for weight in WEIGHTS],
    {"form": "hellinger"},
    {"form": "normalized_jensen_shannon", "weight": "density"},
    {"occupancy": "state"},
    {"occupancy": "action"},
    {"bandwidth": "scott"},
    {"bandwidth": "pooled"},
    {"bandwidth": np.array([[0.3, 0.1], [0.1, 0.2]])},
    {"time_indexed": True},
]


@pytest.fixture(scope="module")
def matrices(policy, rollouts):
    """(index of `OPTIONS`) -> the matrix with these options, next to the loops of Algorithm 1."""
    params, _, trajectories = rollouts

    @functools.cache
    def both(index):
        options = OPTIONS[index]
        matrix = policy_divergence_matrix(policy, params, trajectories, **options, **SMALL)
        options = {"bandwidth": 0.5, "weight": "inverse_density", **options}
        form = options.pop("form", "jensen_shannon")
        places = occupancies(policy, params, trajectories, key=keys.from_int(0), **options, **SMALL)
        return matrix.numpy(), algorithm_1(places, form)

    return both


INDICES = [0, *(pytest.param(i, marks=pytest.mark.slow) for i in range(1, len(OPTIONS)))]


@pytest.mark.parametrize("index", INDICES, ids=[str(o) for o in OPTIONS])
def test_it_is_the_loop_of_algorithm_1(matrices, index):
    matrix, expected = matrices(index)
    check_distances(matrix)
    np.testing.assert_allclose(matrix, expected, rtol=1e-3, atol=1e-5)


@pytest.mark.slow
def test_options_make_a_difference(matrices):
    for i in range(len(OPTIONS)):
        for j in range(i):
            difference = np.abs(matrices(i)[0] - matrices(j)[0]).max()
            assert difference > 1e-4, (OPTIONS[i], OPTIONS[j])


@pytest.mark.slow
def test_bounds(matrices):
    """2 ln 2, or ln 2, or 2, but for the sampling noise of q."""
    for index, options in enumerate(OPTIONS):
        matrix, _ = matrices(index)
        form = options.get("form", "jensen_shannon")
        bound = {"jensen_shannon": BOUND, "hellinger": 2}.get(form, math.log(2))
        if options.get("weight", "inverse_density") == "inverse_density":
            assert matrix.max() <= 1.05 * bound, options


def test_opposite_policies_reach_the_bound(policy, rollouts, constant_action):
    """Policies that never take the same action, in the same states."""
    trajectories = nest.map(lambda x: tf.repeat(x[:1], 2, axis=0), rollouts[2])
    for occupancy in ("state_action", "action"):
        matrix = policy_divergence_matrix(
            policy, constant_action([0, 1]), trajectories, occupancy=occupancy
        )
        np.testing.assert_allclose(matrix[0, 1], BOUND, rtol=0.05)
    state = policy_divergence_matrix(
        policy, constant_action([0, 1]), trajectories, occupancy="state"
    )
    np.testing.assert_allclose(state, 0, atol=1e-6)


def test_identical_policies_are_at_zero(policy, rollouts):
    params, _, trajectories = rollouts
    twice = lambda x: tf.gather(x, [0, 1, 0])
    matrix = policy_divergence_matrix(
        policy, nest.map(twice, params), nest.map(twice, trajectories), **SMALL
    ).numpy()
    assert matrix[0, 2] <= 1e-6 and matrix[0, 1] > 1e-3
    np.testing.assert_allclose(matrix[0, 1], matrix[2, 1], rtol=1e-4)


def test_same_seed_same_matrix(policy, rollouts):
    params, _, trajectories = rollouts
    draw = lambda seed: policy_divergence_matrix(policy, params, trajectories, seed=seed, **SMALL)
    np.testing.assert_array_equal(draw(1), draw(1))
    assert np.abs(draw(1) - draw(2)).max() > 1e-3


def test_chunks_make_no_difference(policy, rollouts, monkeypatch):
    params, _, trajectories = rollouts
    whole = policy_divergence_matrix(policy, params, trajectories, **SMALL)
    monkeypatch.setattr(policy_divergence, "_CHUNK_ELEMENTS", 2 * 40 * 25)
    policy_divergence._compiled.cache_clear()
    chunked = policy_divergence_matrix(policy, params, trajectories, **SMALL)
    policy_divergence._compiled.cache_clear()
    np.testing.assert_allclose(whole, chunked, rtol=1e-4, atol=1e-6)


def test_the_integral_of_two_known_densities(policy, random_trajectory):
    """The estimate from sampled states is the divergence that quadrature finds."""
    trajectories = random_trajectory(seed=2, shape=(2, 1, 8), observation_size=1)
    points = np.array([[[-1.0]], [[0.6]]]) + trajectories.observation.numpy()[:, 0]
    trajectories = trajectories._replace(
        observation=tf.constant(points[:, None], tf.float32),
        mask=tf.ones_like(trajectories.mask),
    )
    densities = [scipy.stats.norm(p[:, 0], 0.5) for p in points]

    def integrand(x):
        p, q = (density.pdf(x).mean() for density in densities)
        return p * math.log(2 * p / (p + q)) + q * math.log(2 * q / (p + q))

    expected = scipy.integrate.quad(integrand, -8, 8, limit=200)[0]
    places = occupancies(
        _Anything(),
        (tf.zeros([2]),),
        trajectories,
        bandwidth=0.5,
        weight="inverse_density",
        occupancy="state",
        num_states=20_000,
        key=keys.from_int(0),
    )
    actual = policy_divergence.pairwise(places, "jensen_shannon")[0, 1]
    np.testing.assert_allclose(actual, expected, rtol=0.03)


class _Anything:
    """A policy of three equally probable actions, for observations of any size."""

    num_actions = 3

    def __call__(self, params, observation):
        import tensorflow_probability as tfp

        return tfp.distributions.Categorical(logits=tf.zeros([*observation.shape[:2], 3]))


def test_occupancies_are_densities_times_policies(policy, rollouts):
    params, _, trajectories = rollouts
    draw = lambda occupancy: occupancies(
        policy,
        params,
        trajectories,
        bandwidth=0.5,
        weight="inverse_density",
        occupancy=occupancy,
        key=keys.from_int(3),
        **SMALL,
    )
    both, state, action = (draw(name) for name in OCCUPANCIES)
    total = tf.reduce_logsumexp(both.log_occupancy, axis=-1)  # over actions
    np.testing.assert_allclose(
        total, tf.reduce_logsumexp(state.log_occupancy, axis=-1), rtol=1e-4, atol=1e-5
    )
    mixture = tf.reduce_logsumexp(total, axis=0) - math.log(5)
    np.testing.assert_allclose(  # w / M = 1 / (q M)
        both.log_weight[:, 0], -mixture - math.log(40), rtol=1e-4, atol=1e-5
    )
    np.testing.assert_allclose(
        tf.reduce_logsumexp(action.log_occupancy, axis=-1),
        np.broadcast_to(mixture, [5, 40]),
        rtol=1e-4,
        atol=1e-5,
    )


def test_points_are_living_states(policy, random_trajectory):
    trajectories = random_trajectory(seed=4, shape=(3, 4, 6))
    mask = trajectories.mask.numpy()
    observation = np.where(mask[..., None] > 0, trajectories.observation, 1e6)
    trajectories = trajectories._replace(observation=tf.constant(observation, tf.float32))
    living = int(mask.sum(axis=(1, 2)).min())
    points, chosen = policy_divergence.visited_states(trajectories, False, living, keys.from_int(0))
    assert points.shape == [3, living, 2]
    np.testing.assert_array_equal(chosen, 1)
    for i in range(3):
        own = {tuple(row) for row in observation[i].reshape(-1, 2)}
        assert {tuple(row) for row in points[i].numpy()} <= own - {(1e6, 1e6)}
    timed, _ = policy_divergence.visited_states(trajectories, True, 24, keys.from_int(0))
    np.testing.assert_allclose(timed[:, :6, 2], np.tile(np.arange(6) / 6, [3, 1]), rtol=1e-6)


@pytest.mark.parametrize(
    ("weight", "form"),
    [
        ("inverse_density", "jensen_shannon"),
        ("uniform", "hellinger"),
        ("density", "normalized_jensen_shannon"),
    ],
)
def test_continuous_actions(gaussian_policy, gaussian_rollouts, weight, form):
    params, trajectories = gaussian_rollouts
    options = {"weight": weight, "num_states": 40}
    matrix = policy_divergence_matrix(
        gaussian_policy, params, trajectories, form=form, **options
    ).numpy()
    check_distances(matrix)
    places = occupancies(
        gaussian_policy, params, trajectories, bandwidth=0.5, key=keys.from_int(0), **options
    )
    np.testing.assert_allclose(matrix, algorithm_1(places, form), rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("occupancy", ["state_action", "action"])
def test_continuous_actions_integrate_to_the_divergence(gaussian_policy, slide, occupancy):
    """Two Gaussians two standard deviations apart, in the same states."""
    zeros = nest.map(tf.zeros_like, gaussian_policy.init(0))
    variables = gaussian_policy.functional.variables
    names = [variable.name for variable in variables]
    mean = next(i for i, name in enumerate(names) if "means" in name and "bias" in name)
    params = [tf.repeat(x[None], 2, axis=0) for x in zeros]
    params[mean] = tf.constant([[-1.0], [1.0]])
    task = {"goal": tf.zeros([2])}
    key = keys.from_int(1)
    trajectories = sampling.sample(gaussian_policy, slide, tuple(params), task, 2, key)
    trajectories = nest.map(lambda x: tf.repeat(x[:1], 2, axis=0), trajectories)
    distribution = gaussian_policy(tuple(params), tf.zeros([2, 1, 1]))
    np.testing.assert_allclose(distribution.stddev(), 1, rtol=1e-6)

    def integrand(a):
        p, q = scipy.stats.norm.pdf(a, -1), scipy.stats.norm.pdf(a, 1)
        return p * math.log(2 * p / (p + q)) + q * math.log(2 * q / (p + q))

    expected = scipy.integrate.quad(integrand, -10, 10)[0]
    matrix = policy_divergence_matrix(
        gaussian_policy, tuple(params), trajectories, num_states=5000, occupancy=occupancy
    )
    np.testing.assert_allclose(matrix[0, 1], expected, rtol=0.05)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"form": "kl"}, "jensen_shannon, .* received form='kl'"),
        ({"weight": "one"}, "inverse_density, uniform, density; received weight='one'"),
        ({"occupancy": "reward"}, "state_action, state, action; received occupancy='reward'"),
        ({"num_states": 0}, "num_states=0"),
        ({"max_points": 0}, "max_points=0"),
        ({"bandwidth": "silverman"}, "bandwidth='silverman'"),
        ({"bandwidth": 0.0}, "bandwidth=0.0"),
        ({"bandwidth": np.eye(3)}, r"\[2, 2\] covariance"),
    ],
)
def test_errors(policy, rollouts, options, message):
    with pytest.raises(ConfigError, match=message):
        policy_divergence_matrix(policy, rollouts[0], rollouts[2], **options)


def test_as_many_trajectories_as_policies(policy, rollouts):
    fewer = nest.map(lambda x: x[:3], rollouts[2])
    with pytest.raises(ConfigError, match="received 5 and 3"):
        policy_divergence_matrix(policy, rollouts[0], fewer)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_weights_that_are_no_numbers_are_an_error(policy, rollouts, value):
    params, _, trajectories = rollouts
    broken = [tf.tensor_scatter_nd_update(params[-1], [[2, 0]], [value]), *params[:-1]]
    with pytest.raises(ConfigError, match="not finite: check params"):
        policy_divergence_matrix(policy, (*params[:-1], broken[0]), trajectories, **SMALL)


@pytest.mark.parametrize("form", FORMS)
def test_nothing_on_the_way_is_infinite(policy, random_trajectory, form):
    """TensorFlow's check of every operation has nothing to say, also where steps are padded."""
    params = nest.stack([policy.init(seed) for seed in range(3)])
    trajectories = random_trajectory(seed=5, shape=(3, 2, 6))
    assert 0 < tf.reduce_mean(trajectories.mask) < 1
    matrix = lambda: policy_divergence_matrix(policy, params, trajectories, form=form, **SMALL)
    expected = matrix()
    policy_divergence._compiled.cache_clear()
    tf.debugging.enable_check_numerics()
    try:
        found = matrix()
    finally:
        tf.debugging.disable_check_numerics()
        policy_divergence._compiled.cache_clear()
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_probability_zero_is_not_infinite_either():
    tf.debugging.enable_check_numerics()
    try:
        log_p, log_q = tf.constant([[0.0, -np.inf], [0.0, 1.0]])
        for function in (jensen_shannon, hellinger, root_jensen_shannon, symmetric_kl):
            assert np.isfinite(function(log_p, log_q))
        mask = np.array([1.0, 0.0, 1.0])
        density = KernelDensity(np.zeros([3, 2]), 0.5, mask)
        assert np.isfinite(density.log_prob(density.sample(5, seed=[1, 2]))).all()
    finally:
        tf.debugging.disable_check_numerics()


@pytest.mark.parametrize("form", FORMS)
def test_policies_that_hardly_differ(form):
    """Log-occupancies in float32 that differ by a hundred-thousandth."""
    rng = np.random.default_rng(6)
    occupancy = rng.normal(size=[1, 50, 3]) - 7 + 1e-5 * rng.normal(size=[4, 50, 3])
    weight = rng.normal(size=[50, 3]) - 2
    places = policy_divergence.Occupancy(
        tf.constant(occupancy, tf.float32), tf.constant(weight, tf.float32)
    )
    log = [np.float64(x) for x in places]
    log = (log[0] + log[1]).reshape(4, -1)
    if form == "normalized_jensen_shannon":
        log -= scipy.special.logsumexp(log, axis=1, keepdims=True)
    # Up to terms of the third order both are sums of p (log q - log p)^2 / 4.
    apart = 0.25 * (np.exp((log[:, None] + log[None]) / 2) * (log[:, None] - log[None]) ** 2)
    expected = apart.sum(-1) * (0.5 if form == "normalized_jensen_shannon" else 1)
    found = policy_divergence.pairwise(places, form)
    assert found.dtype == tf.float32
    np.testing.assert_allclose(found, expected, rtol=1e-4)


def test_a_policy_needs_a_valid_step(policy, rollouts):
    params, _, trajectories = rollouts
    mask = trajectories.mask * tf.constant([1.0, 1.0, 0.0, 1.0, 1.0])[:, None, None]
    with pytest.raises(ConfigError, match=r"valid steps to be >= 1 of every policy.*0\.0"):
        policy_divergence_matrix(policy, params, trajectories._replace(mask=mask))
