"""MAML's regression of curves against its formulae in plain NumPy."""

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp
from tf_agents.specs import tensor_spec

from tests.by_hand import complex_step
from tfcaml import environments, learners
from tfcaml.policies import Policy
from tfcaml.types import Experience, MetaBatch, Trajectory

TASKS, SHOTS, ALPHA = 2, 4, 0.1


class Parabola(Policy):
    """A Gaussian of mean w x + v x^2 + b: params ([N, 3],)."""

    action_spec = tensor_spec.BoundedTensorSpec([1], tf.float32, -5, 5)

    def init(self, seed):
        return (tf.constant([0.5, -0.3, 0.2], tf.float64),)

    def __call__(self, params, observation):
        x = observation[..., 0]
        features = tf.stack([x, x**2, tf.ones_like(x)], axis=-1)
        mean = tf.linalg.matvec(features, params[0])[..., None]
        return tfp.distributions.MultivariateNormalDiag(mean, tf.ones_like(mean))


def test_maml_regression():
    """C. Finn et al., ICML 2017, Algorithm 2: the mean squared error, before and after a step."""
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=[2, 2, TASKS, SHOTS])  # [support or query, ...]
    config = learners.MAMLRegression.Config(
        meta_batch_size=TASKS, episodes_per_update=SHOTS, inner_learning_rate=ALPHA
    )
    learner = learners.MAMLRegression(environments.Sinusoid(), Parabola(), config)

    def experience(x, y):
        one_step = lambda value: tf.constant(value)[:, :, None]
        ones = tf.ones([TASKS, SHOTS, 1], tf.float64)
        points = one_step(x)[..., None], one_step(y)[..., None]
        return Experience(Trajectory(*points, 0 * ones, ones, 0 * ones, ones, None), ones)

    batch = MetaBatch((experience(x[0], y[0]),), experience(x[1], y[1]))
    meta = learner.meta.read()
    with tf.GradientTape() as tape:
        tape.watch(meta["params"])
        loss = learner.objective(meta, batch).loss
        mean = tf.reduce_mean(loss)
    gradient = tape.gradient(mean, meta["params"][0])

    def error(weights, i, phase):
        features = np.stack([x[phase, i], x[phase, i] ** 2, np.ones(SHOTS)], axis=-1)
        return features @ weights - y[phase, i], features

    def adapted_loss(weights, i):
        wrong, features = error(weights, i, 0)
        adapted = weights - ALPHA * 2 * features.T @ wrong / SHOTS
        return (error(adapted, i, 1)[0] ** 2).mean()

    weights = meta["params"][0].numpy()
    np.testing.assert_allclose(loss, [adapted_loss(weights, i) for i in range(TASKS)], rtol=1e-10)
    total = lambda w: sum(adapted_loss(w, i) for i in range(TASKS)) / TASKS
    np.testing.assert_allclose(gradient, complex_step(total, weights), rtol=1e-9)
