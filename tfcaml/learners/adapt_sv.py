"""AdaptSV: one vector is adapted to a task, beside a policy that is not.

The baseline of L. Lan, Z. Li, X. Guan, P. Wang, "Meta reinforcement learning with task embedding
and shared policy" (TESP), IJCAI 2019, section 5. A vector h stands behind the observation as
further inputs of the policy theta. K steps of first order move it from a learned start h_0,

    h_K = h_0 - clip(alpha) o (g_1 + ... + g_K)               g_k = grad_h L(h_(k-1), theta)

with a learned rate alpha for each of its numbers. The gradients were taken at the policies that
played and stay as they are while the outer step lowers

    sum_i L_PPO(h_K, theta) + eta |h_K|^2

over h_0, alpha and theta by several Adam steps, of whose parameters the best within a bound on the
KL divergence are kept.

Differences from the paper:
  - The standard deviation of actions does not depend on the state, and the policy's first weights
    are those of all methods here, where the code's last layer starts near 0.
  - Inner gradients are not clipped; the code has a bound of 60 on their norm.
"""

from __future__ import annotations

import dataclasses
from typing import Any, ClassVar

import tensorflow as tf

from tfcaml import keys, nest, settings
from tfcaml.advantages.config import AdvantageConfig
from tfcaml.errors import check, check_acts, check_one_of
from tfcaml.learners.cavia import CAVIA, CAVIAConfig
from tfcaml.optimization.config import OuterConfig
from tfcaml.types import Experience, FastState, MetaBatch, Nest, Surrogate, Trajectory

_FIRST_NORM = 0.01  # of h_0; TESP's code


@settings.checked
@dataclasses.dataclass(frozen=True)
class KeptOuterConfig(OuterConfig):
    """Outer steps of TESP and AdaptSV; sources: TESP's code, `main_train.py`.

    Attributes:
      optimizer: The outer step: "ppo" (several Adam steps on a clipped ratio), "adam" (one Adam
        step) or "trpo" (one step in a trust region). Source: TESP paper, section 4: ppo.
      learning_rate: Step size of Adam, with "ppo" and "adam". Source: TESP's code: 3e-4.
      steps: Adam steps per iteration, with "ppo". Source: TESP's code: 20.
      clip_ratio: Epsilon, by which the ratio of probabilities may leave 1, with "ppo". Source:
        TESP's code: 0.15.
      keep_below_kl: With "ppo" of several steps, the parameters with the lowest loss are kept of
        those before each step whose mean divergence is below it; 0 keeps those after the last step.
        Unit: nats. Source: TESP's code: 0.01.
    """

    optimizer: str = "ppo"
    learning_rate: float = 3e-4
    steps: int = 20
    clip_ratio: float = 0.15
    keep_below_kl: float = 0.01


@settings.checked
@dataclasses.dataclass(frozen=True)
class AdaptSVConfig(CAVIAConfig):
    """Settings of AdaptSV; sources: TESP's code, `main_train.py`, the wheeled robot.

    Attributes:
      num_iterations: Outer iterations of training. Source: TESP's supplement: 600.
      meta_batch_size: Tasks in each iteration. Source: TESP's code: 20.
      inner_updates: K, inner steps in training. Source: TESP paper: 3.
      episodes_per_update: Episodes of each task, before and after each inner step. Source: TESP's
        code: 25.
      inner_learning_rate: Alpha, what the rate of every adapted number starts at. Source: TESP's
        code: 0.001.
      rates: Whether rates are "learned", one for each adapted number, or "constant". Source: TESP
        paper, section 4.
      rate_bound: A learned rate is used as if it was between minus this and this. Source: TESP's
        code: 0.1.
      first_order: Whether inner gradients count as constants in the outer step; they do. Source:
        TESP's code.
      advantage: How advantages are estimated; linear features are fitted for each task and phase.
        Source: TESP's code.
      outer: The outer step. Source: TESP paper, section 4.
      context_size: Numbers of the vector h. Source: TESP's code: 8.
      regularizer: Eta, the weight of the squared length of h in the outer loss. Source: TESP's
        code: 0.01 of the mean over the 8 squares.
    """

    num_iterations: int = 600
    inner_updates: int = 3
    episodes_per_update: int = 25
    inner_learning_rate: float = 0.001
    first_order: bool = True
    advantage: AdvantageConfig = AdvantageConfig(
        baseline="linear_feature", gae_lambda=0.97, normalize=False
    )
    outer: KeptOuterConfig = KeptOuterConfig()
    context_size: int = 8
    rates: str = "learned"
    rate_bound: float = 0.1
    regularizer: float = 0.00125

    RATES: ClassVar[tuple[str, ...]] = ("learned", "constant")

    def __post_init__(self) -> None:
        super().__post_init__()
        check_one_of("rates", self.rates, self.RATES)
        rule = "True: gradients count as constants here"
        check(self.first_order, "first_order", self.first_order, rule)
        check(self.regularizer >= 0, "regularizer", self.regularizer, ">= 0")
        check_acts(self, ("rate_bound",), self.rates == "learned", "with rates=learned")
        if self.rates == "learned":
            least = abs(self.inner_learning_rate)
            rule = f">= inner_learning_rate = {least}: a rate beyond it would have no gradient"
            check(self.rate_bound >= least, "rate_bound", self.rate_bound, rule)


