"""CAVIA: only a context vector is adapted; the network is shared by all tasks.

L. Zintgraf, K. Shiarlis, V. Kurin, K. Hofmann, S. Whiteson, "Fast context adaptation via
meta-learning", ICML 2019, Algorithm 2. The context phi stands behind the observation as further
inputs of the network theta. It is 0 before a task is seen; the inner step moves it alone,

    phi_i = 0 - alpha grad_phi L_i(phi, theta)

and the outer step lowers sum_i L_i(phi_i, theta) over theta, through the inner step.

Differences from the paper: none known. Its code samples and learns as that of MAML does, and takes
whole steps beyond those that were trained.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import tensorflow as tf

from tfcaml import nest, settings
from tfcaml.errors import check
from tfcaml.learners.maml import MAML, MAMLConfig
from tfcaml.policies import ContextPolicy, check_contextual, contextual_mlp
from tfcaml.types import FastState, Nest, Params

if TYPE_CHECKING:
    from tfcaml.environments.base import TaskFamily
    from tfcaml.policies.base import Policy


@settings.checked
@dataclasses.dataclass(frozen=True)
class CAVIAConfig(MAMLConfig):
    """Settings of CAVIA; sources: the authors' code, 2D navigation.

    Attributes:
      inner_learning_rate: Alpha, the step size of the context vector. Source: CAVIA's code, 2D
        navigation: 1.
      later_step_scale: What the step size is multiplied by in steps beyond the `inner_updates`
        trained. Source: CAVIA's code: later steps are as long.
      context_size: Numbers of the context vector phi. Source: CAVIA's command for 2D navigation: 5.
    """

    inner_learning_rate: float = 1.0
    later_step_scale: float = 1.0
    context_size: int = 5

    def __post_init__(self) -> None:
        super().__post_init__()
        check(self.context_size >= 1, "context_size", self.context_size, ">= 1")


class CAVIA(MAML):
    """meta = {"params": theta}; `FastState.params` holds phi.

    Raises:
      ConfigError: a policy that is no `ContextPolicy` with a context of `context_size` numbers.
    """

    Config: type = CAVIAConfig
    config: CAVIAConfig
    policy: ContextPolicy

    @classmethod
    def make_policy(
        cls,
        environment: TaskFamily,
        config: Any,
        fc_layer_params: Sequence[int] = (100, 100),
        activation: str = "tanh",
    ) -> Policy:
        """An MLP of the observation and the context."""
        specs = environment.observation_spec, environment.action_spec
        return contextual_mlp(
            ContextPolicy, *specs, config.context_size, fc_layer_params, activation
        )

    def setup(self) -> None:
        super().setup()
        check_contextual(self.policy, ContextPolicy, "context_size", self.config.context_size)

    def init(self, seed: int) -> Nest:
        return {"params": self.policy.init(seed)["policy"]}

    def start(self, meta: Nest, num_tasks: int, key: tf.Tensor | tuple[()] = ()) -> FastState:
        context = tf.zeros([num_tasks, self.config.context_size], self.policy.dtype)
        return FastState({"context": context}, tf.zeros([num_tasks]))

    def acting(self, meta: Nest, fast: FastState) -> Params:
        num_tasks = nest.num_rows(fast.params)
        return {**fast.params, "policy": nest.repeat(meta["params"], num_tasks)}
