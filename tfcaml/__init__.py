"""tfcaml: meta-reinforcement learning for TensorFlow and TF-Agents.

Importing the package first makes sure that `tf.keras` is Keras 2, which TF-Agents is written for.
"""

from tfcaml import _legacy_keras

_legacy_keras.ensure()

__version__ = "0.1.0"

from tfcaml import (  # noqa: E402  (needs Keras 2)
    agents,
    divergence,
    environments,
    learners,
    policies,
)
from tfcaml.evaluation import evaluate  # noqa: E402
from tfcaml.training import train  # noqa: E402

__all__ = ["agents", "divergence", "environments", "evaluate", "learners", "policies", "train"]
