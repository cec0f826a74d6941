"""A recurrent policy that is told what its last action brought, within and across episodes."""

import tensorflow as tf
import tensorflow_probability as tfp

from tfcaml import keys, nest
from tfcaml.policies import Policy

tfd = tfp.distributions


class GRUPolicy(Policy):
    """A gated recurrent unit over [observation, last action, its reward, whether it was the end].

    K. Cho et al., "Learning phrase representations using RNN encoder-decoder", EMNLP 2014.

    Its parameters are {"network": weights, "memory": what it remembers before an episode}. Leaves
    of weights are [N, ...], or [1, ...] for all tasks; those of the memory, "hidden" and "last",
    are [N, E, ...], or [N, 1, ...] for all episodes. "last" is kept as the `info` of each step.

    Args:
      environment: a `TaskFamily`.
      units: H.
    """

    has_memory = True

    def __init__(self, environment, units=64):
        spec = self.action_spec = environment.action_spec
        self.units = units
        self.num_actions = int(spec.maximum) + 1 if spec.dtype.is_integer else None
        self.outputs = self.num_actions or spec.shape[0]
        self.info_spec = tf.TensorSpec([self.outputs + 2], tf.float32)
        leaves = tf.nest.flatten(environment.observation_spec)
        self.inputs = sum(x.shape.num_elements() for x in leaves) + self.outputs + 2

    def init(self, seed):
        units, key = self.units, keys.from_int(seed)
        normal = lambda i, *shape: tf.random.stateless_normal(shape, keys.fold(key, i))
        glorot = lambda i, a, b: normal(i, a, b) * (2 / (a + b)) ** 0.5
        rotations = [tf.linalg.qr(normal(i, units, units))[0] for i in range(3)]
        network = {
            "input": tf.concat([glorot(3 + i, self.inputs, units) for i in range(3)], axis=1),
            "recurrent": tf.concat(rotations, axis=1),
            "bias": tf.zeros([3 * units]),
            "output": 0.1 * glorot(6, units, self.outputs),
            "output_bias": tf.zeros([self.outputs]),
        }
        if not self.num_actions:
            network["log_std"] = tf.zeros([self.outputs])
        return {"network": network, "memory": self.nothing()}

    def nothing(self, dtype=tf.float32):
        """The memory before a trial, of one episode and without task axis."""
        sizes = {"hidden": self.units, "last": self.outputs + 2}
        return nest.map(lambda size: tf.zeros([1, size], dtype), sizes)

    def initial_memory(self, params, num_episodes, noise=()):
        wide = lambda x: tf.broadcast_to(x, [x.shape[0], num_episodes, x.shape[2]])
        return nest.map(wide, params["memory"])

    def act(self, params, observation, memory):
        seen = tf.concat([nest.vectors(observation, 2), memory["last"]], axis=-1)
        hidden = self.cell(params["network"], seen, memory["hidden"])
        return self.head(params["network"], hidden), {**memory, "hidden": hidden}

    def play(self, params, observation, memory, noise):
        action, log_prob, _, acted = super().play(params, observation, memory, noise)
        return action, log_prob, memory["last"], acted

    def observe(self, memory, action, reward, ended):
        done = tf.cast(ended, reward.dtype)
        if self.num_actions:
            action = tf.one_hot(action, self.outputs, dtype=reward.dtype)
        return {**memory, "last": tf.concat([action, reward[..., None], done[..., None]], axis=-1)}

    def unroll(self, params, trajectory):
        return self.head(params["network"], nest.flat_steps(self.relive(params, trajectory)))

    def remember(self, params, trajectory):
        """The memory [N, E, ...] after whole episodes, of a `Trajectory` [N, E, T, ...]."""
        hidden, mask = self.relive(params, trajectory), trajectory.mask
        end = tf.cast(tf.reduce_sum(mask, axis=2), tf.int32) - 1
        last = lambda x: tf.gather(x, end, axis=2, batch_dims=2)
        action, reward = last(trajectory.action), last(trajectory.reward)
        return self.observe({"hidden": last(hidden)}, action, reward, tf.ones_like(reward))

    def relive(self, params, trajectory):
        """What is hidden after each step of a trajectory, [N, E, T, H]."""
        seen = tf.concat([nest.vectors(trajectory.observation, 3), trajectory.info], axis=-1)
        seen = nest.time_major(seen)
        steps, _, episodes = seen.shape[:3]
        start = trajectory.start
        if isinstance(start, tuple):
            start = self.initial_memory(params, episodes)
        hidden = start["hidden"]
        array = tf.TensorArray(hidden.dtype, steps, element_shape=hidden.shape)

        def step(time, hidden, array):
            hidden = self.cell(params["network"], seen[time], hidden)
            return time + 1, hidden, array.write(time, hidden)

        _, _, array = tf.while_loop(
            lambda time, *_: time < steps,
            step,
            (0, hidden, array),
            maximum_iterations=steps,
            parallel_iterations=1,
        )
        return nest.task_major(array.stack())

    def cell(self, network, seen, hidden):
        """One step: seen [N, E, I], hidden [N, E, H] -> hidden [N, E, H]."""
        recurrent = network["recurrent"]
        of_gates, of_candidate = recurrent[..., : -self.units], recurrent[..., -self.units :]
        inputs = dense(seen, network["input"], network["bias"])
        gates = tf.sigmoid(inputs[..., : -self.units] + dense(hidden, of_gates))
        update, reset = tf.split(gates, 2, axis=-1)
        candidate = tf.tanh(inputs[..., -self.units :] + dense(reset * hidden, of_candidate))
        return update * hidden + (1 - update) * candidate

    def head(self, network, hidden):
        """The distributions [N, B] of what is hidden [N, B, H]."""
        output = dense(hidden, network["output"], network["output_bias"])
        if self.num_actions:
            return tfd.Categorical(logits=output)
        std = tf.exp(network["log_std"])[:, None]
        return tfd.MultivariateNormalDiag(output, tf.broadcast_to(std, output.shape))


def dense(x, kernel, bias=None):
    """x [N, B, I] by kernel [N, I, O] and bias [N, O], or by those of one row for all tasks."""
    if kernel.shape[0] == 1:  # one product in place of N
        rows = tf.matmul(tf.reshape(x, [-1, x.shape[-1]]), kernel[0])
        product = tf.reshape(rows, [*x.shape[:-1], kernel.shape[-1]])
    else:
        product = tf.matmul(x, kernel)
    return product if bias is None else product + bias[:, None]
