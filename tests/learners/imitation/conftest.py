"""Learners from demonstrations in float64, with made-up demonstrations."""

from unittest import mock

import numpy as np
import pytest
import tensorflow as tf

from tests.places import Places
from tfcaml import learners, nest
from tfcaml.types import MetaBatch, Trajectory

N, T = 3, 5
ATTENTION = {"places": 2, "temperature": 3.0}
NETWORK = {
    "objects": {"object_layers": 1, "object_units": 4, **ATTENTION},
    "image": {"kernel_sizes": (3, 3), "strides": (2, 2), "filters": 3},
}


class Case:
    """A learner, and meta parameters and a batch of random numbers."""

    def __init__(self, cls, observes="objects", layers=(6, 5), seed=0, network=(), **settings):
        family = Places(observes)
        settings = {"episodes_per_update": 2, "multiplier": 3.0, **settings}
        small = {**NETWORK[observes], "bias_transform": 2, **dict(network)}
        if small.get("image_features") == "attention":
            small |= ATTENTION
        self.config = cls.Config(network=small, **settings)
        made = cls.make_policy(family, self.config, layers, "tanh")
        more = {k: getattr(made, k) for k in ("attention_units",) if hasattr(made, k)}
        policy = type(made)(
            *(made.observation_spec, made.action_spec, layers, "tanh"),
            *(made.config, made.hidden, made.pose, made.context_size, tf.float64),
            **more,
        )
        self.learner = cls(family, policy, self.config)
        self.rng = np.random.default_rng(seed)
        meta = self.learner.meta.read()
        around = lambda scale: lambda x: x + scale * self.rng.normal(size=x.shape)
        moments = nest.map(around(0.1), meta["moments"])
        self.meta = {"params": nest.map(around(0.3), meta["params"]), "moments": moments}
        support = self.experience(self.config.episodes_per_update)
        steps = self.config.inner_updates if issubclass(cls, learners.MIL) else 1
        steps = 0 if cls is learners.Cloning else steps
        index = tf.constant([4, 0, 7])
        self.batch = MetaBatch((support,) * steps, self.experience(1), (), index, ())

    def experience(self, number):
        """`Experience` of a number of episodes that end early, [N, number, T, ...]."""
        length = self.rng.integers(1, T + 1, [N, number])
        length[0, 0] = T
        mask = tf.constant(np.arange(T) < length[..., None], tf.float64)
        normal = lambda *shape: tf.constant(self.rng.normal(size=[N, number, *shape]))

        def some(*axes):
            def leaf(spec):
                if spec.dtype.is_integer:
                    shape = [N, number, *axes, *spec.shape]
                    return tf.constant(self.rng.integers(0, 256, shape), spec.dtype)
                return normal(*axes, *spec.shape)

            return nest.map(leaf, self.learner.environment.observation_spec)

        zeros = tf.zeros_like(mask)
        trajectory = Trajectory(some(T), normal(T, 2), zeros, mask, zeros, zeros, some())
        return self.learner.loss.experience(None, None, trajectory)

    def value_and_gradient(self):
        """Compiled: weights as a vector -> (mean outer loss, its gradient)."""
        vector, unravel = nest.ravel(self.meta["params"])

        @tf.function(autograph=False)
        def both(vector):
            with tf.GradientTape() as tape:
                tape.watch(vector)
                meta = {**self.meta, "params": unravel(vector)}
                loss = tf.reduce_mean(self.learner.objective(meta, self.batch).loss)
            return loss, tape.gradient(loss, vector)

        return vector, both

    def gradient(self):
        vector, both = self.value_and_gradient()
        return both(vector)[1].numpy()

    def error(self, directions=4, step=1e-5):
        """Largest error of the outer gradient against central differences, of its norm."""
        vector, both = self.value_and_gradient()
        loss = lambda vector: both(vector)[0]
        if self.config.pose:
            loss = self._with_stopped_values_held(vector)
        gradient, errors = both(vector)[1].numpy(), []
        for _ in range(directions):
            direction = self.rng.normal(size=vector.shape)
            direction /= np.linalg.norm(direction)
            at = lambda k: loss(vector + k * step * direction).numpy()
            truth = (8 * (at(1) - at(-1)) - (at(2) - at(-2))) / (12 * step)
            errors.append(abs(truth - gradient @ direction) / np.linalg.norm(gradient))
        assert np.linalg.norm(gradient) > 1e-3
        return max(errors)

    def _with_stopped_values_held(self, vector):
        """vector -> mean outer loss, where what no gradient goes through is as at `vector`.

        `tf.stop_gradient` gives what it gave there, call by call.
        """
        _, unravel = nest.ravel(self.meta["params"])
        real, values = tf.stop_gradient, []

        def loss(vector):
            return tf.reduce_mean(
                self.learner.objective({**self.meta, "params": unravel(vector)}, self.batch).loss
            )

        def told(x, name=None):
            values.append(real(x))
            return values[-1]

        with mock.patch.object(tf, "stop_gradient", told):
            loss(vector)

        def held(vector):
            again = iter(values)
            with mock.patch.object(tf, "stop_gradient", lambda x, name=None: next(again)):
                return loss(vector)

        return held


@pytest.fixture(scope="session", name="imitation_case")
def imitation_case_fixture():
    return Case
