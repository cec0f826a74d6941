"""VIME: a bonus for what teaches the agent how its world works.

R. Houthooft, X. Chen, Y. Duan, J. Schulman, F. De Turck, P. Abbeel, "VIME: Variational information
maximizing exploration", NeurIPS 2016. A Bayesian network learns what each action leads to: its
weights theta have the posterior q(theta; phi), independent Gaussians of mean mu and standard
deviation log(1 + e^rho). phi maximises the variational lower bound on all transitions D kept,

    E_q[log p(D | theta)] - KL(q || p)

by Adam on minibatches (section 2.5). A step of the agent is paid, beside its reward, for how far it
alone would move q, by a second-order step along l = -E_q[log p(s' | s, a, theta)] (section 2.5):

    r' = r + eta KL(q(phi + lambda d) || q(phi)) / scale       d = -H^-1 grad l
    KL ~ lambda^2 / 2 grad l^T H^-1 grad l                     H = diag(1 / sigma^2) of mu,
                                                               diag(2 / sigma^2 (d sigma / d rho)^2)
                                                               of rho

H being the Fisher matrix of q, which is diagonal. The scale is the mean over the last batches of
their median gains, so that an eta means the same throughout, and lambda means nothing.

Differences from the paper:
  - Weights are drawn, the same for all steps of a batch; the authors' code draws what units sum up
    ("local reparameterisation").
  - KL(q || p) counts in the bound as often as the transitions kept say, not by a fixed fraction.
  - Means start as Glorot's; in the authors' code from N(0, 1).
"""

from __future__ import annotations

import dataclasses
import itertools
import math
from typing import Any, NamedTuple

import tensorflow as tf
from tensorflow_probability import distributions as tfd

from tfcaml import keys, nest, settings
from tfcaml.errors import check, check_acts, check_positive
from tfcaml.optimization import optimizers
from tfcaml.types import Metric, Nest, Trajectory, next_observation

_STEP = 0.01  # lambda, of the authors' code
_SMALLEST_SCALE = 1e-6  # of what has never varied
_SALT = 0x71ED  # of the initial weights
_GAIN, _LEARN = 0x6A1E, 0x1EA2  # of an iteration's key


@settings.checked
@dataclasses.dataclass(frozen=True)
class VIMEConfig:
    """Settings of the bonus; sources: the paper's text and "code", the authors' published code.

    Attributes:
      eta: What a step of median information gain is paid; 0 is no bonus. Unit: of the reward.
        Source: tfcaml, off; VIME's code has 1e-4 in its example.
      units: Units of the model's hidden layer. Source: VIME's code: 32.
      prior_scale: Standard deviation of the weights before any data. Source: VIME's code: 0.5.
      likelihood_scale: Standard deviation of what an action leads to, around the model's
        prediction. Unit: standard deviations of the observations kept. Source: VIME's code: 5.
      num_samples: Weights drawn for a gradient. Source: VIME's code: 10.
      learning_rate: Step size of the model's Adam. Source: VIME's code: 1e-3.
      steps: Adam steps of the model in an iteration. Source: VIME's code: 500.
      batch_size: Transitions that an Adam step learns from. Source: VIME's code: 10.
      capacity: Transitions that are kept of each policy, the latest. Source: VIME's code: 100,000.
      min_transitions: Transitions kept from which on the model learns, and steps are paid. Source:
        VIME's code: 500.
      window: Batches whose medians are the scale of a bonus, the one at hand among them. Unit:
        iterations. Source: VIME's code: 10.
    """

    eta: float = 0.0
    units: int = 32
    prior_scale: float = 0.5
    likelihood_scale: float = 5.0
    num_samples: int = 10
    learning_rate: float = 1e-3
    steps: int = 500
    batch_size: int = 10
    capacity: int = 100_000
    min_transitions: int = 500
    window: int = 10

    def __post_init__(self) -> None:
        check(self.eta >= 0, "eta", self.eta, ">= 0")
        others = [field.name for field in dataclasses.fields(self) if field.name != "eta"]
        check_acts(self, others, self.eta > 0, "with eta > 0")
        check_positive(**{name: getattr(self, name) for name in others})
        least, most = self.min_transitions, self.capacity
        rule = f"at most capacity={most}, the transitions that are kept"
        check(least <= most, "min_transitions", least, rule)


