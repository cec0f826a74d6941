"""Meta-learners and the baselines they are compared with; one file per method."""

from tfcaml.learners.base import LearnerConfig, MetaLearner
from tfcaml.learners.caml import CAML, CAMLConfig
from tfcaml.learners.joint import Joint, RandomInitialization
from tfcaml.learners.maml import FOMAML, MAML
from tfcaml.learners.policy_gradient import PolicyGradient
from tfcaml.learners.reptile import Reptile

# name in a config -> class
LEARNERS = {
    "caml": CAML,
    "fomaml": FOMAML,
    "joint": Joint,
    "maml": MAML,
    "policy_gradient": PolicyGradient,
    "random": RandomInitialization,
    "reptile": Reptile,
}

__all__ = [
    "CAML",
    "FOMAML",
    "MAML",
    "LEARNERS",
    "CAMLConfig",
    "Joint",
    "LearnerConfig",
    "MetaLearner",
    "PolicyGradient",
    "RandomInitialization",
    "Reptile",
]
