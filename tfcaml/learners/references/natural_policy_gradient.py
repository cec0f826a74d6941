"""Natural policy gradient: N independent policies, one per entity, by trust regions.

S. Kakade, "A natural policy gradient", NeurIPS 2001, in the form of TRPO (`trpo.trpo`): one
step for all policies with a bound on their mean divergence, so that most of it goes where most is
to be gained. Nothing else is shared between them. The experts whose divergence task similarity is
learned from. Steps may be paid for what they teach of the dynamics (`exploration.vime`).
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import tensorflow as tf

from tfcaml import nest, settings
from tfcaml.errors import check
from tfcaml.exploration import vime
from tfcaml.exploration.vime import VIMEConfig
from tfcaml.learners.gradient_based import NoInnerStepsConfig
from tfcaml.learners.maml import MAML
from tfcaml.learners.references.curious import Curious
from tfcaml.learners.references.policy_gradient import first_tasks
from tfcaml.optimization.config import OuterConfig
from tfcaml.types import FastState, MetaBatch, Nest, Surrogate, Task, Trajectory, episode_return

if TYPE_CHECKING:
    from tfcaml.environments.base import Population


@settings.checked
@dataclasses.dataclass(frozen=True)
class IndependentOuterConfig(OuterConfig):
    """Outer steps of policies that share nothing, so that all of them have to be solved for.

    Attributes:
      cg_iterations: Iterations of the conjugate gradient method. Source: J. Schulman et al., ICML
        2015 (TRPO): 10.
      fisher_subsample: Most tasks whose curvature is used; only 0, all of them, is allowed. Unit:
        tasks. Source: tfcaml; every policy needs the curvature of its own task.
    """

    cg_iterations: int = 10
    fisher_subsample: int = 0


@settings.checked
@dataclasses.dataclass(frozen=True)
class NaturalPolicyGradientConfig(NoInnerStepsConfig):
    """Settings of the independent policies; `meta_batch_size` is their number.

    Attributes:
      meta_batch_size: Policies, one for each of the first training tasks. Source: tfcaml.
      outer: The outer step. Source: J. Schulman et al., ICML 2015 (TRPO).
      vime: The bonus for what steps teach of the dynamics; off by default. Source: R. Houthooft et
        al., NeurIPS 2016 (VIME).
    """

    outer: IndependentOuterConfig = IndependentOuterConfig()
    vime: VIMEConfig = VIMEConfig()

    def __post_init__(self) -> None:
        super().__post_init__()
        rule = "0: every policy needs the curvature of its own task"
        tasks = self.outer.fisher_subsample
        check(tasks == 0, "outer.fisher_subsample", tasks, rule)
        parts = self.outer.minibatches
        check(parts == 1, "outer.minibatches", parts, "1: every policy takes every step")
        clip = self.outer.max_grad_norm
        check(
            clip == 0,
            "outer.max_grad_norm",
            clip,
            "0: it would be the norm of all policies' gradients",
        )

    def stored(self, sizes: settings.Sizes, num_tasks: int) -> list[settings.Stored]:
        return [*super().stored(sizes, num_tasks), *vime.stored(self, sizes)]


class NaturalPolicyGradient(Curious, MAML):
    """meta = {"params": [N, ...]}: row i is the policy of task i, all from the same weights."""

    Config = NaturalPolicyGradientConfig
    evolves = False
    adapts_to_any_task = False

    def init(self, seed: int) -> Nest:
        return {"params": nest.repeat(self.policy.init(seed), self.config.meta_batch_size)}

    def training_tasks(
        self, population: Population, key: tf.Tensor
    ) -> tuple[Task, tf.Tensor | tuple[()]]:
        """The first training tasks, the same in every iteration: row i is policy i's."""
        return first_tasks(population, self.config.meta_batch_size)

    @property
    def episodes_per_iteration(self) -> int:
        return self.config.meta_batch_size * self.config.episodes_per_update

    def start(self, meta: Nest, num_tasks: int, key: tf.Tensor | tuple[()] = ()) -> FastState:
        rows = self.config.meta_batch_size
        rule = f"{num_tasks}, the number of tasks, as every one has its own policy"
        check(rows == num_tasks, "meta_batch_size", rows, rule)
        return FastState(meta["params"], tf.zeros([num_tasks]))

    def collect(
        self, meta: Nest, task: Task, key: tf.Tensor, index: tf.Tensor | tuple[()] = ()
    ) -> MetaBatch:
        fast = self.start(meta, nest.leading(task))
        trajectory = self.sample(fast.params, task, self.config.episodes_per_update, key)
        known = self.carry(fast, trajectory)
        if self.vime is not None:
            known["paid"] = trajectory.reward
            trajectory, known["gain"] = self.explored(trajectory, key)
        return MetaBatch((), self.query_experience(meta, fast, trajectory), known)

    def carry(self, fast: FastState, trajectory: Trajectory) -> dict[str, tf.Tensor]:
        """Whose episodes they are, [N] integers: an outer step may see some of the tasks alone."""
        return {"row": tf.range(trajectory.mask.shape[0])}

    def seen(self, batch: MetaBatch) -> tuple[Trajectory, tf.Tensor]:
        """(`Trajectory` with the rewards of the family, gain)."""
        trajectory, known = batch.query.trajectory, batch.per_task
        return trajectory._replace(reward=known["paid"]), known["gain"]

    def returns(self, batch: MetaBatch) -> list[tf.Tensor]:
        if self.vime is None:
            return super().returns(batch)
        return [tf.reduce_mean(episode_return(self.seen(batch)[0]))]

    def objective(self, meta: Nest, batch: MetaBatch) -> Surrogate:
        fast = self.start(meta, self.config.meta_batch_size)
        return self.surrogate(meta, nest.take(fast, batch.per_task["row"]), batch.query)
