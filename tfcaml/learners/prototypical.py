"""Prototypical networks: an image is of the class whose mean is nearest, in a learned space.

J. Snell, K. Swersky, R. Zemel, "Prototypical networks for few-shot learning", NeurIPS 2017,
equations 1 and 2. A class's prototype is the mean of what the network makes of its support, and the
logit of a class is minus the squared distance to it,

    -|z - p|^2 = 2 z p - |p|^2 - |z|^2,

which, but for what all classes share, is linear in z: adaptation puts 2 p and -|p|^2 into the
network's linear layer (section 2.4), and the outer step lowers the cross-entropy of the queries
through it. There is no inner gradient, and a second adaptation step changes nothing.

Differences from the paper: the network is that of `maml_classification`, and training tasks have as
many classes as test tasks, where the paper trains with 60.
"""

from __future__ import annotations

import dataclasses
from typing import ClassVar

import tensorflow as tf

from tfcaml import settings
from tfcaml.learners.classification import ClassificationConfig, MAMLClassification
from tfcaml.types import Experience, FastState, Nest


@settings.checked
@dataclasses.dataclass(frozen=True)
class PrototypicalConfig(ClassificationConfig):
    """Settings of prototypical networks; those of MAML on Omniglot where the two have the same."""

    inner_updates: ClassVar[int] = 1
    first_order: ClassVar[bool] = False


class Prototypical(MAMLClassification):
    """meta = {"params": theta}, whose linear layer is not used."""

    Config = PrototypicalConfig

    def adapt(self, meta: Nest, fast: FastState, support: Experience) -> FastState:
        images = support.trajectory.observation[:, :, 0]
        features = self.policy.features(fast.params, images)
        way = self.environment.config.way
        label = tf.one_hot(support.trajectory.action[:, :, 0], way, dtype=features.dtype)
        total = tf.einsum("nbw,nbf->nwf", label, features)
        prototype = total / tf.reduce_sum(label, axis=1)[..., None]
        head = {
            "kernel": 2 * tf.linalg.matrix_transpose(prototype),
            "bias": -tf.reduce_sum(prototype**2, axis=-1),
        }
        return fast._replace(params={**fast.params, "head": head}, slots=fast.slots + 1)
