"""Meta-learners and the baselines they are compared with; one file per method."""

from tfcaml.learners.adapt_sv import AdaptSV
from tfcaml.learners.anil import ANIL
from tfcaml.learners.base import LearnerConfig, MetaLearner
from tfcaml.learners.caml.config import CAMLConfig
from tfcaml.learners.caml.learner import CAML
from tfcaml.learners.cavia import CAVIA
from tfcaml.learners.classification import MAMLClassification
from tfcaml.learners.e_maml import EMAML
from tfcaml.learners.epg import EPG
from tfcaml.learners.gradient_based import GradientConfig, GradientLearner
from tfcaml.learners.hindsight.alternatives import HindsightCloning, HindsightRelabelling
from tfcaml.learners.hindsight.maml import HindsightMAML, HindsightMAMLConfig
from tfcaml.learners.imitation.cloning import Cloning
from tfcaml.learners.imitation.conditioned import Contextual, RecurrentCloning
from tfcaml.learners.imitation.mil import MIL
from tfcaml.learners.maesn import MAESN, LatentSpace
from tfcaml.learners.maml import FOMAML, MAML
from tfcaml.learners.meta_gradient import MetaGradient
from tfcaml.learners.meta_sgd import MetaSGD
from tfcaml.learners.mlsh import MLSH
from tfcaml.learners.promp import ProMP
from tfcaml.learners.prototypical import Prototypical
from tfcaml.learners.references.actor_critic import A2C, VTrace
from tfcaml.learners.references.few_shot import NearestNeighbour, PretrainedClassification
from tfcaml.learners.references.joint import Joint, JointMixed, RandomInitialization
from tfcaml.learners.references.matched import Matched, Unmatched
from tfcaml.learners.references.natural_policy_gradient import NaturalPolicyGradient
from tfcaml.learners.references.policy_gradient import PolicyGradient
from tfcaml.learners.references.ppo import PPO
from tfcaml.learners.references.pretrained import Oracle, Pretrained
from tfcaml.learners.reptile import Reptile
from tfcaml.learners.rl2 import RL2
from tfcaml.learners.supervised import MAMLRegression, PretrainedRegression
from tfcaml.learners.tesp import TESP

# name in a config -> class
LEARNERS = {
    "a2c": A2C,
    "adapt_sv": AdaptSV,
    "anil": ANIL,
    "caml": CAML,
    "cavia": CAVIA,
    "cloning": Cloning,
    "contextual": Contextual,
    "e_maml": EMAML,
    "epg": EPG,
    "fomaml": FOMAML,
    "hindsight_cloning": HindsightCloning,
    "hindsight_maml": HindsightMAML,
    "hindsight_relabelling": HindsightRelabelling,
    "joint": Joint,
    "joint_mixed": JointMixed,
    "latent_space": LatentSpace,
    "maesn": MAESN,
    "maml": MAML,
    "maml_classification": MAMLClassification,
    "maml_regression": MAMLRegression,
    "matched": Matched,
    "meta_gradient": MetaGradient,
    "meta_sgd": MetaSGD,
    "mil": MIL,
    "mlsh": MLSH,
    "natural_policy_gradient": NaturalPolicyGradient,
    "nearest_neighbour": NearestNeighbour,
    "oracle": Oracle,
    "policy_gradient": PolicyGradient,
    "ppo": PPO,
    "pretrained": Pretrained,
    "pretrained_classification": PretrainedClassification,
    "pretrained_regression": PretrainedRegression,
    "promp": ProMP,
    "random": RandomInitialization,
    "recurrent_cloning": RecurrentCloning,
    "prototypical": Prototypical,
    "reptile": Reptile,
    "rl2": RL2,
    "tesp": TESP,
    "unmatched": Unmatched,
    "vtrace": VTrace,
}

__all__ = [
    "A2C",
    "ANIL",
    "CAML",
    "CAVIA",
    "EMAML",
    "EPG",
    "FOMAML",
    "LEARNERS",
    "MAESN",
    "MAML",
    "MIL",
    "MLSH",
    "PPO",
    "RL2",
    "TESP",
    "AdaptSV",
    "CAMLConfig",
    "Cloning",
    "Contextual",
    "GradientConfig",
    "GradientLearner",
    "HindsightCloning",
    "HindsightMAML",
    "HindsightMAMLConfig",
    "HindsightRelabelling",
    "Joint",
    "JointMixed",
    "LatentSpace",
    "LearnerConfig",
    "MAMLClassification",
    "MAMLRegression",
    "Matched",
    "MetaGradient",
    "MetaLearner",
    "MetaSGD",
    "NaturalPolicyGradient",
    "NearestNeighbour",
    "Oracle",
    "PolicyGradient",
    "Pretrained",
    "PretrainedClassification",
    "PretrainedRegression",
    "ProMP",
    "Prototypical",
    "RandomInitialization",
    "RecurrentCloning",
    "Reptile",
    "Unmatched",
    "VTrace",
]
