"""ProMP: proximal meta-policy search.

J. Rothfuss, D. Lee, I. Clavera, T. Asfour, P. Abbeel, "ProMP: Proximal meta-policy search", ICLR
2019, Algorithm 1. The inner step descends the likelihood ratio ("low variance curvature"); the
outer loss is

    - mean min(r A', clip(r, 1 - eps, 1 + eps) A')  +  eta KL(pi_theta,old || pi_theta)

where r compares the policies adapted from theta with those that acted, and the penalty keeps the
initial policy, which sampled the first support, near itself. Several Adam steps on one batch.

Differences from the paper: none known; eta is fixed, as in the authors' run script. (Their code
takes the mean penalty over the policies of all inner steps, which is the same for one step.)
"""

import dataclasses

import tensorflow as tf

from tfcaml import losses, settings
from tfcaml.errors import check, check_acts
from tfcaml.learners.maml import MAML, MAMLConfig
from tfcaml.optimization.config import OuterConfig
from tfcaml.policies import distributions
from tfcaml.types import Experience, MetaBatch, Nest, Params, Surrogate


@settings.checked
@dataclasses.dataclass(frozen=True)
class ProMPConfig(MAMLConfig):
    """Settings of ProMP; sources: the authors' run script `pro-mp_run_mujoco.py`.

    Attributes:
      meta_batch_size: Tasks in each iteration. Source: ProMP's code, `pro-mp_run_mujoco.py`: 40.
      inner_estimator: The inner loss, a name in `losses.ESTIMATORS`. Source: ProMP paper, section 5
        ("low variance curvature").
      outer: The outer step. Source: ProMP paper, Algorithm 1.
      kl_penalty: Eta, the weight of the divergence of the initial policy from the one that sampled
        the support; it stays fixed. Source: ProMP's code: 5e-4.
    """

    meta_batch_size: int = 40
    inner_estimator: str = "likelihood_ratio"
    outer: OuterConfig = OuterConfig(optimizer="ppo")
    kl_penalty: float = 5e-4

    def __post_init__(self) -> None:
        super().__post_init__()
        check(self.kl_penalty >= 0, "kl_penalty", self.kl_penalty, ">= 0")
        # Where the policy has not moved yet the divergence is at its minimum, of gradient 0.
        where = "with outer.optimizer=trpo, or ppo of outer.steps > 1"
        check_acts(self, ("kl_penalty",), self.outer.moves_on_a_batch, where)


class ProMP(MAML):
    """meta = {"params": theta}."""

    Config = ProMPConfig
    config: ProMPConfig
    evolves = False

    def objective(self, meta: Nest, batch: MetaBatch) -> Surrogate:
        initial = self.start(meta, batch.query.weight.shape[0])
        penalty = self._divergence(self.acting(meta, initial), batch.support[0])
        fast = self.readapt(meta, batch)
        result = self.surrogate(meta, fast, batch.query)
        return result._replace(loss=result.loss + self.config.kl_penalty * penalty)

    def _divergence(self, params: Params, support: Experience) -> tf.Tensor:
        """KL(behaviour || params) on the support, [N]."""
        trajectory = support.trajectory
        distribution = losses.action_distribution(self.policy, params, trajectory)
        behaviour = distributions.rebuild(distribution, support.distribution)
        return losses.mean_kl(behaviour, distribution, trajectory.mask)
