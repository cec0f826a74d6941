"""Policies that are shown a demonstration in place of being adapted to it.

What MIL is compared with in C. Finn, T. Yu et al., "One-shot visual imitation learning via
meta-learning", CoRL 2017, section 6: the contextual policy, which sees how the demonstration ended
beside what it sees itself, and a recurrent network that has read the whole demonstration, with and
without attention, after Y. Duan et al., "One-shot imitation learning", NeurIPS 2017. Their training
is that of MIL, with this conditioning in place of the inner step; so a second demonstration stands
in for the first one, and before any they see zeros.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar

import tensorflow as tf

from tfcaml import nest, settings
from tfcaml.errors import check, check_acts, check_whole
from tfcaml.learners.imitation.base import ImitationConfig, ImitationLearner, moments_of
from tfcaml.policies import layers
from tfcaml.policies.imitation import AttentivePolicy, ImitationPolicy
from tfcaml.types import Experience, FastState, Nest, Params, blank_trajectory

if TYPE_CHECKING:
    from tfcaml.policies.base import Policy


@settings.checked
@dataclasses.dataclass(frozen=True)
class ContextualConfig(ImitationConfig):
    """Settings of the contextual policy."""

    READS_ACTIONS: ClassVar[bool] = False

    def __post_init__(self) -> None:
        super().__post_init__()
        rule = "False: nothing is judged by a head of its own"
        check(not self.network.two_heads, "network.two_heads", self.network.two_heads, rule)
        shown = self.demonstrations.shown
        rule = "all or video: of actions this learner sees nothing either way"
        fits = self.READS_ACTIONS or shown != "states"
        check(fits, "demonstrations.shown", shown, rule)


@settings.checked
@dataclasses.dataclass(frozen=True)
class RecurrentCloningConfig(ContextualConfig):
    """Settings of the recurrent policies.

    Attributes:
      units: Units of the LSTM that reads demonstrations. Source: tfcaml.
      attention: Whether each action attends to the steps of the demonstration; else it sees what is
        hidden after the last one. Source: MIL paper, section 6.1: both.
      attention_units: Numbers that what is seen and what is hidden are compared by. Source: tfcaml.
    """

    units: int = 64
    attention: bool = False
    attention_units: int = 32

    READS_ACTIONS: ClassVar[bool] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        check_whole("units", self.units, 1)
        check_whole("attention_units", self.attention_units, 1)
        check_acts(self, ("attention_units",), self.attention, "with attention=True")


class _Conditioned(ImitationLearner):
    """meta = {"params": weights, "moments"}; `FastState.params` is the demonstration itself.

    It is {"observation", "action", "mask", "end"}, each [N, D, ...] of D demonstrations; of none,
    zeros. Subclasses define `shown`, what the policy's parameters have of it.
    """

    adapts_to_any_task = False  # what it is shown is no weight of a policy, to be compared

    def shown(self, params: Params, demonstration: Nest) -> Params:
        """`params` [N, ...] with what the policy knows of a demonstration."""
        raise NotImplementedError

    def start(self, meta: Nest, num_tasks: int, key: tf.Tensor | tuple[()] = ()) -> FastState:
        shape = [num_tasks, self.test_episodes]
        blank = self._looked_at(blank_trajectory(self.environment, self.policy, *shape))
        return FastState(_demonstration(blank), tf.zeros([num_tasks]))

    def acting(self, meta: Nest, fast: FastState) -> Params:
        num_tasks = nest.num_rows(fast.params)
        weights = nest.repeat(meta["params"], num_tasks)
        params = {"weights": weights, "moments": moments_of(meta, num_tasks)}
        return self.shown(params, fast.params)

    def adapt(self, meta: Nest, fast: FastState, support: Experience) -> FastState:
        own = _demonstration(support.trajectory)
        return fast._replace(params=own, slots=fast.slots + 1)

    @functools.cached_property
    def _weights_spec(self) -> Nest:
        meta = self.meta.read()
        acting = self.acting(meta, self.start(meta, 1))
        spec = nest.map(lambda x: tf.TensorSpec(x.shape[1:], x.dtype), acting)
        any_number = lambda x: tf.TensorSpec([None, *x.shape[1:]], x.dtype)
        per_demonstration = {
            name: any_number(spec[name]) for name in ("read", "mask") if name in spec
        }
        return {**spec, **per_demonstration}


class Contextual(_Conditioned):
    """Sees, beside what it sees itself, how the demonstration ended."""

    Config = ContextualConfig

    @classmethod
    def policy_of(cls, config: Any, made: Callable[..., ImitationPolicy]) -> Policy:
        seen_size = made(context=1).seen_size  # which is the same with any context
        return made(context=seen_size)

    def shown(self, params: Params, demonstration: Nest) -> Params:
        ends = demonstration["end"]
        seen = [self.policy.perceived(params, ends, judged=True)]
        seen.append(self.policy.vectors(params, ends, judged=True))
        # No demonstration is one without a valid step.
        held = tf.cast(tf.reduce_max(demonstration["mask"], axis=-1)[..., None], seen[0].dtype)
        total = tf.reduce_sum(tf.concat(seen, axis=-1) * held, axis=1)
        return {**params, "context": total / tf.maximum(tf.reduce_sum(held, axis=1), 1)}


class RecurrentCloning(_Conditioned):
    """An LSTM has read the demonstration."""

    Config = RecurrentCloningConfig

    @classmethod
    def policy_of(cls, config: Any, made: Callable[..., ImitationPolicy]) -> Policy:
        if not config.attention:
            return made(context=config.units)
        units = config.attention_units
        return made(AttentivePolicy, context=config.units, attention_units=units)

    def init(self, seed: int) -> Nest:
        meta = super().init(seed)
        told = self.policy.seen_size
        if self.config.demonstrations.shown == "all":
            told += self.policy.action_spec.shape[0]
        reader = layers.new_lstm(told, self.config.units, seed, self.policy.dtype)
        return {**meta, "params": {**meta["params"], "reader": reader}}

    def shown(self, params: Params, demonstration: Nest) -> Params:
        observation, mask = demonstration["observation"], demonstration["mask"]
        flat = nest.flat_steps(observation)
        told = [self.policy.perceived(params, flat, judged=True)]
        told.append(self.policy.vectors(params, flat, judged=True))
        if self.config.demonstrations.shown == "all":
            told.append(tf.cast(nest.flat_steps(demonstration["action"]), self.policy.dtype))
        steps = tf.concat(told, axis=-1)
        steps = tf.reshape(steps, [*nest.axes(mask), steps.shape[-1]])
        reader = params["weights"]["reader"]
        hidden = layers.lstm(steps, reader, mask)  # [N, D, T, U]
        if self.config.attention:
            return {**params, "read": hidden, "mask": mask}
        # What is hidden stays as it is on padded steps.
        held = tf.cast(tf.reduce_max(mask, axis=-1)[..., None], hidden.dtype)
        total = tf.reduce_sum(hidden[:, :, -1] * held, axis=1)
        return {**params, "context": total / tf.maximum(tf.reduce_sum(held, axis=1), 1)}


def _demonstration(trajectory: Any) -> Nest:
    return {
        "observation": trajectory.observation,
        "action": trajectory.action,
        "mask": trajectory.mask,
        "end": trajectory.final_observation,
    }
