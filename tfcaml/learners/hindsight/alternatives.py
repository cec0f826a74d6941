"""Two other ways to use what went well in similar tasks, beside guided exploration.

Both train like `HindsightMAML` and explore a new task on their own. `HindsightRelabelling` adds
stored episodes to each of the first updates, paid for as the new task would have (the idea of
M. Andrychowicz et al., "Hindsight experience replay", NeurIPS 2017, across tasks), with importance
weights; it needs a family that can tell (`TaskFamily.relabel`). `HindsightCloning` imitates stored
episodes before the first update (behaviour cloning), whatever they were paid for.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import tensorflow as tf

from tfcaml import losses, nest, settings
from tfcaml.environments import TaskFamily
from tfcaml.errors import check, check_acts, check_positive
from tfcaml.learners.hindsight.maml import HindsightMAML, HindsightMAMLConfig
from tfcaml.optimization import inner, optimizers
from tfcaml.types import Experience, FastState, Nest, Params, Task, Trajectory

if TYPE_CHECKING:
    from tfcaml.learners.hindsight.buffer import Hindsight, Similar


@settings.checked
@dataclasses.dataclass(frozen=True)
class HindsightRelabellingConfig(HindsightMAMLConfig):
    """Settings of relabelling: stored episodes are added in the first `guidance.updates` updates.

    All of them are, so that `guidance.share` is no share here: 0 is for none.
    """

    def __post_init__(self) -> None:
        super().__post_init__()
        share, default = self.guidance.share, type(self).guidance.share
        rule = f"0 (no stored episodes) or {default} (all of them), as it is no share here"
        check(share in (0, default), "guidance.share", share, rule)


class HindsightRelabelling(HindsightMAML):
    """Learns from stored episodes of similar tasks under the reward of the new one.

    Raises:
      ConfigError: a family without `relabel`.
    """

    Config = HindsightRelabellingConfig

    def setup(self) -> None:
        super().setup()
        family = type(self.environment)
        tells = family.relabel is not TaskFamily.relabel
        check(tells, "environment", family.__name__, "a family that implements `relabel`")

    def explore(self, fast: FastState, task: Task, key: tf.Tensor) -> tuple[Trajectory, tf.Tensor]:
        return _alone(self, fast, task, key)

    def off_policy(
        self, fast: FastState, task: Task, trajectory: Trajectory, own: tf.Tensor
    ) -> Experience:
        stored = _stored_episodes(*self.similar(task))
        counts = tf.cast(self.kappa(fast) > 0, tf.float32)[:, None, None]
        stored = self.environment.relabel(task, stored._replace(mask=stored.mask * counts))
        trajectory = nest.map(lambda x, y: tf.concat([x, y], axis=1), trajectory, stored)
        own = tf.concat([own, tf.zeros(stored.mask.shape[:2], tf.bool)], axis=1)
        return super().off_policy(fast, task, trajectory, own)


@settings.checked
@dataclasses.dataclass(frozen=True)
class HindsightCloningConfig(HindsightMAMLConfig):
    """Settings of cloning.

    Attributes:
      cloning_steps: Gradient steps of imitation before the first update on a new task. Source: the
        study hindsight_maze.
      cloning_learning_rate: Step size of these steps. Source: the study hindsight_maze.
    """

    cloning_steps: int = 20
    cloning_learning_rate: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        check(self.cloning_steps >= 1, "cloning_steps", self.cloning_steps, ">= 1")
        check_positive(cloning_learning_rate=self.cloning_learning_rate)
        names = ("share", "updates", "importance_weights", "importance_clip", "min_effective_share")
        where = "where others play in a new task, and after cloning the policy plays alone"
        check_acts(self, tuple(f"guidance.{name}" for name in names), False, where)

    def of_guidance(self) -> tuple[str, ...]:
        return ()  # whom to clone is asked before the first update


class HindsightCloning(HindsightMAML):
    """Starts from the meta parameters after imitating the policies of similar tasks."""

    Config = HindsightCloningConfig
    config: HindsightCloningConfig

    def setup(self) -> None:
        super().setup()
        self._cloned = tf.function(self._clone, autograph=False, jit_compile=self.jit_compile)

    def choose_start(
        self, meta: Nest, task: Task, key: tf.Tensor
    ) -> tuple[FastState, dict[str, Any]]:
        fast = self.start(meta, nest.leading(task))
        return FastState(self._cloned(fast.params, task), fast.slots), {}

    def explore(self, fast: FastState, task: Task, key: tf.Tensor) -> tuple[Trajectory, tf.Tensor]:
        return _alone(self, fast, task, key)

    def _clone(self, params: Params, task: Task) -> Params:
        """Weights [N, ...] after the cloning steps on L = - mean log pi(a | s)."""
        trajectory = _stored_episodes(*self.similar(task))

        def loss(params: Params) -> tf.Tensor:
            log_prob = losses.action_log_prob(self.policy, params, trajectory)
            return -losses.mean_over_steps(log_prob, trajectory.mask)

        steps = self.config.cloning_steps
        descent = optimizers.sgd(self.config.cloning_learning_rate)
        fast = FastState(params, descent.init(params))
        _, fast = tf.while_loop(
            lambda step, _: step < steps,
            lambda step, fast: (step + 1, inner.step(loss, descent, fast)[0]),
            (0, fast),
            maximum_iterations=steps,
            parallel_iterations=1,
        )
        return fast.params


def _alone(
    learner: HindsightMAML, fast: FastState, task: Task, key: tf.Tensor
) -> tuple[Trajectory, tf.Tensor]:
    """`HindsightMAML.explore` by the policy itself."""
    trajectory = learner.sample(fast.params, task, learner.test_episodes, key)
    return trajectory, tf.ones(trajectory.mask.shape[:2], tf.bool)


def _stored_episodes(similar: Similar, entries: Hindsight) -> Trajectory:
    """All episodes of `HindsightMAML.similar`: `Trajectory` [N, K * E, T, ...].

    Masked where a task has fewer similar ones.
    """
    joined = lambda x: tf.reshape(x, [x.shape[0], x.shape[1] * x.shape[2], *x.shape[3:]])
    trajectory = nest.map(joined, entries.trajectory)
    repeats = trajectory.mask.shape[1] // similar.valid.shape[1]
    valid = tf.repeat(tf.cast(similar.valid, tf.float32), repeats, axis=1)[..., None]
    return trajectory._replace(mask=trajectory.mask * valid)