def stored(config: Any, sizes: settings.Sizes) -> list[settings.Stored]:
    """What the models and their transitions take, for a check before any work; nothing when off.

    Args:
      config: with vime, meta_batch_size and episodes_per_update.
      sizes: `settings.Sizes`.

    Returns:
      list of `settings.Stored`.
    """
    vime, policies, episodes = config.vime, config.meta_batch_size, config.episodes_per_update
    if vime.eta == 0:
        return []
    row = 2 * sizes.observed + sizes.acted + 1
    weights = (sizes.observed + sizes.acted + 1) * vime.units + (vime.units + 1) * sizes.observed
    # Kept, with what is new, in new order, and as before the iteration; weights, their noise and
    # the gradients of both for each episode.
    pool = settings.Stored("vime.capacity", vime.capacity, episodes, 4 * policies * row)
    drawn = 4 * policies * episodes * weights
    return [pool, settings.Stored("vime.num_samples", vime.num_samples, episodes, drawn)]


class Posterior(NamedTuple):
    """q(theta; phi) of N models.

    mean: [N, P]
    rho:  [N, P], of the standard deviation log(1 + e^rho)
    """

    mean: tf.Tensor
    rho: tf.Tensor

    @property
    def distribution(self) -> tfd.Normal:
        """Of the weights, each by itself."""
        return tfd.Normal(self.mean, tf.nn.softplus(self.rho))

    def draw(self, noise: tf.Tensor) -> tf.Tensor:
        """Weights of N(0, 1) numbers, both [N, S, P]; differentiable in the posterior."""
        return self.mean[:, None] + tf.nn.softplus(self.rho)[:, None] * noise


