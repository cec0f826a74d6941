"""VIME: the bound and the gain in float64, what is kept, and what steps are paid."""

import numpy as np
import pytest
import tensorflow as tf

from tfcaml import environments, keys, nest, settings
from tfcaml.errors import ConfigError
from tfcaml.exploration import vime
from tfcaml.exploration.vime import VIME, Model, Posterior, VIMEConfig, tfd
from tfcaml.learners import NaturalPolicyGradient, PolicyGradient
from tfcaml.types import Trajectory

PRIOR, LIKELIHOOD = 0.7, 1.3
RNG = np.random.default_rng(0)


def model(*sizes):
    return Model(sizes, PRIOR, LIKELIHOOD)


def posterior_of(made, rows=2):
    """`Posterior` of random numbers in float64."""
    shape = [rows, made.num_weights]
    return Posterior(tf.constant(RNG.normal(size=shape)), tf.constant(RNG.normal(size=shape) - 1))


def data(made, rows=2, transitions=5, samples=3):
    """(noise, inputs, targets) in float64."""
    draw = lambda *shape: tf.constant(RNG.normal(size=shape))
    inputs, outputs = made.shapes[0][0], made.shapes[-1][1]
    return (
        draw(rows, samples, made.num_weights),
        draw(rows, transitions, inputs),
        draw(rows, transitions, outputs),
    )


def output(weights, x):
    """A network of sizes 3, 4, 2 in plain NumPy: [P], [3] -> [2]."""
    first, bias, second, last = np.split(weights, [12, 16, 24])
    h = np.maximum(x @ first.reshape(3, 4) + bias, 0)
    return h @ second.reshape(4, 2) + last


def log_normal(x, mean, scale):
    return -0.5 * ((x - mean) / scale) ** 2 - np.log(scale * np.sqrt(2 * np.pi))


def softplus(rho):
    return np.log1p(np.exp(rho))


def numeric(function, x, size=1e-6):
    """The gradient of a scalar function of an array, by central differences."""
    found = np.zeros_like(x)
    for place in np.ndindex(*x.shape):
        step = np.zeros_like(x)
        step[place] = size
        found[place] = (function(x + step) - function(x - step)) / (2 * size)
    return found


def kl_of_normals(mean, scale, other, other_scale):
    ratio = (scale**2 + (mean - other) ** 2) / other_scale**2
    return np.sum(np.log(other_scale / scale) + (ratio - 1) / 2)


def bound_by_hand(mean, rho, noise, inputs, targets, num):
    """The variational lower bound of one model for each transition, in plain NumPy."""
    likelihood = [
        log_normal(y, output(mean + softplus(rho) * e, x), LIKELIHOOD).sum()
        for e in noise
        for x, y in zip(inputs, targets)
    ]
    return np.mean(likelihood) - kl_of_normals(mean, softplus(rho), 0, PRIOR) / num


def test_the_variational_bound_and_its_gradient():
    """Paper, section 2.3, with the reparameterised weights mu + log(1 + e^rho) epsilon."""
    made = model(3, 4, 2)
    posterior, (noise, inputs, targets) = posterior_of(made), data(made)
    num = np.array([5.0, 40.0])
    with tf.GradientTape() as tape:
        tape.watch(posterior)
        bound = made.bound(posterior, noise, inputs, targets, tf.constant(num))
        total = tf.reduce_sum(bound)
    gradient = tape.gradient(total, posterior)
    for i in range(2):
        mean, rho = posterior.mean[i].numpy(), posterior.rho[i].numpy()
        rest = noise[i].numpy(), inputs[i].numpy(), targets[i].numpy(), num[i]
        assert float(bound[i]) == pytest.approx(bound_by_hand(mean, rho, *rest), rel=1e-12)
        by_mean = numeric(lambda x: bound_by_hand(x, rho, *rest), mean)
        by_rho = numeric(lambda x: bound_by_hand(mean, x, *rest), rho)
        np.testing.assert_allclose(gradient.mean[i], by_mean, rtol=1e-6, atol=1e-8)
        np.testing.assert_allclose(gradient.rho[i], by_rho, rtol=1e-6, atol=1e-8)


def exact_noise(rows, size):
    """Numbers whose mean over samples of any quadratic function is that of N(0, 1): [N, 2P, P]."""
    each = np.sqrt(size) * np.concatenate([np.eye(size), -np.eye(size)])
    return tf.constant(np.repeat(each[None], rows, axis=0))


