"""TESP: a task is told by its own best episodes, of which an encoder makes a vector.

L. Lan, Z. Li, X. Guan, P. Wang, "Meta reinforcement learning with task embedding and shared policy"
(TESP), IJCAI 2019, Algorithm 1. A buffer keeps the best M of all episodes played in a task. A
recurrent encoder phi makes a vector of each of them, and their mean h stands behind the observation
as further inputs of the policy theta, which all tasks share:

    h = mean over the buffer of encoder_phi(episode)                        pi_theta(a | s, h)

The first update fills the buffer, with episodes that were played with h = 0. Each of the K others
takes a step of first order of the encoder alone and then adds its episodes to the buffer:

    phi_K = phi_0 - clip(alpha) o (g_1 + ... + g_K)        g_k = grad_phi L(phi_(k-1), theta)

Outside, phi_0, alpha and theta are learned as in AdaptSV (`adapt_sv.py`), which adapts a vector
without an encoder.

The paper's ablations: V1 `buffer="all"`, V2 `adapt_policy=True`, V3 `regularizer=0`, V4
`rates="none"`, V5 `rates="constant"`.

Differences from the paper: as of AdaptSV, and
  - Gates of the recurrent unit are those of today's Keras; the code's were piecewise linear.
  - The objective sees the buffer with the episodes of all updates, which the paper leaves open.
"""

from __future__ import annotations

import dataclasses
from typing import Any, ClassVar

import tensorflow as tf

from tfcaml import losses, nest, settings
from tfcaml.errors import check, check_acts, check_one_of
from tfcaml.learners.adapt_sv import AdaptSV, AdaptSVConfig
from tfcaml.policies import SequenceEncoder, distributions
from tfcaml.types import (
    Experience,
    FastState,
    Nest,
    Params,
    Trajectory,
    blank_trajectory,
    episode_return,
)

# Which episodes of a task are kept, see `TESPConfig`.
BUFFERS = ("best", "last", "all")
# What the encoder is told of an action, see `TESPConfig`.
ACTIONS = ("distribution", "action")


@settings.checked
@dataclasses.dataclass(frozen=True)
class TESPConfig(AdaptSVConfig):
    """Settings of TESP; sources: its code, `main_train.py`, the wheeled robot.

    Attributes:
      inner_updates: Updates in training: one that fills the buffer, and K steps. Source: TESP
        paper, Algorithm 1: K = 3.
      rates: Whether rates of the encoder's weights are "learned", one for each, "constant" (V5), or
        "none", so that the encoder is not adapted (V4). Source: TESP paper, section 4.
      buffer: Which episodes of a task the encoder sees: the "best" by return, of equal ones the
        earlier; the "last"; or "all" of `inner_updates` updates (V1), the latest of more. Source:
        TESP paper, section 4.
      buffer_size: M, episodes that the encoder sees, with "best" and "last". Source: TESP's code:
        16.
      encoder_units: Units of the recurrent encoder. Source: TESP's code: 256.
      encoder_sees: What the encoder is told of each step between the observation and the reward:
        the "distribution" of actions, by its parameters, or the "action". Source: TESP's code:
        distribution; its text: action.
      adapt_policy: Whether the policy is adapted with the encoder (V2). Source: TESP paper, section
        5: not.
    """

    inner_updates: int = 4
    buffer: str = "best"
    buffer_size: int = 16
    encoder_units: int = 256
    encoder_sees: str = "distribution"
    adapt_policy: bool = False

    RATES: ClassVar[tuple[str, ...]] = ("learned", "constant", "none")

    def __post_init__(self) -> None:
        super().__post_init__()
        check_one_of("buffer", self.buffer, BUFFERS)
        check_one_of("encoder_sees", self.encoder_sees, ACTIONS)
        for name in ("buffer_size", "encoder_units"):
            check(getattr(self, name) >= 1, name, getattr(self, name), ">= 1")
        check_acts(self, ("buffer_size",), self.buffer != "all", "with buffer=best or last")
        steps = ("inner_learning_rate", "inner_estimator", "later_step_scale", "adapt_policy")
        check_acts(self, steps, self.rates != "none", "with rates=learned or constant")

    @property
    def capacity(self) -> int:
        """Episodes that the buffer of a task has room for."""
        if self.buffer != "all":
            return self.buffer_size
        most = max(self.episodes_per_update, self.test_episodes_per_update)
        return self.inner_updates * most

    def stored(self, sizes: settings.Sizes, num_tasks: int) -> list[settings.Stored]:
        batch, *others = super().stored(sizes, num_tasks)
        units, features = self.encoder_units, sizes.played // sizes.steps + sizes.outputs
        # Twice the episodes, as old and new ones are joined; gates and what they act on.
        episodes = self.capacity * (2 * sizes.played + 12 * units * sizes.steps)
        weights = 4 * units * 3 * (features + units + 1)
        numbers = batch.numbers + episodes + weights
        rows = settings.Stored("evaluation.num_tasks", num_tasks, self.capacity, numbers)
        return [batch._replace(numbers=numbers), *others, rows]

    @classmethod
    def smallest(cls, section: dict[str, Any]) -> dict[str, Any]:
        units = min(section["encoder_units"], 4)
        return {**super().smallest(section), "encoder_units": units}

    def check_steps(self, num_updates: int) -> None:
        super().check_steps(num_updates)
        steps = ("inner_learning_rate", "rates", "rate_bound", "inner_estimator", "adapt_policy")
        most = max(num_updates, self.inner_updates)
        check_acts(self, steps, most > 1, "in updates beyond the first, which fills the buffer")


