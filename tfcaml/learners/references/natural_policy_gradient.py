"""Natural policy gradient: N independent policies, one per entity, by trust regions.

S. Kakade, "A natural policy gradient", NeurIPS 2001, in the form of TRPO (`trpo.trpo`): one
step for all policies with a bound on their mean divergence, so that most of it goes where most is
to be gained. Nothing else is shared between them. The experts whose divergence task similarity is
learned from.
"""

import dataclasses

import tensorflow as tf

from tfcaml import nest
from tfcaml.errors import check
from tfcaml.learners.gradient_based import GradientLearner, NoInnerStepsConfig
from tfcaml.types import FastState, MetaBatch


@dataclasses.dataclass(frozen=True)
class NaturalPolicyGradientConfig(NoInnerStepsConfig):
    """Settings of the independent policies; `meta_batch_size` is their number."""

    cg_iterations: int = 10  # of trpo's conjugate gradient: it solves for all policies at once
    fisher_subsample: int = 0  # all

    def __post_init__(self):
        super().__post_init__()
        rule = "0: every policy needs the curvature of its own task"
        check(self.fisher_subsample == 0, "fisher_subsample", self.fisher_subsample, rule)


class NaturalPolicyGradient(GradientLearner):
    """meta = {"params": [N, ...]}: row i is the policy of task i, all from the same weights."""

    Config = NaturalPolicyGradientConfig

    def init(self, seed):
        return {"params": nest.repeat(self.policy.init(seed), self.config.meta_batch_size)}

    def training_tasks(self, population, seed):
        """The first training entities, the same in every iteration: row i is policy i's."""
        rows, known = self.config.meta_batch_size, nest.leading(population.train)
        check(rows <= known, "meta_batch_size", rows, f"at most {known}, the training entities")
        return nest.map(lambda x: x[:rows], population.train)

    @property
    def episodes_per_iteration(self):
        return self.config.meta_batch_size * self.config.episodes_per_update

    def start(self, meta, num_tasks):
        rows = self.config.meta_batch_size
        rule = f"{num_tasks}, the number of tasks, as every one has its own policy"
        check(rows == num_tasks, "meta_batch_size", rows, rule)
        return FastState(meta["params"], tf.zeros([num_tasks]))

    def adapt(self, meta, fast, support):
        gradients = self.inner_gradient(fast.params, support)
        alpha = self.config.inner_learning_rate
        return self.descend(fast, gradients, nest.map(lambda _: alpha, gradients))

    def collect(self, meta, task, seed):
        trajectory = self.sample(meta["params"], task, self.config.episodes_per_update, seed)
        query = self.query_experience(meta["params"], trajectory)
        return MetaBatch((), query, self.credit(trajectory))

    def credit(self, trajectory):
        """Whose episodes they are, [N] integers: an outer step may see some of the tasks alone."""
        return tf.range(trajectory.mask.shape[0])

    def objective(self, meta, batch):
        return self.surrogate(nest.take(meta["params"], batch.per_task), batch.query)
