"""Whether the solution of one task helps with another, learned from pairs of tasks.

A Siamese network (J. Bromley et al., "Signature verification using a Siamese time delay neural
network", 1993): one encoder h for both tasks, and an answer that depends on |h_i - h_j| alone, so
that it is the same for (i, j) and (j, i) by construction,

    f(i, j) = sigmoid(w . |h_i - h_j| + b)

The encoder is a network of two hidden layers on each row of what is known of a task, averaged over
the rows, in any order and number. Rows are its descriptor (one row), or transitions that somebody
made in it. What is learned from is how far the tasks' own policies are apart, the normalised policy
divergence of `tfcaml.divergence`: `classification` learns which pairs are among the nearest share
of all pairs, `regression` the number itself, which ranks.

Everything here is a function of a state (weights, optimiser slots, moments of the rows) that the
caller keeps, such as in `learners.variables.Variables`.
"""

import dataclasses
import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import tensorflow as tf

from tfcaml import divergence, keys, nest, settings
from tfcaml.errors import check, check_one_of, check_positive
from tfcaml.optimization import optimizers
from tfcaml.types import Nest, Task, Trajectory, next_observation

# What is learned of a pair of tasks, see `TaskSimilarityConfig`.
OBJECTIVES = ("classification", "regression")
_HUBER = 0.1  # where the loss turns from quadratic to linear; the divergence is at most 0.83
_SALT = 0x51A3  # of the initial weights


class Known(NamedTuple):
    """What is known of N tasks: rows of D numbers, in no order.

    rows: [N, K, D]
    mask: [N, K]  1 of rows that count
    """

    rows: tf.Tensor
    mask: tf.Tensor


def descriptors(task: Task) -> Known:
    """`Known` of tasks that say what they are: nest of [N, ...] -> one row each."""
    rows = nest.vectors(task, 1)
    return Known(rows[:, None], tf.ones([rows.shape[0], 1], rows.dtype))


def transitions(trajectory: Trajectory, num_actions: int | None = None) -> Known:
    """`Known` of tasks that somebody acted in: a row per living step.

    A row is what was observed, done, paid and observed next. The reward is what tells tasks apart
    that only it defines: episodes without any say little of where it is.

    Args:
      trajectory: `Trajectory` [N, E, T, ...].
      num_actions: how many discrete actions there are, to be told apart; None: numbers.
    """
    observation = nest.vectors(trajectory.observation, 3)
    following = nest.vectors(next_observation(trajectory), 3)
    if num_actions is None:
        action = nest.vectors(trajectory.action, 3)
        action = tf.reshape(action, [*observation.shape[:3], -1])
    else:
        action = tf.one_hot(trajectory.action, num_actions, dtype=observation.dtype)
    reward = trajectory.reward[..., None]
    rows = tf.concat([observation, action, reward, following], axis=-1)
    return Known(*nest.flat_steps((rows, trajectory.mask)))


def nearest_share(distance: tf.Tensor, share: float) -> tuple[tf.Tensor, tf.Tensor]:
    """Labels of pairs: 1 for those of the least distance, 0 for the others.

    Args:
      distance: [P].
      share: of the pairs, in (0, 1); pairs that tie with the last one in are in too.

    Returns:
      (label [P], the largest distance of label 1).
    """
    ordered = tf.sort(distance)
    last = math.ceil(share * distance.shape[0] - 1e-9)  # 0.3 of 10 is 3, and not 4 by rounding
    threshold = ordered[max(last, 1) - 1]
    return tf.cast(distance <= threshold, tf.float32), threshold


def balanced(label: tf.Tensor, num: int, key: tf.Tensor) -> tf.Tensor:
    """Indices [num] of pairs, drawn so that labels 1 and 0 [P] are equally likely.

    Pairs are drawn with replacement; with one label only, from all.
    """
    positive = tf.reduce_sum(label)
    negative = tf.cast(label.shape[0], label.dtype) - positive
    logits = -tf.math.log(tf.where(label > 0, positive, negative))
    return tf.random.stateless_categorical(logits[None], num, key, tf.int32)[0]


def encode(weights: dict[str, Nest], rows: tf.Tensor, mask: tf.Tensor) -> tf.Tensor:
    """h of tasks: [N, K, D], [N, K] -> [N, U]; the mean over the rows that count."""
    h = tf.reshape(rows, [-1, rows.shape[-1]])  # of two axes: else a product for each task
    for kernel, bias in weights["encoder"]:
        h = tf.nn.relu(tf.matmul(h, kernel) + bias)
    h = tf.reshape(h, [*mask.shape, h.shape[-1]])
    total = tf.reduce_sum(h * mask[..., None], axis=1)
    return tf.math.divide_no_nan(total, tf.reduce_sum(mask, axis=1)[:, None])