class Model:
    """A network of ReLUs between `sizes` numbers, with a Gaussian around what it gives.

    Args:
      sizes: of its input, its hidden layers and its output.
      prior_scale, likelihood_scale: as of `VIMEConfig`.

    Attributes:
      num_weights: P.
    """

    def __init__(self, sizes: tuple[int, ...], prior_scale: float, likelihood_scale: float) -> None:
        self.shapes = list(itertools.pairwise(sizes))
        self.num_weights = sum((inputs + 1) * outputs for inputs, outputs in self.shapes)
        self.prior_scale, self.likelihood_scale = prior_scale, likelihood_scale

    def init(self, key: tf.Tensor) -> Posterior:
        """Glorot's means, the prior's standard deviation: key [N, 2]."""
        layers = []
        for index, (inputs, outputs) in enumerate(self.shapes):
            limit = math.sqrt(6 / (inputs + outputs))
            kernel = limit * (2 * keys.uniform(keys.salted(key, index), [inputs * outputs]) - 1)
            layers += [kernel, tf.zeros([key.shape[0], outputs])]
        mean = tf.concat(layers, axis=1)
        return Posterior(mean, tf.fill(mean.shape, math.log(math.expm1(self.prior_scale))))

    def predict(self, weights: tf.Tensor, inputs: tf.Tensor) -> tf.Tensor:
        """Weights [N, S, P], inputs [N, M, I] -> [N, S, M, O]."""
        h, start = inputs[:, None], 0
        for index, (size, outputs) in enumerate(self.shapes):
            end = start + size * outputs
            kernel = tf.reshape(weights[..., start:end], [*weights.shape[:2], size, outputs])
            h = tf.matmul(h, kernel) + weights[:, :, None, end : end + outputs]
            start = end + outputs
            if index + 1 < len(self.shapes):
                h = tf.nn.relu(h)
        return h

    def log_likelihood(
        self, weights: tf.Tensor, inputs: tf.Tensor, targets: tf.Tensor
    ) -> tf.Tensor:
        """log p(target | input, theta), nats: [N, S, P], [N, M, I], [N, M, O] -> [N, S, M]."""
        around = tfd.Normal(self.predict(weights, inputs), self.likelihood_scale)
        return tf.reduce_sum(around.log_prob(targets[:, None]), axis=-1)

    def bound(
        self,
        posterior: Posterior,
        noise: tf.Tensor,
        inputs: tf.Tensor,
        targets: tf.Tensor,
        num: tf.Tensor,
    ) -> tf.Tensor:
        """The variational lower bound of `num` transitions, each, from M of them: [N].

        Args:
          posterior: `Posterior`.
          noise: [N, S, P], N(0, 1) numbers.
          inputs: [N, M, I].
          targets: [N, M, O].
          num: [N], at least 1.

        Returns:
          Nats for each transition.
        """
        prior = tfd.Normal(tf.zeros([], noise.dtype), self.prior_scale)
        divergence = tf.reduce_sum(posterior.distribution.kl_divergence(prior), axis=-1)
        likelihood = self.log_likelihood(posterior.draw(noise), inputs, targets)
        return tf.reduce_mean(likelihood, axis=[1, 2]) - divergence / num

    def information_gain(
        self, posterior: Posterior, noise: tf.Tensor, inputs: tf.Tensor, targets: tf.Tensor
    ) -> tf.Tensor:
        """How far each transition alone would move the posterior, nats: [N, M].

        Args:
          posterior: `Posterior`.
          noise: [N, S, P], N(0, 1) numbers.
          inputs: [N, M, I].
          targets: [N, M, O].
        """
        num_rows, num = inputs.shape[:2]
        each = lambda x: tf.repeat(x, num, axis=0)  # a posterior of its own for each transition
        alone = lambda x: tf.reshape(x, [num_rows * num, 1, x.shape[-1]])
        own = nest.map(each, posterior)
        with tf.GradientTape() as tape:
            tape.watch(own)
            likelihood = self.log_likelihood(own.draw(each(noise)), alone(inputs), alone(targets))
            loss = -tf.reduce_sum(tf.reduce_mean(likelihood, axis=1))
        gradient = tape.gradient(loss, own)
        variance, slope = tf.nn.softplus(own.rho) ** 2, tf.sigmoid(own.rho)
        fisher = Posterior(1 / variance, 2 * slope**2 / variance)
        terms = nest.map(lambda g, h: tf.reduce_sum(g**2 / h, axis=-1), gradient, fisher)
        return tf.reshape(_STEP**2 / 2 * (terms.mean + terms.rho), [num_rows, num])