def test_the_gain_of_a_linear_gaussian_model_has_a_closed_form():
    """-E log p is a quadratic of mu and of sigma, with gradients -error x and sigma x^2."""
    made = model(3, 2)
    posterior, (_, inputs, targets) = posterior_of(made), data(made)
    noise = exact_noise(2, made.num_weights)
    found = made.information_gain(posterior, noise, inputs, targets).numpy()
    for i, t in np.ndindex(2, 5):
        x = np.append(inputs[i, t], 1)[:, None]  # and the bias's 1
        layer = lambda values: np.reshape(values[i], [4, 2])
        mean, sigma = layer(posterior.mean), softplus(layer(posterior.rho))
        error = targets[i, t].numpy() - mean.T @ x[:, 0]
        by_mean, by_sigma = -error * x / LIKELIHOOD**2, sigma * x**2 / LIKELIHOOD**2
        terms = sigma**2 * by_mean**2 + sigma**2 * by_sigma**2 / 2
        assert found[i, t] == pytest.approx(0.01**2 / 2 * terms.sum(), rel=1e-10)


@pytest.mark.parametrize("sizes", [(3, 2), (3, 4, 2)], ids=["linear", "network"])
def test_the_gain_is_the_divergence_of_a_small_step(sizes):
    """KL(q after || q before), exact by TFP, of the step H^-1 grad l that a transition makes.

    The gradient and the diagonal H are finite differences: H of that very divergence.
    """
    made = model(*sizes)
    posterior, (noise, inputs, targets) = posterior_of(made), data(made)
    if len(sizes) == 2:
        noise = exact_noise(2, made.num_weights)
    gain = made.information_gain(posterior, noise, inputs, targets).numpy()
    for i, t in ((0, 0), (1, 3)):
        row = lambda x: x[i : i + 1]
        alone = row(inputs)[:, t : t + 1], row(targets)[:, t : t + 1]
        q = Posterior(row(posterior.mean), row(posterior.rho))
        now = np.stack([q.mean[0], q.rho[0]])

        def loss(phi):
            moved = Posterior(phi[:1], phi[1:])
            weights = moved.draw(row(noise))
            return -np.mean(made.log_likelihood(weights, *alone))

        def divergence(phi):
            moved = Posterior(phi[:1], phi[1:]).distribution
            return float(tf.reduce_sum(tfd.kl_divergence(moved, q.distribution)))

        slope = numeric(loss, now)
        curvature = np.zeros_like(now)
        for place in np.ndindex(*now.shape):
            step = np.zeros_like(now)
            step[place] = 1e-4
            curvature[place] = (divergence(now + step) + divergence(now - step)) / 1e-8
        step = 1e-4 / np.abs(slope / curvature).max()
        exact = divergence(now - step * slope / curvature)
        assert gain[i, t] / 0.01**2 == pytest.approx(exact / step**2, rel=1e-3)


def test_the_posterior_starts_at_the_priors_deviation():
    made = model(3, 4, 2)
    found = made.init(keys.per_task(keys.from_int(1), 2))
    np.testing.assert_allclose(softplus(found.rho.numpy()), PRIOR, rtol=1e-5)
    first, bias = found.mean[:, :12].numpy(), found.mean[:, 12:16].numpy()
    assert np.abs(first).max() <= np.sqrt(6 / 7) and np.abs(first).min() > 0 and not bias.any()
    assert not np.array_equal(first[0], first[1])


SETTINGS = {"eta": 0.5, "capacity": 6, "min_transitions": 3, "window": 2, "num_samples": 2}
SETTINGS |= {"steps": 2, "batch_size": 3, "units": 4}


@pytest.fixture(scope="module")
def bonus():
    family = environments.Particle()
    return VIME(VIMEConfig(**SETTINGS), family.observation_spec, family.action_spec)


def episodes(*lengths, seed=0):
    """`Trajectory` [2, E, 4] of particles, where the first number observed tells the step."""
    rng = np.random.default_rng(seed)
    mask = np.stack([np.arange(4) < length for length in lengths]).astype(np.float32)
    mask = np.repeat(mask[None], 2, axis=0)
    draw = lambda *shape: rng.normal(size=[*mask.shape, *shape]).astype(np.float32)
    number = np.cumsum(mask.reshape(2, -1), axis=1).reshape(mask.shape)
    observation = np.stack([number, draw()], axis=-1) + 100 * seed
    made = Trajectory(
        observation=observation,
        action=rng.integers(0, 4, mask.shape).astype(np.int32),
        reward=draw() * mask,
        mask=mask,
        log_prob=draw(),
        terminated=np.zeros_like(mask),
        final_observation=observation[:, :, -1] + 7,
    )
    return nest.map(tf.constant, made)


