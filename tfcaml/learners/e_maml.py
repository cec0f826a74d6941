"""E-MAML: MAML that also learns to explore before it adapts.

B. Stadie et al., "Some considerations on learning to explore via meta-reinforcement learning",
arXiv 1803.01118: the initial policy is credited with what the adapted one earns, by
the term that differentiates the sampling of the support,

    - R_i' mean over support steps of log pi_theta(a | s)

added to MAML's loss. R_i' is the mean reward of task i after adaptation.

Differences from the paper:
  - R_i' is standardised over the tasks of the batch, as in the code of ProMP (J. Rothfuss et al.,
    ICLR 2019), from which the outer step (TRPO) is taken as well; the authors' code uses PPO.
  - With several inner steps each policy on the way is credited for the support that it sampled.
"""

import dataclasses

import tensorflow as tf

from tfcaml import losses
from tfcaml.errors import check
from tfcaml.learners.maml import MAML, MAMLConfig


@dataclasses.dataclass(frozen=True)
class EMAMLConfig(MAMLConfig):
    """Settings of E-MAML."""

    exploration_weight: float = 1.0  # of the sampling term (paper's code: 1)

    def __post_init__(self):
        super().__post_init__()
        weight = self.exploration_weight
        check(weight >= 0, "exploration_weight", weight, ">= 0")
        check(self.meta_batch_size >= 2, "meta_batch_size", self.meta_batch_size, ">= 2")


class EMAML(MAML):
    """meta = {"params": theta}."""

    Config = EMAMLConfig

    def credit(self, trajectory):
        """Mean reward per living step of each task, standardised over tasks: [N]."""
        reward = losses.mean_over_steps(trajectory.reward, trajectory.mask)
        deviation = reward - tf.reduce_mean(reward)
        return deviation / (tf.math.reduce_std(reward) + 1e-8)

    def objective(self, meta, batch):
        fast = self.start(meta, batch.per_task.shape[0])
        sampling = tf.zeros_like(batch.per_task)
        for support in batch.support:
            trajectory = support.trajectory
            log_prob = losses.action_log_prob(self.policy, fast.params, trajectory)
            sampling -= batch.per_task * losses.mean_over_steps(log_prob, trajectory.mask)
            fast = self.adapt(meta, fast, support)
        result = self.surrogate(fast.params, batch.query)
        weight = self.config.exploration_weight
        return result._replace(loss=result.loss + weight * sampling)