class VIME:
    """The bonus, as functions of a state: a nest of tensors of leading [N], one of each policy.

    Args:
      config: `VIMEConfig` with eta > 0.
      observation_spec: nest of `TensorSpec`s of one observation.
      action_spec: `BoundedTensorSpec` of one action.
    """

    def __init__(self, config: VIMEConfig, observation_spec: Nest, action_spec: Any) -> None:
        self.config = config
        specs = tf.nest.flatten(observation_spec)
        self._observed = sum(spec.shape.num_elements() for spec in specs)
        self._num_actions = int(action_spec.maximum) + 1 if action_spec.dtype.is_integer else None
        self._acted = self._num_actions or action_spec.shape.num_elements()
        sizes = (self._observed + self._acted, config.units, self._observed)
        self.model = Model(sizes, config.prior_scale, config.likelihood_scale)
        self._optimizer = optimizers.adam(config.learning_rate)

    def init(self, num_policies: int, seed: int) -> Nest:
        """The state before any episode; `seed`: Python int."""
        key = keys.per_task(keys.fold(keys.from_int(seed), _SALT), num_policies)
        posterior, capacity = self.model.init(key), self.config.capacity
        return {
            "posterior": posterior,
            "slots": self._optimizer.init(posterior, num_policies),
            "pool": {
                "inputs": tf.zeros([num_policies, capacity, self._observed + self._acted]),
                "targets": tf.zeros([num_policies, capacity, self._observed]),
                "mask": tf.zeros([num_policies, capacity]),
            },
            "medians": tf.zeros([num_policies, self.config.window]),
        }

    def gain(self, state: Nest, trajectory: Trajectory, key: tf.Tensor) -> tf.Tensor:
        """The information gain of each step, nats: [N, E, T].

        0 on padded steps, and on all where too few transitions are kept.

        Args:
          state: as `init` gives.
          trajectory: `Trajectory`.
          key: [2], of the iteration.
        """
        num_policies, moments = trajectory.mask.shape[0], _moments(state["pool"])
        inputs, targets = _scaled(moments, *self._transitions(trajectory))
        shape = [self.config.num_samples, self.model.num_weights]
        noise = keys.normal(keys.per_task(keys.fold(key, _GAIN), num_policies), shape)
        gain = tf.map_fn(  # step by step, as each step has weights of its own
            lambda step: self.model.information_gain(state["posterior"], noise, *step),
            (nest.time_major(inputs), nest.time_major(targets)),
            fn_output_signature=tf.float32,
        )
        known = tf.cast(self._enough(state["pool"]), tf.float32)[:, None, None]
        return nest.task_major(gain) * trajectory.mask * known

    def bonus(self, state: Nest, gain: tf.Tensor, mask: tf.Tensor) -> tf.Tensor:
        """What steps are paid beside their reward: all [N, E, T].

        Args:
          state: as `init` gives.
          gain: of `gain`.
          mask: of the trajectory.
        """
        medians = _with_latest(state["medians"], gain, mask)
        batches = tf.reduce_sum(tf.cast(medians > 0, gain.dtype), axis=1)
        scale = tf.math.divide_no_nan(tf.reduce_sum(medians, axis=1), batches)
        return self.config.eta * tf.math.divide_no_nan(gain, scale[:, None, None])

    def learn(
        self, state: Nest, trajectory: Trajectory, gain: tf.Tensor, key: tf.Tensor
    ) -> tuple[Nest, dict[str, tf.Tensor]]:
        """Keeps a batch's transitions and teaches the model by what is kept.

        Args:
          state: as `init` gives.
          trajectory: `Trajectory` [N, E, T, ...].
          gain: of `gain`, by the state before.
          key: [2], of the iteration.

        Returns:
          (state, dict of metrics).
        """
        pool = self._kept(state["pool"], trajectory)
        posterior, slots, bound = self._fitted(state["posterior"], state["slots"], pool, key)
        medians = _with_latest(state["medians"], gain, trajectory.mask)
        state = {"posterior": posterior, "slots": slots, "pool": pool, "medians": medians}
        metrics = {
            "information_gain": tf.reduce_mean(medians[:, -1]),
            "model_bound": tf.reduce_mean(bound),
            "transitions_kept": tf.reduce_mean(tf.reduce_sum(pool["mask"], axis=1)),
        }
        return state, metrics

    def _transitions(self, trajectory: Trajectory) -> tuple[tf.Tensor, tf.Tensor]:
        """(inputs, targets), [N, E, T, ...]: observation and action, and what they led to."""
        observation = nest.vectors(trajectory.observation, 3)
        following = nest.vectors(next_observation(trajectory), 3)
        action = tf.reshape(trajectory.action, [*trajectory.mask.shape, -1])
        if self._num_actions:
            action = tf.one_hot(trajectory.action, self._num_actions)
        return tf.concat([observation, action], axis=-1), following

    def _kept(self, pool: Nest, trajectory: Trajectory) -> Nest:
        """The latest transitions, those of the trajectory among them; empty places are first."""
        inputs, targets = nest.flat_steps(self._transitions(trajectory))
        new = {"inputs": inputs, "targets": targets, "mask": nest.flat_steps(trajectory.mask)}
        both = nest.map(lambda x, y: tf.concat([x, y], axis=1), pool, new)
        order = tf.argsort(both["mask"], axis=1, stable=True)[:, -self.config.capacity :]
        return nest.map(lambda x: tf.gather(x, order, batch_dims=1), both)

    def _enough(self, pool: Nest) -> tf.Tensor:
        """Whether so many transitions are kept that the model learns, [N]."""
        return tf.reduce_sum(pool["mask"], axis=1) >= self.config.min_transitions

    def _fitted(
        self, posterior: Posterior, slots: Nest, pool: Nest, key: tf.Tensor
    ) -> tuple[Posterior, Nest, tf.Tensor]:
        """(posterior, slots, bound [N] before the last step) after Adam steps on the pool."""
        config, num_policies = self.config, pool["mask"].shape[0]
        enough, moments = self._enough(pool), _moments(pool)
        num = tf.maximum(tf.reduce_sum(pool["mask"], axis=1), 1)
        shape = [config.num_samples, self.model.num_weights]

        def body(
            step: tf.Tensor, posterior: Posterior, slots: Nest, _: tf.Tensor
        ) -> tuple[Any, ...]:
            own = keys.per_task(keys.fold(key, _LEARN, step), num_policies)
            back = tf.floor(keys.uniform(own, [config.batch_size]) * num[:, None])
            back = tf.minimum(back, num[:, None] - 1)  # rounding
            place = config.capacity - 1 - tf.cast(back, tf.int32)
            batch = lambda x: tf.gather(x, place, batch_dims=1)
            inputs, targets = _scaled(moments, batch(pool["inputs"]), batch(pool["targets"]))
            noise = keys.normal(keys.salted(own, 1), shape)
            with tf.GradientTape() as tape:
                tape.watch(posterior)
                bound = self.model.bound(posterior, noise, inputs, targets, num)
                loss = -tf.reduce_sum(bound)
            gradient = tape.gradient(loss, posterior)
            moved = self._optimizer.apply(posterior, gradient, slots)
            posterior, slots = nest.where(enough, moved, (posterior, slots))
            return step + 1, posterior, slots, bound

        _, posterior, slots, bound = tf.while_loop(
            lambda step, *_: step < config.steps,
            body,
            (0, posterior, slots, tf.zeros([num_policies])),
            maximum_iterations=config.steps,
            parallel_iterations=1,
        )
        return posterior, slots, bound