class TESP(AdaptSV):
    """meta = {"params": theta, "adapted": {"encoder": phi_0}, "rates": alpha, like "adapted"}.

    With `adapt_policy`, theta is in "adapted" too, as "policy". `FastState.memory` holds the sum of
    the gradients and the buffer: "steps" [N, M, T, F], what the encoder is told; "mask" [N, M, T],
    0 where no episode is; "score" [N, M], the returns.

    Raises:
      ConfigError: an episode of more steps than the family's horizon.
    """

    Config = TESPConfig
    config: TESPConfig

    def setup(self) -> None:
        super().setup()
        blank = blank_trajectory(self.environment, self.policy, 1, 1)
        number = lambda x: tf.cast(x, self.policy.dtype) if x.dtype.is_floating else x
        params, blank = nest.repeat(self.policy.init(0), 1), nest.map(number, blank)
        told = self._told(blank, self._acted(params, blank))
        size, units = self.config.context_size, self.config.encoder_units
        self.encoder = SequenceEncoder(told.shape[-1], units, size, self.policy.dtype)

    def init_parts(self, seed: int) -> dict[str, Nest]:
        policy = self.policy.init(seed)["policy"]
        adapted = {"encoder": self.encoder.init(seed)}
        if self.config.adapt_policy:
            return {"adapted": {**adapted, "policy": policy}}
        return {"params": policy, "adapted": adapted}

    def start(self, meta: Nest, num_tasks: int, key: tf.Tensor | tuple[()] = ()) -> FastState:
        fast = super().start(meta, num_tasks, key)
        shape, dtype = [num_tasks, self.config.capacity], self.policy.dtype
        horizon, features = self.environment.horizon, self.encoder.inputs
        buffer = {
            "steps": tf.zeros([*shape, horizon, features], dtype),
            "mask": tf.zeros([*shape, horizon], dtype),
            "score": tf.fill(shape, dtype.min),  # below every return, and finite
        }
        return fast._replace(memory={**fast.memory, "buffer": buffer})

    def acting(self, meta: Nest, fast: FastState) -> Params:
        params = {"context": self.embedding(fast)}
        policy = fast.params.get("policy")
        if policy is None:
            policy = nest.repeat(meta["params"], nest.num_rows(params))
        return {**params, "policy": policy}

    def embedding(self, fast: FastState) -> tf.Tensor:
        """h, the mean of what the encoder makes of the buffer's episodes: [N, D]; 0 of none."""
        buffer = fast.memory["buffer"]
        answers = self.encoder(fast.params["encoder"], buffer["steps"], buffer["mask"])
        held = tf.reduce_max(buffer["mask"], axis=-1)[..., None]
        return tf.reduce_sum(answers * held, axis=1) / tf.maximum(tf.reduce_sum(held, axis=1), 1)

    def rates(self, meta: Nest, gradients: Nest) -> Nest:
        if self.config.rates == "none":
            return nest.map(lambda _: 0.0, gradients)
        return super().rates(meta, gradients)

    def inner_gradient(self, meta: Nest, fast: FastState, support: Experience) -> Nest:
        gradients = super().inner_gradient(meta, fast, support)
        # The first update fills the buffer alone: an empty one has no gradient, but a policy does.
        filled = tf.reduce_max(fast.memory["buffer"]["mask"], axis=[1, 2])
        return nest.map(lambda g: nest.expand(filled, g) * g, gradients)

    def adapt(self, meta: Nest, fast: FastState, support: Experience) -> FastState:
        moved = super().adapt(meta, fast, support)
        acted = support.distribution
        if acted == ():  # a loss that has no use for it
            acted = self._acted(self.acting(meta, fast), support.trajectory)
        told = self._told(support.trajectory, acted)
        buffer = self._kept(fast.memory["buffer"], told, support.trajectory)
        return moved._replace(memory={**moved.memory, "buffer": buffer})

    def _acted(self, params: Params, trajectory: Trajectory) -> Nest:
        """Parameters of the distributions that acted in a trajectory: nest of [N, E * T, ...]."""
        acted = losses.action_distribution(self.policy, params, trajectory)
        return distributions.tensors(acted)

    def _told(self, trajectory: Trajectory, acted: Nest) -> tf.Tensor:
        """What the encoder is told of a trajectory's steps, [N, E, T, F]; acted: of `_acted`."""
        mask = trajectory.mask
        if self.config.encoder_sees == "distribution":
            leaves = tf.nest.flatten(acted)
        elif self.policy.num_actions:
            leaves = [tf.one_hot(trajectory.action, self.policy.num_actions)]
        else:
            leaves = [trajectory.action]
        told = [nest.vectors(trajectory.observation, 3), *leaves, trajectory.reward]
        row = lambda x: tf.reshape(tf.cast(x, self.policy.dtype), [*mask.shape, -1])
        # Data, like the actions.
        return tf.stop_gradient(tf.concat([row(x) for x in told], axis=-1) * mask[..., None])

    def _kept(self, buffer: Nest, told: tf.Tensor, trajectory: Trajectory) -> Nest:
        """The buffer with the episodes of a trajectory, as far as there is room for them."""
        horizon, steps = self.environment.horizon, told.shape[2]
        rule = f"at most the horizon of {type(self.environment).__name__}, {horizon}"
        check(steps <= horizon, "steps of an episode", steps, rule)
        longer = [[0, 0], [0, 0], [0, horizon - steps]]
        mask = tf.pad(tf.cast(trajectory.mask, told.dtype), longer)
        played = tf.reduce_max(mask, axis=-1) > 0
        score = tf.cast(episode_return(trajectory), told.dtype)
        new = {
            "steps": tf.pad(told, [*longer, [0, 0]]),
            "mask": mask,
            "score": tf.where(played, score, told.dtype.min),
        }
        joined = nest.map(lambda old, x: tf.concat([old, x], axis=1), buffer, new)
        if self.config.buffer != "best":
            return nest.map(lambda x: x[:, -self.config.capacity :], joined)
        # Of equal ones `top_k` takes the first.
        best = tf.math.top_k(joined["score"], self.config.capacity).indices
        return nest.map(lambda x: tf.gather(x, best, batch_dims=1), joined)
