"""The commands of tfcaml, `tfcaml NAME --help`.

In a checkout `python -m launchers.NAME` runs them too.
"""

import gc
import warnings

import tfcaml  # noqa: F401

# TF-Agents' code as TensorFlow rewrites it.
warnings.filterwarnings("ignore", '"is not" with', SyntaxWarning)
# What the imports made stays, so that it need not be looked through for garbage.
gc.freeze()
