"""MAML for supervised regression, through the same inner and outer code as for policies.

C. Finn, P. Abbeel, S. Levine, "Model-agnostic meta-learning for fast adaptation of deep networks",
ICML 2017, Algorithm 2 with the mean squared error of equation 2, on sinusoids (section 5.1). The
mean of a Gaussian policy is the regression function; an "episode" is one example, and its return
minus the squared error, so that `tfcaml.evaluate` reads as for policies.

Differences from the paper: the network's initial weights are Glorot-uniform.
"""

import dataclasses
from typing import Any, ClassVar

import tensorflow as tf

from tfcaml import keys, losses, settings
from tfcaml.errors import check, check_acts, check_positive
from tfcaml.learners.maml import MAML
from tfcaml.learners.references.pretrained import Pretrained
from tfcaml.optimization import optimizers, outer
from tfcaml.rollouts import examples
from tfcaml.types import Experience, FastState, Nest, Task


@settings.checked
@dataclasses.dataclass(frozen=True)
class RegressionOuterConfig:
    """Settings of the outer step: Adam.

    Attributes:
      learning_rate: Step size of Adam. Source: MAML's code, sinusoids: 1e-3.
    """

    learning_rate: float = 1e-3

    optimizer: ClassVar[str] = "adam"  # which the family reads

    def __post_init__(self) -> None:
        check_positive(learning_rate=self.learning_rate)

    def make(self, num_iterations: int) -> outer.OuterOptimizer:
        """The `OuterOptimizer`, which is the same for any number of iterations."""
        return outer.adam(self.learning_rate)


@settings.checked
@dataclasses.dataclass(frozen=True)
class MAMLRegressionConfig:
    """Settings of the sinusoid study; the network has two hidden layers of 40 ReLU units.

    Regression has no advantages and no trust region, so that it is not a `GradientConfig`: it has
    the fields of one that act here.

    Attributes:
      num_iterations: Outer iterations of training. Source: MAML's code, sinusoids: 70,000.
      meta_batch_size: Curves in each iteration. Source: MAML's code, sinusoids: 25.
      inner_updates: K, inner steps in training. Source: MAML paper, section 5.1: 1.
      episodes_per_update: Examples of each inner step, and as many in the query. Source: MAML
        paper, section 5.1: 10.
      test_episodes_per_update: The same on new curves; 0 stands for `episodes_per_update`. Source:
        tfcaml.
      inner_learning_rate: Alpha, the step size of inner steps. Source: MAML paper, section 5.1:
        0.01; its code has 0.001 by default.
      later_step_scale: What the step size is multiplied by in steps beyond the `inner_updates`
        trained. Source: MAML paper: all steps are alike.
      first_order: Whether inner gradients count as constants in the outer step. Source: MAML paper,
        section 5.2.
      outer: The outer step. Source: MAML's code, sinusoids: Adam.
    """

    num_iterations: int = 70_000
    meta_batch_size: int = 25
    inner_updates: int = 1
    episodes_per_update: int = 10
    test_episodes_per_update: int = 0
    inner_learning_rate: float = 0.01
    later_step_scale: float = 1.0
    first_order: bool = False
    outer: RegressionOuterConfig = RegressionOuterConfig()

    def __post_init__(self) -> None:
        settings.fill_groups(self)
        for name in ("num_iterations", "test_episodes_per_update"):
            check(getattr(self, name) >= 0, name, getattr(self, name), ">= 0")
        for name in ("meta_batch_size", "inner_updates", "episodes_per_update"):
            check(getattr(self, name) >= 1, name, getattr(self, name), ">= 1")
        check_positive(
            inner_learning_rate=self.inner_learning_rate,
            later_step_scale=self.later_step_scale,
        )

    def steps_held(self, horizon: int) -> int:
        """As of `LearnerConfig`: all of them."""
        return horizon

    def stored(self, sizes: settings.Sizes, num_tasks: int) -> list[settings.Stored]:
        """As `LearnerConfig.stored`."""
        return [settings.stored_by_tasks(self, sizes, self.inner_updates + 1, 4)]

    def check_steps(self, num_updates: int) -> None:
        """As `LearnerConfig.check_steps`."""
        check_acts(
            self, ("test_episodes_per_update",), num_updates > 0, "where new curves are adapted to"
        )
        where = f"in steps beyond inner_updates={self.inner_updates}, not in {num_updates} steps"
        check_acts(self, ("later_step_scale",), num_updates > self.inner_updates, where)

    def check_advantages(self) -> None:
        """Refuses nothing: there are no advantages."""

    def inner(self) -> optimizers.Optimizer:
        """The `Optimizer` of the inner loop."""
        return optimizers.sgd(self.inner_learning_rate)


@settings.checked
@dataclasses.dataclass(frozen=True)
class PretrainedRegressionConfig(MAMLRegressionConfig):
    """Settings of pretraining on all curves at once, without inner steps."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_acts(self, ("first_order",), False, "where training takes inner steps, unlike here")
        # How many steps on a new curve take the whole rate.
        fields, scaled = ("inner_updates",), self.later_step_scale != 1
        check_acts(self, fields, scaled, "on new curves, up to where later_step_scale != 1 begins")

    def check_steps(self, num_updates: int) -> None:
        super().check_steps(num_updates)
        fields = ("inner_learning_rate", "inner_updates")
        check_acts(self, fields, num_updates > 0, "where new curves are adapted to")


class MAMLRegression(MAML):
    """meta = {"params": theta}."""

    Config = MAMLRegressionConfig
    config: Any  # a `MAMLRegressionConfig`, which is no `GradientConfig`
    default_sampler = staticmethod(examples.sample)
    evolves = False
    adapts_to_any_task = False  # a regression function has no behaviour

    def make_loss(self) -> losses.TaskLoss:
        return losses.MeanSquaredError(self.policy)

    def test_support(self, meta: Nest, fast: FastState, task: Task, key: tf.Tensor) -> Experience:
        """The K examples of each new task, the same for all steps (paper: K-shot)."""
        return self.support(meta, fast, task, keys.from_int(keys.EXAMPLES), self.test_episodes)


class PretrainedRegression(MAMLRegression, Pretrained):
    """One regression function for all curves, fine-tuned at test time."""

    Config = PretrainedRegressionConfig
