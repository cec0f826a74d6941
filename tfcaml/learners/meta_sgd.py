"""Meta-SGD: learn the step size, and so the direction, of every weight with the initialisation.

Z. Li, F. Zhou, F. Chen, H. Li, "Meta-SGD: Learning to learn quickly for few-shot learning", arXiv
1707.09835, Algorithm 2:

    theta_i' = theta - alpha o grad_theta L_i(theta)

with alpha of the shape of theta, unbounded (a step size may become negative), and both theta and
alpha lowered by the outer step.

Differences from the paper:
  - alpha starts at one number, not at random ones, and the outer step is that of MAML-RL: the
    paper's own settings for reinforcement learning are not published.
"""

import dataclasses

import tensorflow as tf

from tfcaml import nest, settings
from tfcaml.learners.maml import MAML, MAMLConfig
from tfcaml.types import Nest


@settings.checked
@dataclasses.dataclass(frozen=True)
class MetaSGDConfig(MAMLConfig):
    """Settings of Meta-SGD; `inner_learning_rate` is what every alpha starts at.

    Attributes:
      inner_learning_rate: Alpha, what the learned step size of every weight starts at. Source:
        tfcaml, MAML's; Meta-SGD's settings for reinforcement learning are not published.
    """


class MetaSGD(MAML):
    """meta = {"params": theta, "rates": alpha}."""

    Config = MetaSGDConfig

    def init(self, seed: int) -> Nest:
        params = self.policy.init(seed)
        alpha = self.config.inner_learning_rate
        return {"params": params, "rates": nest.map(lambda p: alpha * tf.ones_like(p), params)}

    def rates(self, meta: Nest, gradients: Nest) -> Nest:
        return meta["rates"]