class AdaptSV(CAVIA):
    """meta = {"params": theta, "adapted": {"context": h_0}, "rates": alpha, like "adapted"}.

    `FastState.params` is like "adapted"; `FastState.memory` holds the sum of the gradients.
    """

    Config = AdaptSVConfig
    config: AdaptSVConfig
    evolves = False

    def init(self, seed: int) -> Nest:
        meta = self.init_parts(seed)
        if self.config.rates == "learned":
            alpha = self.config.inner_learning_rate
            meta["rates"] = nest.map(lambda x: alpha * tf.ones_like(x), meta["adapted"])
        return meta

    def init_parts(self, seed: int) -> dict[str, Nest]:
        """What is shared, in "params", and what adaptation starts from, in "adapted"."""
        size, dtype = self.config.context_size, self.policy.dtype
        context = tf.random.stateless_normal([size], keys.from_int(seed), dtype=dtype)
        start = {"context": _FIRST_NORM * context / tf.norm(context)}
        return {"params": self.policy.init(seed)["policy"], "adapted": start}

    def start(self, meta: Nest, num_tasks: int, key: tf.Tensor | tuple[()] = ()) -> FastState:
        adapted = nest.repeat(meta["adapted"], num_tasks)
        memory = {"gradients": nest.map(tf.zeros_like, adapted)}
        return FastState(adapted, tf.zeros([num_tasks]), memory)

    def rates(self, meta: Nest, gradients: Nest) -> Nest:
        if self.config.rates == "constant":
            return super().rates(meta, gradients)
        bound = self.config.rate_bound
        return nest.map(lambda alpha: tf.clip_by_value(alpha, -bound, bound), meta["rates"])

    def adapt(self, meta: Nest, fast: FastState, support: Experience) -> FastState:
        gradients = self.inner_gradient(meta, fast, support)
        total = nest.map(tf.add, fast.memory["gradients"], gradients)
        moved = self.descend(fast, gradients, self.rates(meta, gradients))
        return moved._replace(memory={**fast.memory, "gradients": total})

    def carry(self, fast: FastState, trajectory: Trajectory) -> Nest:
        return fast.memory

    def objective(self, meta: Nest, batch: MetaBatch) -> Surrogate:
        memory = batch.per_task
        fast = self.start(meta, batch.query.weight.shape[0])
        rates = self.rates(meta, memory["gradients"])
        descended = lambda start, rate, total: start - rate * total
        adapted = nest.map(descended, fast.params, rates, memory["gradients"])
        params: Any = self.acting(meta, fast._replace(params=adapted, memory=memory))
        result = self.loss.surrogate(meta, params, batch.query)
        penalty = tf.reduce_sum(params["context"] ** 2, axis=-1)
        return result._replace(loss=result.loss + self.config.regularizer * penalty)
