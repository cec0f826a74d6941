"""MAML for few-shot classification, through the same inner and outer code as for policies.

C. Finn, P. Abbeel, S. Levine, "Model-agnostic meta-learning for fast adaptation of deep networks",
ICML 2017, Algorithm 2 with the cross-entropy of equation 3, on images (section 5.2). An "episode"
is one image to be named, and its return 1 where the most probable label is the right one, so that
`tfcaml.evaluate` measures accuracy. All inner steps of a task learn from the same support.

Differences from the paper: those of `policies.FewShotNetwork`; and the outer step's clip, where
there is one, is of the gradient's norm and not of each of its numbers.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any, ClassVar

import tensorflow as tf

from tfcaml import losses, settings
from tfcaml.environments.base import TaskFamily
from tfcaml.environments.supervised.few_shot import FewShot
from tfcaml.errors import check, check_is, check_one_of, check_positive
from tfcaml.learners.maml import MAML
from tfcaml.optimization import optimizers
from tfcaml.optimization.config import AdamConfig
from tfcaml.policies import NETWORKS, FewShotNetwork
from tfcaml.policies.base import Policy
from tfcaml.rollouts import examples
from tfcaml.types import Experience, FastState, MetaBatch, Nest, Task


@settings.checked
@dataclasses.dataclass(frozen=True)
class ClassificationConfig:
    """Settings of all learners of few-shot tasks that train a network.

    How many classes and labelled images a task has are options of the family.

    Attributes:
      num_iterations: Outer iterations of training. Source: MAML's code: 60,000.
      meta_batch_size: Tasks in each iteration. Source: MAML's code, Omniglot, 5-way: 32.
      episodes_per_update: Queries of a task, of each class in turn, that its adapted network is
        judged by in training. Source: MAML's code, Omniglot: as many as in the support.
      network: Of images, a name in `policies.NETWORKS`: "convolutional", strided, with the mean
        over space; "pooled"; "dense". The config's policy has the filters or units of its layers.
        Source: MAML paper, section 5.2: convolutional and dense for Omniglot, pooled for
        MiniImagenet.
      outer: The outer step. Source: MAML's code: Adam.
    """

    num_iterations: int = 60_000
    meta_batch_size: int = 32
    episodes_per_update: int = 5
    network: str = "convolutional"
    outer: AdamConfig = AdamConfig()

    # What generic code asks for and nothing here may change.
    test_episodes_per_update: ClassVar[int] = 0
    later_step_scale: ClassVar[float] = 1.0

    def __post_init__(self) -> None:
        settings.fill_groups(self)
        check(self.num_iterations >= 0, "num_iterations", self.num_iterations, ">= 0")
        for name in ("meta_batch_size", "episodes_per_update"):
            check(getattr(self, name) >= 1, name, getattr(self, name), ">= 1")
        check_one_of("network", self.network, NETWORKS)

    def steps_held(self, horizon: int) -> int:
        """As of `LearnerConfig`: all of them."""
        return horizon

    def stored(self, sizes: settings.Sizes, num_tasks: int) -> list[settings.Stored]:
        """As `LearnerConfig.stored`."""
        return [settings.stored_by_tasks(self, sizes, 2, 4)]

    @classmethod
    def smallest(cls, section: dict[str, Any]) -> dict[str, Any]:
        """As `LearnerConfig.smallest`."""
        return {
            "num_iterations": min(section["num_iterations"], 1),
            "meta_batch_size": min(section["meta_batch_size"], 2),
            "episodes_per_update": 2,
        }

    def check_steps(self, num_updates: int) -> None:
        """Refuses nothing: all settings act in training."""

    def check_advantages(self) -> None:
        """Refuses nothing: there are no advantages."""

    def inner(self) -> optimizers.Optimizer:
        """The `Optimizer` of the inner loop."""
        return optimizers.sgd(1.0)


@settings.checked
@dataclasses.dataclass(frozen=True)
class MAMLClassificationConfig(ClassificationConfig):
    """Settings of MAML on Omniglot, 5-way.

    Attributes:
      inner_updates: K, inner steps in training. Source: MAML's code, Omniglot, 5-way: 1; 20-way and
        MiniImagenet: 5.
      inner_learning_rate: Alpha, the step size of inner steps. Source: MAML's code, Omniglot,
        5-way: 0.4; 20-way: 0.1; MiniImagenet: 0.01.
      first_order: Whether inner gradients count as constants in the outer step. Source: MAML paper,
        section 5.2.
    """

    inner_updates: int = 1
    inner_learning_rate: float = 0.4
    first_order: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        check(self.inner_updates >= 1, "inner_updates", self.inner_updates, ">= 1")
        check_positive(inner_learning_rate=self.inner_learning_rate)

    def stored(self, sizes: settings.Sizes, num_tasks: int) -> list[settings.Stored]:
        return [settings.stored_by_tasks(self, sizes, self.inner_updates + 1, 4)]

    def inner(self) -> optimizers.Optimizer:
        return optimizers.sgd(self.inner_learning_rate)


class MAMLClassification(MAML):
    """meta = {"params": theta}."""

    Config: type = MAMLClassificationConfig
    config: Any  # a `ClassificationConfig`, which is no `GradientConfig`
    environment: Any  # a `FewShot`
    policy: Any  # a `FewShotNetwork`
    default_sampler = staticmethod(examples.classify)
    evolves = False
    adapts_to_any_task = False  # what a network names has no behaviour
    quick_under_xla = True
    adapts_to = "labelled images"

    @classmethod
    def plays_in(cls, environment: TaskFamily, config: Any) -> TaskFamily:
        check_few_shot(environment)
        most, queries = environment.most_episodes, config.episodes_per_update
        rule = f"at most {most}, the images of a task beside its support"
        check(most is None or queries <= most, "episodes_per_update", queries, rule)
        return environment

    @classmethod
    def make_policy(
        cls,
        environment: TaskFamily,
        config: Any,
        fc_layer_params: Sequence[int] = (64, 64, 64, 64),
        activation: str = "relu",
    ) -> Policy:
        """A `FewShotNetwork` of the config's kind."""
        specs = environment.observation_spec, environment.action_spec
        return FewShotNetwork(*specs, config.network, fc_layer_params, activation)

    def make_loss(self) -> losses.TaskLoss:
        return losses.CrossEntropy(self.policy)

    def collect(
        self, meta: Nest, task: Task, key: tf.Tensor, index: tf.Tensor | tuple[()] = ()
    ) -> MetaBatch:
        """The support, the same for all inner steps, and the query. Nothing depends on weights."""
        query = self.environment.query(task, self.config.episodes_per_update)
        support = (self._experience(*self.environment.support(task)),) * self.config.inner_updates
        return MetaBatch(support, self._experience(*query))

    def test_support(self, meta: Nest, fast: FastState, task: Task, key: tf.Tensor) -> Experience:
        """The support of each new task, the same for all steps."""
        return self._experience(*self.environment.support(task))

    def outer_step(self, meta: Nest, batch: MetaBatch) -> tuple[Nest, dict[str, tf.Tensor]]:
        """As of `GradientLearner`; the accuracy on the queries is the objective's own metric."""
        slots = self.state["outer_slots"]
        meta, moved, metrics = self.outer.step(self.objective, meta, slots.read(), batch)
        slots.write(moved)
        return meta, metrics

    @staticmethod
    def _experience(images: tf.Tensor, label: tf.Tensor) -> Experience:
        trajectory = examples.labelled(images, label)
        return Experience(trajectory, trajectory.mask)

    @property
    def test_episodes(self) -> int:
        """The labelled images of a new task, its support."""
        return self.environment.config.way * self.environment.config.shots

    @property
    def episodes_per_iteration(self) -> int:
        shown = self.environment.config.way * self.environment.config.shots
        return self.config.meta_batch_size * (shown + self.config.episodes_per_update)


def check_few_shot(environment: Any) -> None:
    """Raises `ConfigError` unless it is a family of few-shot tasks."""
    check_is("environment", environment, FewShot, "a family of few-shot tasks, such as Omniglot()")