def score(weights: dict[str, Nest], one: tf.Tensor, other: tf.Tensor) -> tf.Tensor:
    """w . |h - h'| + b: encodings [..., U], which broadcast -> [...]; symmetric."""
    return tf.linalg.matvec(tf.abs(one - other), weights["direction"]) + weights["bias"]


@settings.checked
@dataclasses.dataclass(frozen=True)
class TaskSimilarityConfig:
    """Settings of the network and of what it learns.

    Attributes:
      objective: What is learned of a pair of tasks: "classification", whether it is among the
        nearest, or "regression", the divergence of their policies. Source: the study
        hindsight_maze.
      nearest: Share of all pairs that count as similar, with "classification". Source: the study
        hindsight_maze.
      units: Units of each of the two hidden layers of the encoder. Source: the study
        hindsight_maze.
      learning_rate: Step size of Adam. Source: the study hindsight_maze.
      steps: Adam steps in each iteration. Source: the study hindsight_maze.
      pairs_per_step: Pairs of tasks that an Adam step learns from. Source: the study
        hindsight_maze.
    """

    objective: str = "classification"
    nearest: float = 0.3
    units: int = 64
    learning_rate: float = 1e-3
    steps: int = 20
    pairs_per_step: int = 128

    def __post_init__(self) -> None:
        check_one_of("objective", self.objective, OBJECTIVES)
        check(0 < self.nearest < 1, "nearest", self.nearest, "in (0, 1)")
        check_positive(
            units=self.units,
            learning_rate=self.learning_rate,
            steps=self.steps,
            pairs_per_step=self.pairs_per_step,
        )


