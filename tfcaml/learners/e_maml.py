"""E-MAML: MAML that also learns to explore before it adapts.

B. Stadie et al., "Some considerations on learning to explore via meta-reinforcement learning",
arXiv 1803.01118, equation 4: the initial policy is credited with the return of the adapted one, by
the term that differentiates the sampling of the support,

    - R_i' mean over support steps of log pi_theta(a | s)

added to MAML's loss. R_i' is the mean return of task i's episodes after adaptation.

Differences from the paper:
  - R_i' is standardised over the tasks of the batch, which is a baseline and a scale: the weight
    of the term does not depend on how large returns are. (The code of ProMP, J. Rothfuss et al.,
    ICLR 2019, credits the mean reward per step instead, divided by the standard deviation of all
    single rewards. Per step, a task whose episodes end early is credited for nothing where every
    step earns the same, and is punished where arriving ends the episode.)
  - The outer step is TRPO, as in MAML; the authors' code uses PPO.
  - With several inner steps each policy on the way is credited for the support that it sampled.
"""

import dataclasses

import tensorflow as tf

from tfcaml import losses, settings
from tfcaml.advantages import baselines
from tfcaml.errors import check
from tfcaml.learners.maml import MAML, MAMLConfig
from tfcaml.types import FastState, MetaBatch, Nest, Surrogate, Trajectory, episode_return


@settings.checked
@dataclasses.dataclass(frozen=True)
class EMAMLConfig(MAMLConfig):
    """Settings of E-MAML.

    Attributes:
      exploration_weight: Weight of the term that credits the initial policy with the return of the
        adapted one. Source: E-MAML's code: 1.
    """

    exploration_weight: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        weight = self.exploration_weight
        check(weight >= 0, "exploration_weight", weight, ">= 0")
        check(self.meta_batch_size >= 2, "meta_batch_size", self.meta_batch_size, ">= 2")


class EMAML(MAML):
    """meta = {"params": theta}."""

    Config = EMAMLConfig
    config: EMAMLConfig
    evolves = False

    def carry(self, fast: FastState, trajectory: Trajectory) -> tf.Tensor:
        """R_i': mean return of each task's episodes, standardised over tasks: [N]."""
        mean_return = tf.reduce_mean(episode_return(trajectory), axis=1)
        return baselines.standardized(mean_return)

    def objective(self, meta: Nest, batch: MetaBatch) -> Surrogate:
        fast = self.start(meta, batch.per_task.shape[0])
        sampling = tf.zeros_like(batch.per_task)
        for support in batch.support:
            trajectory = support.trajectory
            log_prob = losses.action_log_prob(self.policy, self.acting(meta, fast), trajectory)
            sampling -= batch.per_task * losses.mean_over_steps(log_prob, trajectory.mask)
            fast = self.adapt(meta, fast, support)
        result = self.surrogate(meta, fast, batch.query)
        weight = self.config.exploration_weight
        return result._replace(loss=result.loss + weight * sampling)
