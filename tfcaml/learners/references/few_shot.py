"""What few-shot learners are compared with: pixels, and a network trained on all classes at once.

`NearestNeighbour` says of an image what the label of the most similar image of the support is, by
the squared distance of pixels. `PretrainedClassification` learns to tell all training classes
apart, with one linear layer for all of them, and gets a fresh one on a new task, which is
fine-tuned with all other weights on the support. Both are baselines of S. Ravi, H. Larochelle,
"Optimization as a model for few-shot learning", ICLR 2017, section 5, and of the MAML paper,
section 5.2.

Differences from them: neighbours are those of pixels, not of a pretrained network's answers.
"""

from __future__ import annotations

import dataclasses
from typing import Any, ClassVar

import tensorflow as tf
import tensorflow_probability as tfp

from tfcaml import keys, losses, nest, settings
from tfcaml.environments.base import TaskFamily
from tfcaml.errors import check, check_acts, check_positive
from tfcaml.learners.base import MetaLearner
from tfcaml.learners.classification import (
    ClassificationConfig,
    MAMLClassification,
    check_few_shot,
)
from tfcaml.optimization import optimizers
from tfcaml.policies.base import Policy
from tfcaml.policies.few_shot_network import glorot
from tfcaml.policies.layers import dense
from tfcaml.rollouts import examples
from tfcaml.types import Experience, FastState, MetaBatch, Nest, Params, Surrogate, Task, Trajectory

_HEAD = 0x4EAD  # of the key of the linear layer of all training classes


@settings.checked
@dataclasses.dataclass(frozen=True)
class PretrainedClassificationConfig(ClassificationConfig):
    """Settings of pretraining on all classes and of fine-tuning.

    Attributes:
      inner_learning_rate: Step size of fine-tuning on the support of a new task. Source: tfcaml.
    """

    inner_learning_rate: float = 0.1

    inner_updates: ClassVar[int] = 1
    first_order: ClassVar[bool] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        check_positive(inner_learning_rate=self.inner_learning_rate)

    def check_steps(self, num_updates: int) -> None:
        super().check_steps(num_updates)
        fields = ("inner_learning_rate",)
        check_acts(self, fields, num_updates > 0, "where new tasks are adapted to")

    def inner(self) -> optimizers.Optimizer:
        return optimizers.sgd(self.inner_learning_rate)


class PretrainedClassification(MAMLClassification):
    """meta = {"params": theta, "classes": the linear layer of all training classes}."""

    Config = PretrainedClassificationConfig

    @classmethod
    def plays_in(cls, environment: TaskFamily, config: Any) -> TaskFamily:
        environment = super().plays_in(environment, config)
        rule = "one with a known number of classes to learn from, such as Omniglot()"
        known = environment.num_classes is not None  # type: ignore[attr-defined]
        check(known, "environment", type(environment).__name__, rule)
        return environment

    def init(self, seed: int) -> Nest:
        key = keys.fold(keys.from_int(seed), _HEAD)
        classes = self.environment.num_classes
        kernel = glorot(key, (self.policy.num_features, classes))
        return {**super().init(seed), "classes": {"kernel": kernel, "bias": tf.zeros([classes])}}

    def start(self, meta: Nest, num_tasks: int, key: tf.Tensor | tuple[()] = ()) -> FastState:
        fast = super().start(meta, num_tasks, key)
        fresh = nest.map(tf.zeros_like, fast.params["head"])
        return fast._replace(params={**fast.params, "head": fresh})

    def collect(
        self, meta: Nest, task: Task, key: tf.Tensor, index: tf.Tensor | tuple[()] = ()
    ) -> MetaBatch:
        classes = self.environment.classes(task)
        parts = (
            self.environment.support(task),
            self.environment.query(task, self.config.episodes_per_update),
        )
        images = tf.concat([images for images, _ in parts], axis=1)
        label = tf.concat([label for _, label in parts], axis=1)
        # All images of all tasks are one batch of one network, and are normalised together.
        alone = lambda x: tf.reshape(x, [1, -1, *x.shape[2:]])
        label = tf.gather(classes, label, batch_dims=1)
        return MetaBatch((), self._experience(alone(images), alone(label)))

    def objective(self, meta: Nest, batch: MetaBatch) -> Surrogate:
        trajectory = batch.query.trajectory
        params, head = nest.repeat((meta["params"], meta["classes"]), 1)
        logits = dense(self.policy.features(params, trajectory.observation[:, :, 0]), head)
        everything = tfp.distributions.Categorical(logits=logits)
        return losses.cross_entropy(everything, trajectory.action[:, :, 0])