class TaskSimilarity:
    """The network and its training as functions of a state.

    A state is a dict: "weights", "slots" of their optimiser, and "moments", by which rows are
    brought to mean 0 and into [-1, 1]: of all rows learned from so far.
    """

    def __init__(self, config: TaskSimilarityConfig | None = None) -> None:
        self.config = config or TaskSimilarityConfig()
        self._optimizer = optimizers.adam(self.config.learning_rate)

    def init(self, size: int, seed: int) -> dict[str, Nest]:
        """The state before training, for rows of `size` = D numbers. `seed`: Python int."""
        key = keys.fold(keys.from_int(seed), _SALT)
        units = self.config.units
        weights = {
            "encoder": tuple(
                (_glorot([inputs, units], keys.fold(key, index)), tf.zeros([units]))
                for index, inputs in enumerate((size, units))
            ),
            "direction": _glorot([units, 1], keys.fold(key, 2))[:, 0],
            "bias": tf.zeros([]),
        }
        moments = {"count": tf.zeros([]), "mean": tf.zeros([size])}
        # As before any number; finite, as all that is learned has to be.
        moments |= {"low": tf.fill([size], tf.float32.max), "high": tf.fill([size], tf.float32.min)}
        return {"weights": weights, "slots": self._optimizer.init(weights), "moments": moments}

    def fit(
        self,
        state: dict[str, Nest],
        known: Known,
        distance: tf.Tensor,
        key: tf.Tensor,
        num_steps: int | None = None,
    ) -> tuple[dict[str, Nest], dict[str, tf.Tensor]]:
        """Learns from all pairs of some tasks.

        Args:
          state: as `init` gives.
          known: `Known` of N >= 2 tasks.
          distance: [N (N - 1) / 2], in the order of `divergence.pairs`, such as normalised policy
            divergences.
          key: [2], of the choice of pairs.
          num_steps: of Adam, on `pairs_per_step` pairs each; None: the config's.

        Returns:
          (state, dict of metrics: the loss before the first and before the last step, and the
          distance up to which tasks are of one class).
        """
        num_steps = self.config.steps if num_steps is None else num_steps
        distance = tf.cast(distance, tf.float32)
        label, threshold = nearest_share(distance, self.config.nearest)
        moments = _with_rows(state["moments"], known)
        scaled = known._replace(rows=_scaled(moments, known.rows))
        index = tf.stack(divergence.pairs(known.rows.shape[0]), axis=1)  # [P, 2]

        def body(
            step: tf.Tensor, weights: dict[str, Nest], slots: Nest, history: tf.TensorArray
        ) -> tuple[Any, ...]:
            chosen = balanced(label, self.config.pairs_per_step, keys.fold(key, step))
            pairs = nest.take((index, label, distance), chosen)
            weights, slots, loss = self._step(weights, slots, scaled, *pairs)
            return step + 1, weights, slots, history.write(step, loss)

        history = tf.TensorArray(tf.float32, num_steps, element_shape=[])
        _, weights, slots, history = tf.while_loop(
            lambda step, *_: step < num_steps,
            body,
            (0, state["weights"], state["slots"], history),
            maximum_iterations=num_steps,
            parallel_iterations=1,
        )
        losses = history.stack()
        metrics = {
            "similarity_loss_before": losses[0],
            "similarity_loss_after": losses[-1],
            "similarity_threshold": threshold,
        }
        return {"weights": weights, "slots": slots, "moments": moments}, metrics

    def __call__(self, state: dict[str, Nest], known: Known, other: Known) -> tf.Tensor:
        """f of every two tasks: `Known` of N, `Known` of M -> [N, M].

        Classification: the probability that they are of one class. Regression: their distance as
        predicted, negated; of both, more is more alike.
        """
        one, two = (
            encode(state["weights"], _scaled(state["moments"], x.rows), x.mask)
            for x in (known, other)
        )
        value = score(state["weights"], one[:, None], two[None])
        return tf.sigmoid(value) if self.config.objective == "classification" else -value

    def _step(
        self,
        weights: dict[str, Nest],
        slots: Nest,
        known: Known,
        index: tf.Tensor,
        label: tf.Tensor,
        distance: tf.Tensor,
    ) -> tuple[Nest, Nest, tf.Tensor]:
        """One step of Adam on pairs of `known` tasks, index [B, 2]: (weights, slots, loss)."""
        with tf.GradientTape() as tape:
            leaves = tf.nest.flatten(weights)
            tape.watch(leaves)
            h = tf.gather(encode(weights, *known), index)  # [B, 2, U]
            loss = self._loss(score(weights, h[:, 0], h[:, 1]), label, distance)
        gradients = tf.nest.pack_sequence_as(weights, tape.gradient(loss, leaves))
        return *self._optimizer.apply(weights, gradients, slots), loss

    def _loss(self, value: tf.Tensor, label: tf.Tensor, distance: tf.Tensor) -> tf.Tensor:
        if self.config.objective == "classification":
            loss = tf.nn.sigmoid_cross_entropy_with_logits(label, value)
        else:
            error = tf.abs(value - distance)
            loss = tf.where(error < _HUBER, error**2 / 2, _HUBER * (error - _HUBER / 2))
        return tf.reduce_mean(loss)


def _glorot(shape: Sequence[int], key: tf.Tensor) -> tf.Tensor:
    limit = (6 / sum(shape)) ** 0.5
    return tf.random.stateless_uniform(shape, key, -limit, limit)


def _with_rows(moments: dict[str, tf.Tensor], known: Known) -> dict[str, tf.Tensor]:
    """Moments of all rows so far and of those of `known`."""
    mask, rows = known.mask[..., None], known.rows
    count = moments["count"] + tf.reduce_sum(mask)
    difference = tf.reduce_sum((rows - moments["mean"]) * mask, axis=[0, 1])
    return {
        "count": count,
        "mean": moments["mean"] + tf.math.divide_no_nan(difference, count),
        "low": tf.minimum(moments["low"], _masked(tf.reduce_min, rows, mask, rows.dtype.max)),
        "high": tf.maximum(moments["high"], _masked(tf.reduce_max, rows, mask, rows.dtype.min)),
    }


def _masked(
    extreme: Callable[..., tf.Tensor], rows: tf.Tensor, mask: tf.Tensor, otherwise: float
) -> tf.Tensor:
    return extreme(tf.where(mask > 0, rows, otherwise), axis=[0, 1])


def _scaled(moments: dict[str, tf.Tensor], rows: tf.Tensor) -> tf.Tensor:
    """Rows less their mean, over the largest deviation so far; 1 for what has never changed.

    Not the standard deviation: that of a one-hot component that was never 1 is 0, and of one that
    seldom was so small that the day it is 1 it would outweigh all others.
    """
    mean = moments["mean"]
    largest = tf.maximum(moments["high"] - mean, mean - moments["low"])
    varied = moments["high"] > moments["low"]
    return (rows - mean) / tf.where(varied, largest, 1.0)