def _moments(pool: Nest) -> tuple[tf.Tensor, tf.Tensor]:
    """(mean, standard deviation) of the pool's inputs, both [N, 1, I]; of what does not vary, 1."""
    mask = pool["mask"][..., None]
    num = tf.maximum(tf.reduce_sum(mask, axis=1, keepdims=True), 1)
    mean = tf.reduce_sum(pool["inputs"] * mask, axis=1, keepdims=True) / num
    variance = tf.reduce_sum((pool["inputs"] - mean) ** 2 * mask, axis=1, keepdims=True) / num
    scale = tf.sqrt(variance)
    return mean, tf.where(scale > _SMALLEST_SCALE, scale, 1.0)


def _scaled(
    moments: tuple[tf.Tensor, tf.Tensor], inputs: tf.Tensor, targets: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    """Inputs and targets [N, ..., I or O] by the moments of inputs, of which targets are a part."""
    mean, scale = (tf.reshape(x, [x.shape[0], *[1] * (len(inputs.shape) - 2), -1]) for x in moments)
    size = targets.shape[-1]
    return (inputs - mean) / scale, (targets - mean[..., :size]) / scale[..., :size]


def _with_latest(medians: tf.Tensor, gain: tf.Tensor, mask: tf.Tensor) -> tf.Tensor:
    """Medians of the last batches [N, K] with that of this one, the last: gain, mask [N, E, T]."""
    valid = tf.reshape(mask, [mask.shape[0], -1]) > 0
    ordered = tf.sort(tf.where(valid, tf.reshape(gain, valid.shape), gain.dtype.max), axis=1)
    num = tf.maximum(tf.reduce_sum(tf.cast(valid, tf.int32), axis=1), 1)
    middle = tf.stack([(num - 1) // 2, num // 2], axis=1)
    latest = tf.reduce_mean(tf.gather(ordered, middle, batch_dims=1), axis=1, keepdims=True)
    return tf.concat([medians[:, 1:], latest], axis=1)


# What a learner with a bonus reports, by name.
METRICS = {
    "information_gain": Metric(
        "Median information gain of the steps played, nats, by the model before it learned from "
        "them; 0 until enough transitions are kept.",
    ),
    "model_bound": Metric(
        "Variational lower bound of the model of the dynamics, nats for each transition, before "
        "the last of its steps in an iteration.",
    ),
    "transitions_kept": Metric("Transitions that the model learns from, of each policy."),
}