def test_the_latest_transitions_are_kept(bonus):
    """Valid steps in their order, with what they led to; empty places come first."""
    pool = bonus._kept(bonus.init(2, 0)["pool"], episodes(2, 1))
    np.testing.assert_array_equal(pool["mask"], [[0, 0, 0, 1, 1, 1]] * 2)
    np.testing.assert_array_equal(pool["inputs"][:, 3:, 0], [[1, 2, 3]] * 2)
    first = episodes(2, 1)
    action = tf.one_hot(first.action[:, 0, 0], 4)
    np.testing.assert_array_equal(pool["inputs"][:, 3, 2:], action)
    np.testing.assert_array_equal(pool["targets"][:, 3], first.observation[:, 0, 1])
    np.testing.assert_array_equal(pool["targets"][:, 4:], first.final_observation)
    pool = bonus._kept(pool, episodes(4, 1, seed=1))
    np.testing.assert_array_equal(pool["mask"], np.ones([2, 6]))
    np.testing.assert_array_equal(pool["inputs"][:, :, 0], [[3, 101, 102, 103, 104, 105]] * 2)


def test_steps_are_paid_by_the_median_of_the_last_batches(bonus):
    """Two of them; padded steps have no part in a median, nor a share in the bonus."""
    state = {"medians": tf.constant([[5.0, 2.0], [0.0, 0.0]])}
    mask = tf.constant([[[1.0, 1.0, 1.0, 0.0]], [[1.0, 1.0, 0.0, 0.0]]])
    gain = tf.constant([[[1.0, 6.0, 4.0, 0.0]], [[1.0, 2.0, 0.0, 0.0]]])
    paid = bonus.bonus(state, gain, mask)  # medians 4 and 1.5
    expected = 0.5 * np.array([[[1, 6, 4, 0]], [[1, 2, 0, 0]]]) / np.reshape([3, 1.5], [2, 1, 1])
    np.testing.assert_allclose(paid, expected, rtol=1e-6)
    nothing = bonus.bonus({"medians": tf.zeros([2, 2])}, 0 * gain, mask)
    np.testing.assert_array_equal(nothing, np.zeros([2, 1, 4]))


@pytest.fixture(scope="module")
def fitted(bonus):
    """(states before, after too few and after enough transitions, gain by the last, metrics)."""
    learn = tf.function(bonus.learn, autograph=False)
    gain = tf.function(bonus.gain, autograph=False)
    key, states = keys.from_int(3), [bonus.init(2, 0)]
    for made in (episodes(1, 1), episodes(4, 1, seed=1)):
        state, metrics = learn(states[-1], made, made.mask, key)
        states.append(state)
    before = gain(states[1], episodes(1, 4), key)
    return states, before, gain(states[2], episodes(1, 4), key), metrics


def test_nothing_is_learned_or_paid_from_too_few(fitted):
    (new, few, enough), before, after, metrics = fitted
    np.testing.assert_array_equal(new["posterior"].mean, few["posterior"].mean)
    assert not np.array_equal(few["posterior"].mean, enough["posterior"].mean)
    np.testing.assert_array_equal(few["slots"]["count"], [0, 0])
    np.testing.assert_array_equal(enough["slots"]["count"], [2, 2])
    assert not np.any(before)
    valid = episodes(1, 4).mask.numpy() > 0
    assert (after.numpy()[valid] > 0).all() and not after.numpy()[~valid].any()
    np.testing.assert_array_equal(enough["medians"], [[1, 1]] * 2)  # of gains that are all 1
    assert float(metrics["transitions_kept"]) == 6 and set(metrics) == set(vime.METRICS)


