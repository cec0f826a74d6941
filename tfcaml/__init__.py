"""tfcaml: meta-reinforcement learning for TensorFlow and TF-Agents.

Importing the package first makes sure that `tf.keras` is Keras 2, which TF-Agents is written for.
"""

import pathlib

from tfcaml import _legacy_keras, quiet

__version__ = "0.1.0"

# In a checkout, tfcaml.launchers and tfcaml.configs are the folders beside this one.
_CHECKOUT = pathlib.Path(__file__).parents[1]
if all((_CHECKOUT / name).exists() for name in ("setup.py", "launchers", "configs")):
    __path__.append(str(_CHECKOUT))

with quiet.imports():
    _legacy_keras.ensure()

    from tfcaml import agents, divergence, environments, learners, policies
    from tfcaml.evaluation import evaluate
    from tfcaml.training import train

__all__ = ["agents", "divergence", "environments", "evaluate", "learners", "policies", "train"]
