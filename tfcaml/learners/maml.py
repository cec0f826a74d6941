"""MAML: an initialisation from which a few gradient steps suffice.

C. Finn, P. Abbeel, S. Levine, "Model-agnostic meta-learning for fast adaptation of deep networks",
ICML 2017, Algorithm 3. The inner step descends the policy-gradient loss (equation 4),

    theta_i' = theta - alpha grad_theta L_i(theta)                 L_i = -mean log pi_theta A

and the outer one lowers sum_i L_i(theta_i') over theta (equation 1), by TRPO, through the inner
step: exact second order. `first_order=True` is FOMAML (section 5.2): d theta_i' / d theta = I.

Differences from the paper:
  - Any number of inner steps, each task with its own parameters throughout (in the released code
    all tasks share the last task's parameters from the second step on).
  - TRPO's products are exact Gauss-Newton products where the released code takes finite
    differences.
"""

import dataclasses

import tensorflow as tf

from tfcaml import nest, settings
from tfcaml.learners.gradient_based import GradientConfig, GradientLearner
from tfcaml.types import Experience, FastState, MetaBatch, Nest, Surrogate


@settings.checked
@dataclasses.dataclass(frozen=True)
class MAMLConfig(GradientConfig):
    """Settings of MAML."""


@settings.checked
@dataclasses.dataclass(frozen=True)
class FOMAMLConfig(GradientConfig):
    """Settings of first-order MAML.

    Attributes:
      first_order: Whether inner gradients count as constants in the outer step. Source: MAML paper,
        section 5.2.
    """

    first_order: bool = True


class MAML(GradientLearner):
    """meta = {"params": theta}."""

    Config: type = MAMLConfig
    evolves = True

    def init(self, seed: int) -> Nest:
        return {"params": self.policy.init(seed)}

    def start(self, meta: Nest, num_tasks: int, key: tf.Tensor | tuple[()] = ()) -> FastState:
        return FastState(nest.repeat(meta["params"], num_tasks), tf.zeros([num_tasks]))

    def rates(self, meta: Nest, gradients: Nest) -> Nest:
        """The step sizes alpha, nest like the gradients; here one number."""
        return nest.map(lambda _: self.config.inner_learning_rate, gradients)

    def adapt(self, meta: Nest, fast: FastState, support: Experience) -> FastState:
        gradients = self.inner_gradient(meta, fast, support)
        return self.descend(fast, gradients, self.rates(meta, gradients))

    def objective(self, meta: Nest, batch: MetaBatch) -> Surrogate:
        fast = self.readapt(meta, batch)
        return self.surrogate(meta, fast, batch.query)


class FOMAML(MAML):
    """MAML without the derivative of the inner gradient."""

    Config = FOMAMLConfig
    evolves = False
