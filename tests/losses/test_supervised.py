"""The cross-entropy of labelled images, against plain NumPy."""

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from tfcaml import losses
from tfcaml.rollouts import examples


class Linear:
    """Logits that are the observations."""

    def __call__(self, params, observation):
        return tfp.distributions.Categorical(logits=params["scale"][:, None, None] * observation)


def test_the_cross_entropy_is_the_mean_of_minus_the_log_probabilities():
    rng = np.random.default_rng(0)
    logits, label = rng.normal(size=[2, 5, 3]), rng.integers(0, 3, [2, 5])
    params = {"scale": tf.constant([1.0, 2.0], tf.float64)}
    trajectory = examples.labelled(tf.constant(logits), tf.constant(label))
    loss = losses.CrossEntropy(Linear())
    query = loss.query_experience(None, params, trajectory)
    scaled = logits * np.array([1, 2])[:, None, None]
    log_probs = scaled - np.log(np.exp(scaled).sum(-1, keepdims=True))
    expected = -np.take_along_axis(log_probs, label[..., None], -1)[..., 0].mean(1)
    surrogate = loss.surrogate(None, params, query)
    np.testing.assert_allclose(surrogate.loss, expected, atol=1e-12)
    np.testing.assert_allclose(loss.inner(None, params, query), expected, atol=1e-12)
    right = scaled.argmax(-1) == label
    np.testing.assert_allclose(surrogate.metrics["return_after"], right.mean())
    named = examples.named(Linear(), params, tf.constant(logits), tf.constant(label))
    np.testing.assert_array_equal(named.reward[:, :, 0], right)
    chosen = np.take_along_axis(log_probs, label[..., None], -1)
    np.testing.assert_allclose(named.log_prob, chosen, atol=1e-12)
