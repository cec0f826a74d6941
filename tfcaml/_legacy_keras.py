"""Makes `tf.keras` mean Keras 2, on which TF-Agents stands.

Up to TensorFlow 2.15 that is what it is. From 2.16 on TensorFlow takes Keras 3 unless the package
`tf-keras` is installed and the environment variable `TF_USE_LEGACY_KERAS` is 1 when `tf.keras` is
first used.
"""

import importlib
import importlib.metadata
import importlib.util
import os
import sys

_SWITCH = "TF_USE_LEGACY_KERAS"
_FIRST_WITH_KERAS_3 = (2, 16)


def ensure() -> None:
    """Sets the switch where it is needed.

    Raises:
      ImportError: the switch is set to 0, `tf-keras` is missing, or Keras 3 is already loaded.
    """
    version = _tensorflow_version()
    if version < _FIRST_WITH_KERAS_3:
        return
    if importlib.util.find_spec("tf_keras") is None:
        raise ImportError(
            f"tfcaml needs the package tf-keras beside TensorFlow {_text(version)}: "
            "pip install tf-keras"
        )
    if os.environ.get(_SWITCH, "1").lower() not in ("1", "true"):
        raise ImportError(
            f"tfcaml needs Keras 2, but {_SWITCH}={os.environ[_SWITCH]!r}: unset it or set it to 1."
        )
    os.environ[_SWITCH] = "1"
    if "tensorflow" in sys.modules:
        import tensorflow as tf

        # `tf.keras` goes by the switch at its first use, but `from tensorflow.keras import layers`,
        # which TF-Agents has, by the switch when TensorFlow was imported; and it is the last word.
        importlib.import_module("tensorflow.keras")
        if not tf.keras.Model.__module__.startswith("tf_keras"):
            raise ImportError(
                "TensorFlow was imported, and Keras 3 with it, before tfcaml. Import tfcaml first, "
                f"or set the environment variable {_SWITCH}=1 before Python starts."
            )


def _tensorflow_version() -> tuple[int, int]:
    for name in ("tensorflow", "tensorflow-cpu", "tf-nightly"):
        try:
            text = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
        major, minor = text.split(".")[:2]
        return int(major), int(minor)
    raise ImportError("tfcaml needs TensorFlow: pip install tensorflow")


def _text(version: tuple[int, ...]) -> str:
    return ".".join(map(str, version))
