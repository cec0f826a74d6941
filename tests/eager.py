"""For tests that compare numbers of many settings, and run eagerly as tracing takes longer."""

import contextlib

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from tfcaml import keys, nest
from tfcaml.policies import Policy
from tfcaml.policies.distributions import sample_continuous, sample_discrete

_UNITS = 4


@contextlib.contextmanager
def eagerly():
    """Runs every `tf.function` as Python, for a `with` block."""
    tf.config.run_functions_eagerly(True)
    try:
        yield
    finally:
        tf.config.run_functions_eagerly(False)


def differ(left, right):
    """Whether two nests of dicts and sequences differ in a number, by more than rounding.

    What only one of them has, or what is of another shape in the other, does not count.
    """
    left, right = dict(_leaves(left)), dict(_leaves(right))
    pairs = [(left[path], right[path]) for path in left.keys() & right.keys()]
    pairs = [(a, b) for a, b in pairs if a.shape == b.shape]
    assert pairs
    return any(not np.allclose(a, b, rtol=1e-5, atol=1e-6, equal_nan=True) for a, b in pairs)


def _leaves(tree):
    """(path, array) of all that a nest holds."""
    for key, value in tree.items() if isinstance(tree, dict) else enumerate(tree):
        if isinstance(value, dict | list | tuple):
            yield from (((key, *path), leaf) for path, leaf in _leaves(value))
        else:
            yield (key,), np.asarray(value, np.float64)


class PlainEncoder:
    """In the place of a `SequenceEncoder`, of plain products: the mean of a layer over steps."""

    def __init__(self, inputs, units, outputs, dtype=tf.float32):
        self.inputs = inputs
        self._shapes = [(inputs, units), (units,), (units, outputs), (outputs,)]

    def init(self, seed):
        draw = lambda i, shape: 0.5 * keys.normal(keys.fold(keys.from_int(seed), i), shape)
        return tuple(draw(i, shape) for i, shape in enumerate(self._shapes))

    def __call__(self, params, x, mask):
        first, bias, second, output = params
        hidden = tf.tanh(tf.einsum("nmtf,nfh->nmth", x, first) + bias[:, None, None])
        steps = tf.maximum(tf.reduce_sum(mask, axis=-1, keepdims=True), 1)
        mean = tf.reduce_sum(hidden * mask[..., None], axis=2) / steps
        return tf.matmul(mean, second) + output[:, None]


class PlainPolicy(Policy):
    """One hidden layer of tanh units; logits of discrete actions, or means and one deviation.

    Of plain products of matrices: `NetworkPolicy` maps a network over tasks, which outside of a
    graph is traced anew at every call.
    """

    def __init__(self, observation_spec, action_spec):
        self.observation_spec = observation_spec
        self.action_spec = action_spec
        self.num_actions = int(action_spec.maximum) + 1 if action_spec.dtype.is_integer else None
        outputs = self.num_actions or action_spec.shape[0]
        self._shapes = [(observation_spec.shape[0], _UNITS), (_UNITS,), (_UNITS, outputs)]
        self._shapes.append((outputs,))

    def init(self, seed):
        key = keys.from_int(seed)
        draw = lambda i, shape: tf.random.stateless_normal(shape, keys.fold(key, i), 0, 0.5)
        weights = [draw(i, shape) for i, shape in enumerate(self._shapes)]
        deviation = () if self.num_actions else (tf.zeros(self._shapes[-1]),)
        return (*weights, *deviation)

    def __call__(self, params, observation):
        first, bias, second, output, *log_deviation = params
        hidden = tf.tanh(tf.matmul(observation, first) + bias[:, None])
        found = tf.matmul(hidden, second) + output[:, None]
        if self.num_actions:
            return tfp.distributions.Categorical(logits=found)
        deviation = tf.broadcast_to(tf.exp(log_deviation[0])[:, None], found.shape)
        return tfp.distributions.MultivariateNormalDiag(found, deviation)

    def noise(self, key, num_steps):
        if self.num_actions:
            return keys.uniform(key, [num_steps, 1])
        return keys.normal(key, [num_steps, *self.action_spec.shape])

    def sample(self, distribution, noise):
        if self.num_actions:
            return sample_discrete(distribution, noise, self.action_spec.dtype)
        return sample_continuous(distribution, noise)


class PlainActorCritic(PlainPolicy):
    """A `PlainPolicy` with critics beside it that are linear in the observation."""

    def __init__(self, observation_spec, action_spec, heads=("value",)):
        super().__init__(observation_spec, action_spec)
        self.heads, self._size = heads, observation_spec.shape[0]

    def init(self, seed):
        key = keys.fold(keys.from_int(seed), 99)
        critics = {
            head: 0.5 * keys.normal(keys.fold(key, i), [self._size])
            for i, head in enumerate(self.heads)
        }
        return {"actor": super().init(seed), **critics}

    def __call__(self, params, observation):
        return super().__call__(params["actor"], observation)

    def value(self, params, trajectory, head="value"):
        at = lambda x: tf.einsum("n...o,no->n...", x, params[head])
        return at(trajectory.observation), at(trajectory.final_observation)


class PlainRecurrent(PlainPolicy):
    """A `PlainPolicy` whose hidden layer sees itself, one step ago; of any precision."""

    has_memory = True

    def __init__(self, observation_spec, action_spec):
        super().__init__(observation_spec, action_spec)
        self._shapes.insert(1, (_UNITS, _UNITS))

    def __call__(self, params, observation):
        raise NotImplementedError

    def initial_memory(self, params, num_episodes, noise=()):
        return tf.zeros([*params[0].shape[:1], num_episodes, _UNITS], params[0].dtype)

    def act(self, params, observation, memory):
        first, again, bias, *rest = params
        hidden = tf.tanh(tf.matmul(observation, first) + tf.matmul(memory, again) + bias[:, None])
        return self.answer(rest, hidden), hidden

    def unroll(self, params, trajectory):
        hidden = trajectory.start
        if isinstance(hidden, tuple):
            hidden = self.initial_memory(params, trajectory.mask.shape[1])
        steps = []
        for time in range(trajectory.mask.shape[2]):
            _, hidden = self.act(params, trajectory.observation[:, :, time], hidden)
            steps.append(hidden)
        return self.answer(params[3:], nest.flat_steps(tf.stack(steps, axis=2)))

    def answer(self, params, hidden):
        """The distributions of what is hidden, by the last layer's weights."""
        second, output, *log_deviation = params
        found = tf.matmul(hidden, second) + output[:, None]
        if self.num_actions:
            return tfp.distributions.Categorical(logits=found)
        deviation = tf.broadcast_to(tf.exp(log_deviation[0])[:, None], found.shape)
        return tfp.distributions.MultivariateNormalDiag(found, deviation)