@settings.checked
@dataclasses.dataclass(frozen=True)
class NearestNeighbourConfig:
    """No settings: nothing is trained, and adapting is looking."""

    num_iterations: ClassVar[int] = 0
    meta_batch_size: ClassVar[int] = 1
    inner_updates: ClassVar[int] = 1
    episodes_per_update: ClassVar[int] = 1
    test_episodes_per_update: ClassVar[int] = 0

    def steps_held(self, horizon: int) -> int:
        """As of `LearnerConfig`: all of them."""
        return horizon

    def stored(self, sizes: settings.Sizes, num_tasks: int) -> list[settings.Stored]:
        """As `LearnerConfig.stored`."""
        return [settings.stored_by_tasks(self, sizes)]

    @classmethod
    def smallest(cls, section: dict[str, Any]) -> dict[str, Any]:
        """As `LearnerConfig.smallest`."""
        return {}

    def check_steps(self, num_updates: int) -> None:
        """Refuses nothing: there are no settings."""

    def check_advantages(self) -> None:
        """Refuses nothing: there are no advantages."""

    def inner(self) -> optimizers.Optimizer:
        """The `Optimizer` of the inner loop, which takes no step."""
        return optimizers.sgd(1.0)


class PixelNeighbour(Policy):
    """The label of the most similar image shown. params = {"shown": [way * shots, pixels]}.

    Args:
      environment: a `FewShot`, whose support has the classes in turn.
    """

    def __init__(self, environment: Any) -> None:
        self.observation_spec = environment.observation_spec
        self.action_spec = environment.action_spec
        self.num_actions = environment.config.way
        self._shots = environment.config.shots
        self._pixels = self.observation_spec.shape.num_elements()

    def init(self, seed: int) -> Params:
        return {"shown": tf.zeros([self._shots * self.num_actions, self._pixels])}

    def __call__(self, params: Params, observation: Nest) -> Any:
        tasks, rows = nest.axes(observation, 2)
        shown, seen = params["shown"], tf.reshape(observation, [tasks, rows, self._pixels])
        # |x - s|^2 less |x|^2, which is the same for all that were shown.
        distance = tf.reduce_sum(shown**2, axis=-1)[:, None]
        distance -= 2 * tf.matmul(seen, shown, transpose_b=True)
        by_shot = tf.reshape(distance, [tasks, rows, self._shots, self.num_actions])
        logits = -tf.reduce_min(by_shot, axis=2)
        return tfp.distributions.Categorical(logits=logits, dtype=self.action_spec.dtype)


class NearestNeighbour(MetaLearner):
    """The support itself. meta = {"params": nothing shown yet}."""

    Config: type = NearestNeighbourConfig
    config: Any  # which is no `LearnerConfig`
    environment: Any  # a `FewShot`
    default_sampler = staticmethod(examples.classify)
    adapts_to_any_task = False
    adapts_to = "labelled images"

    @classmethod
    def plays_in(cls, environment: TaskFamily, config: Any) -> TaskFamily:
        check_few_shot(environment)
        return environment

    @classmethod
    def make_policy(
        cls, environment: TaskFamily, config: Any, *layers: Any, **options: Any
    ) -> Policy:
        """A `PixelNeighbour`, which has no layers."""
        return PixelNeighbour(environment)

    def make_loss(self) -> Any:
        return None

    def test_support(self, meta: Nest, fast: FastState, task: Task, key: tf.Tensor) -> Experience:
        return self.experience(meta, fast, examples.labelled(*self.environment.support(task)))

    def experience(self, meta: Nest, fast: FastState, trajectory: Trajectory) -> Experience:
        return Experience(trajectory, trajectory.mask)

    def adapt(self, meta: Nest, fast: FastState, support: Experience) -> FastState:
        images = support.trajectory.observation
        return fast._replace(params={"shown": tf.reshape(images, fast.params["shown"].shape)})

    @property
    def test_episodes(self) -> int:
        """The labelled images of a new task, its support."""
        return self.environment.config.way * self.environment.config.shots
