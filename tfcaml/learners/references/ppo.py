"""PPO from scratch: on each task a policy of its own, from random weights.

J. Schulman, F. Wolski, P. Dhariwal, A. Radford, O. Klimov, "Proximal policy optimization
algorithms", arXiv 1707.06347. Nothing is learned from other tasks. It is what learned losses are
compared with, see `learners.epg`, and what they begin with. An update learns from M new steps, of
which each Adam step takes a part:

    L = - mean of min(ratio A, clip(ratio, 1 - eps, 1 + eps) A) + b KL(old, new) + (V - target)^2

Differences from the paper: the penalty beside the clipping is that of the code of Evolved Policy
Gradients; an episode that is cut bootstraps from the value of what it led to; one that ends within
a segment leaves the rest of it empty; and the weights of each layer are one of 64 draws.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import tensorflow as tf

from tfcaml import keys, nest, settings
from tfcaml.advantages.config import AdvantageConfig
from tfcaml.errors import check, check_acts
from tfcaml.learners.base import LearnerConfig, MetaLearner
from tfcaml.losses import proximal
from tfcaml.optimization import inner
from tfcaml.policies import actor_critic
from tfcaml.rollouts import sampling
from tfcaml.types import Experience, FastState, Nest, Params, Task, Trajectory

if TYPE_CHECKING:
    from tfcaml.environments.base import TaskFamily
    from tfcaml.policies.base import Policy

_POOL = 64  # initial weights of each layer, of which a policy takes one
_FIRST = 1_000_003  # their first seed; learned losses are trained with those of 0 on


@settings.checked
@dataclasses.dataclass(frozen=True)
class PPOConfig(LearnerConfig):
    """Settings of PPO from scratch.

    Attributes:
      num_iterations: Outer iterations; there is nothing to train. Source: tfcaml.
      episodes_per_update: Episodes that are played side by side. Source: tfcaml.
      unroll: Steps of each of them that an update learns from, after which the next one goes on;
        0: whole episodes, of which each update takes new ones. Unit: steps. Source: tfcaml.
      minibatches: Parts that the steps of an update are cut into, of which each Adam step takes
        the next; a divisor of these steps. Source: EPG's code: 2 of 32 steps.
      clip_ratio: Epsilon. Source: EPG's code: 0.2.
      kl_weight: b, what the divergence from the policy that acted counts. Source: EPG's code:
        0.001.
      inner_learning_rate: Step size of Adam. Source: EPG's code: 1e-3.
      advantage: Gamma (`discount`) and lambda (`gae_lambda`); the critic is the baseline, and
        advantages are brought to mean 0 and standard deviation 1. Source: EPG's code.
    """

    num_iterations: int = 0
    episodes_per_update: int = 4
    unroll: int = 0
    minibatches: int = 2
    clip_ratio: float = 0.2
    kl_weight: float = 0.001
    inner_learning_rate: float = 1e-3
    advantage: AdvantageConfig = AdvantageConfig(baseline="none", gae_lambda=0.95)

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("unroll", "kl_weight"):
            check(getattr(self, name) >= 0, name, getattr(self, name), ">= 0")
        check(self.minibatches >= 1, "minibatches", self.minibatches, ">= 1")
        check(0 < self.clip_ratio < 1, "clip_ratio", self.clip_ratio, "in (0, 1)")
        acts = self.minibatches > 1
        check_acts(self, ("clip_ratio", "kl_weight"), acts, "in later steps: with minibatches > 1")
        for name, only in (
            ("return_type", "reward_to_go"),
            ("baseline", "none"),
            ("normalize", True),
        ):
            value = getattr(self.advantage, name)
            rule = f"{only}: advantages are those of the critic, on one scale"
            check(value == only, f"advantage.{name}", value, rule)
        self.check_training()

    def check_training(self) -> None:
        """Refuses settings of a training that does not take place."""
        fields = ("num_iterations", "meta_batch_size", "inner_updates")
        check_acts(self, fields, False, "in training, and nothing is trained here")

    @classmethod
    def smallest(cls, section: dict[str, Any]) -> dict[str, Any]:
        least = {"unroll": min(section["unroll"], 4), "minibatches": 1}
        defaults = cls()
        kept = {name: getattr(defaults, name) for name in ("clip_ratio", "kl_weight")}
        return {**super().smallest(section), **least, **kept}

    def steps_held(self, horizon: int) -> int:
        return self.unroll or horizon


class PPO(MetaLearner):
    """`FastState.memory` is {"rollout": episodes under way, or `()` with whole episodes}.

    Raises:
      ConfigError: a policy without a critic, or steps of an update that `minibatches` does not
        divide.
    """

    Config: type = PPOConfig
    config: PPOConfig
    quick_under_xla = True
    starts_at_random = True
    plays_segments = True
    has_own_loss = True

    @classmethod
    def make_policy(
        cls,
        environment: TaskFamily,
        config: Any,
        fc_layer_params: Sequence[int] = (64, 64),
        activation: str = "tanh",
    ) -> Policy:
        """An MLP, and a critic with layers like its."""
        specs = environment.observation_spec, environment.action_spec
        return actor_critic(*specs, fc_layer_params, activation)

    def setup(self) -> None:
        config, heads = self.config, getattr(self.policy, "heads", ())
        rule = "one with the critic value, as policies.actor_critic makes it"
        check("value" in heads, "policy", type(self.policy).__name__, rule)
        family, horizon = type(self.environment).__name__, self.environment.horizon
        kept = self.environment.keeps_episodes or not config.unroll
        check(kept, "unroll", config.unroll, f"0: episodes of {family} can't be gone on from later")
        own = self.sampler is type(self).default_sampler or not config.unroll
        check(own, "unroll", config.unroll, "0 with a sampler, which plays whole episodes")
        parts = config.unroll or not self.environment.long_episodes
        check(parts, "unroll", config.unroll, f">= 1: episodes of {family} are too long to be held")
        rule = f"at most {horizon}, the steps of an episode"
        check(config.unroll <= horizon, "unroll", config.unroll, rule)
        for num_episodes in {config.episodes_per_update, self.test_episodes}:
            steps = num_episodes * (config.unroll or horizon)
            rule = f"a divisor of {steps}, the steps of an update"
            check(steps % config.minibatches == 0, "minibatches", config.minibatches, rule)
        self._pool = nest.stack([self.policy.init(_FIRST + i) for i in range(_POOL)])

    def init(self, seed: int) -> Nest:
        return {}

    def start(self, meta: Nest, num_tasks: int, key: tf.Tensor | tuple[()] = ()) -> FastState:
        params = nest.drawn(self._pool, key)
        memory = self.memory(num_tasks, self.test_episodes)
        return FastState(params, self.inner_optimizer.init(params, num_tasks), memory)

    def memory(self, num_tasks: int, num_episodes: int) -> dict[str, Nest]:
        """What travels with adaptation, before any experience."""
        if not self.config.unroll:
            return {"rollout": ()}
        rows = num_tasks, num_episodes
        return {"rollout": sampling.nothing_played(self.policy, self.environment, *rows)}

    def card(self) -> dict[str, Any]:
        unroll = self.config.unroll
        check(unroll == 0, "unroll", unroll, "0 in an export, which adapts by whole episodes")
        return {}

    def support(
        self, meta: Nest, fast: FastState, task: Task, key: tf.Tensor, num_episodes: int
    ) -> Experience:
        """The next steps of the current policies. `key` is as of `sample`."""
        if not self.config.unroll:
            return super().support(meta, fast, task, key, num_episodes)
        if key.shape.rank == 1:
            key = keys.per_episode(key, nest.leading(task), num_episodes)
        place = self.policy, self.environment, self.acting(meta, fast), task
        rollout = sampling.restart(*place, fast.memory["rollout"], key)
        rollout, trajectory = sampling.play(*place, rollout, self.config.unroll)
        support = self.experience(meta, fast, trajectory)
        return support._replace(extra={**support.extra, "rollout": rollout})

    def experience(self, meta: Nest, fast: FastState, trajectory: Trajectory) -> Experience:
        """Advantages as weights; `extra` has what the critic should have said, [N, E, T]."""
        config = self.config.advantage
        decay = config.discount, config.gae_lambda
        return proximal.experience(self.policy, self.acting(meta, fast), trajectory, *decay)

    def adapt(self, meta: Nest, fast: FastState, support: Experience) -> FastState:
        """One pass over the steps of the support, an Adam step for each part of them."""
        if "rollout" in support.extra:
            fast = fast._replace(memory={**fast.memory, "rollout": support.extra["rollout"]})
        for number in range(self.config.minibatches):
            part = proximal.part_of(support, number, self.config.minibatches)
            gradients = self.gradient(fast.memory, fast.params, part, number)
            params, slots = self.inner_optimizer.apply(fast.params, gradients, fast.slots)
            fast = fast._replace(params=params, slots=slots)
        return fast

    def gradient(self, memory: Nest, params: Params, support: Experience, number: int) -> Nest:
        """What an Adam step follows, nest like `params`, which are what is adapted.

        Args:
          memory: of the `FastState`.
          params: each [N, ...].
          support: part `number` of an update's steps.
          number: from 0 on.
        """
        return inner.gradient(lambda theta: self.ppo_loss(theta, support), params)[1]

    def ppo_loss(self, params: Params, support: Experience) -> tf.Tensor:
        """L of the module, [N]; params of the policy."""
        config = self.config
        return proximal.loss(self.policy, params, support, config.clip_ratio, config.kl_weight)

    def collect(
        self, meta: Nest, task: Task, key: tf.Tensor, index: tf.Tensor | tuple[()] = ()
    ) -> Any:
        return ()

    def update(self, batch: Any) -> dict[str, tf.Tensor]:
        return {}
