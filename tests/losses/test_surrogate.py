import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from tfcaml import losses

tfd = tfp.distributions


def arrays(seed=0, shape=(2, 3, 4)):
    rng = np.random.default_rng(seed)
    mask = (rng.uniform(size=shape) < 0.8).astype(np.float64)
    return np.exp(rng.normal(size=shape)), rng.normal(size=shape), mask


def test_surrogates_are_the_formulae():
    ratio, advantage, mask = arrays()
    plain = losses.surrogate(ratio, advantage, mask)
    clipped = losses.clipped_surrogate(ratio, advantage, mask, 0.3)
    for i in range(2):
        expected, expected_clipped = [], []
        for r, a in zip(ratio[i][mask[i] > 0], advantage[i][mask[i] > 0]):
            expected.append(-r * a)
            expected_clipped.append(-min(r * a, min(max(r, 0.7), 1.3) * a))
        np.testing.assert_allclose(plain[i], np.mean(expected))
        np.testing.assert_allclose(clipped[i], np.mean(expected_clipped))


def test_ratio_compares_with_what_acted(random_trajectory):
    trajectory = random_trajectory(seed=1, action_size=2)
    flat = tf.reshape(trajectory.observation, [2, 24, 2])
    distribution = tfd.MultivariateNormalDiag(flat, tf.ones([2]))
    ratio = losses.probability_ratio(distribution, trajectory)
    deviation = trajectory.action - trajectory.observation
    log_prob = -0.5 * tf.reduce_sum(deviation**2, axis=-1) - np.log(2 * np.pi)
    np.testing.assert_allclose(ratio, tf.exp(log_prob - trajectory.log_prob), rtol=1e-4)


def test_mean_kl_is_from_the_old_to_the_new():
    rng = np.random.default_rng(0)
    mean, other = rng.normal(size=(2, 2, 12, 3))
    std, other_std = np.exp(rng.normal(size=(2, 2, 12, 3)))
    mask = arrays()[2]
    old, new = tfd.MultivariateNormalDiag(mean, std), tfd.MultivariateNormalDiag(other, other_std)
    kl = np.log(other_std / std) + (std**2 + (mean - other) ** 2) / (2 * other_std**2) - 0.5
    kl = kl.sum(axis=-1).reshape(mask.shape)
    expected = (kl * mask).sum((1, 2)) / mask.sum((1, 2))
    np.testing.assert_allclose(losses.mean_kl(old, new, mask), expected, rtol=1e-6)