def test_the_gain_of_steps_is_that_of_each_alone_in_units_of_what_is_kept(bonus, fitted):
    state, made, key = fitted[0][2], episodes(1, 4), keys.from_int(3)
    inputs, targets = bonus._transitions(made)
    kept, masked = state["pool"]["inputs"].numpy(), state["pool"]["mask"].numpy() > 0
    for i in range(2):
        rows = kept[i][masked[i]]
        mean, scale = rows.mean(axis=0), rows.std(axis=0)
        scale[scale < 1e-6] = 1
        x = ((inputs[i, 1].numpy() - mean) / scale)[None].astype(np.float32)
        y = ((targets[i, 1].numpy() - mean[:2]) / scale[:2])[None].astype(np.float32)
        own = nest.map(lambda x: x[i : i + 1], state["posterior"])
        noise = keys.normal(keys.per_task(keys.fold(key, 0x6A1E), 2), [2, bonus.model.num_weights])
        alone = bonus.model.information_gain(own, noise[i : i + 1], x, y)
        np.testing.assert_allclose(fitted[2][i, 1], alone[0], rtol=2e-3)


def test_policies_have_models_of_their_own(bonus, fitted):
    """What one of them does changes nothing for the other."""
    made = episodes(4, 1, seed=1)
    other = made._replace(
        observation=tf.concat([made.observation[:1], 2 - made.observation[1:]], 0)
    )
    learn = tf.function(bonus.learn, autograph=False)
    state, _ = learn(fitted[0][1], other, other.mask, keys.from_int(3))
    mean, expected = state["posterior"].mean, fitted[0][2]["posterior"].mean
    np.testing.assert_allclose(mean[0], expected[0], rtol=1e-6)
    assert np.abs(mean[1] - expected[1]).max() > 1e-4


def test_the_model_learns_what_actions_do():
    """Of a point that an action moves: with enough steps the mean prediction is right."""
    settings_of = {**SETTINGS, "capacity": 200, "steps": 400, "learning_rate": 0.01}
    settings_of |= {"units": 8, "likelihood_scale": 0.1}
    spec = tf.TensorSpec([1], tf.float32)
    action_spec = environments.Navigation().action_spec
    learner = VIME(VIMEConfig(**settings_of), spec, action_spec)
    key = keys.from_int(0)
    place, move = keys.normal(key, [1, 1, 100, 1]), keys.normal(keys.fold(key, 1), [1, 1, 100, 2])
    led = place + 0.5 * move[..., :1]
    pool = {
        "inputs": tf.concat([place, move], axis=-1)[:, 0],
        "targets": led[:, 0],
        "mask": tf.ones([1, 100]),
    }
    pad = lambda x: tf.concat([tf.zeros([1, 100, *x.shape[2:]]), x], axis=1)
    pool, state = nest.map(pad, pool), learner.init(1, 0)
    fit = tf.function(learner._fitted, autograph=False)
    posterior, _, _ = fit(state["posterior"], state["slots"], pool, key)
    scaled = vime._scaled(vime._moments(pool), pool["inputs"][:, 100:], pool["targets"][:, 100:])
    error = lambda q: float(
        tf.reduce_mean((learner.model.predict(q.mean[:, None], scaled[0])[:, 0] - scaled[1]) ** 2)
    )
    assert error(state["posterior"]) > 0.5 and error(posterior) < 0.1


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"eta": -1.0}, "eta to be >= 0; received eta=-1.0"),
        ({"eta": 1.0, "units": 0}, "units to be > 0; received units=0"),
        ({"eta": 1.0, "min_transitions": 9, "capacity": 8}, "min_transitions to be at most capac"),
        ({"units": 8}, r"units to be left at 32, as it acts only with eta > 0; received units=8"),
    ],
)
def test_bad_settings_are_refused(given, message):
    with pytest.raises(ConfigError, match=f"expected {message}"):
        VIMEConfig(**given)
    with pytest.raises(ConfigError, match=f"expected vime.{message.partition(' ')[0]} to be"):
        NaturalPolicyGradient.Config(vime=given)


@pytest.mark.parametrize("learner", [NaturalPolicyGradient, PolicyGradient])
def test_what_no_memory_holds_is_refused(learner):
    family = environments.Particle(environments.ParticleConfig(horizon=10))
    measured = {"num_tasks": 1, "episodes": 1}
    check = lambda **given: settings.check_sizes(
        "it", learner.Config(meta_batch_size=40, vime=given), family, (100,), measured
    )
    check(eta=1.0)
    with pytest.raises(ConfigError, match=r"vime.capacity to be so small .*capacity=1000000$"):
        check(eta=1.0, capacity=1_000_000, window=1)
    with pytest.raises(ConfigError, match=r"vime.num_samples to be so small .*samples=1000$"):
        check(eta=1.0, num_samples=1000, units=1000)
