"""What importing the package does, in processes of their own."""

import importlib.metadata
import os
import subprocess
import sys

import pytest

import tfcaml  # noqa: F401

SWITCH = "TF_USE_LEGACY_KERAS"
VERSION = tuple(map(int, importlib.metadata.version("tensorflow").split(".")[:2]))
needs_keras_3 = pytest.mark.skipif(VERSION < (2, 16), reason="TensorFlow has Keras 2 only")


def run(program, **environment):
    """(output, last line of the errors) of a Python program without the switch set."""
    inherited = {name: value for name, value in os.environ.items() if name != SWITCH}
    result = subprocess.run(
        [sys.executable, "-c", program],
        env={**inherited, "TF_CPP_MIN_LOG_LEVEL": "3", **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    return result.stdout.strip(), result.stderr.strip().rsplit("\n", 1)[-1]


def test_keras_is_keras_2_here():
    import tensorflow as tf
    from tensorflow.keras import layers

    for cls in (tf.keras.Model, tf.keras.layers.Layer, layers.Layer):
        assert cls.__module__.startswith(("tf_keras.src", "keras.src.engine"))
    assert VERSION < (2, 16) or os.environ[SWITCH] == "1"


@needs_keras_3
def test_switched_off_is_an_error_that_says_what_to_do():
    program = "import tfcaml"
    output, error = run(program, **{SWITCH: "0"})
    assert output == ""
    assert error.startswith("ImportError: tfcaml needs Keras 2, but TF_USE_LEGACY_KERAS='0'")
    assert "unset it or set it to 1" in error


@needs_keras_3
@pytest.mark.slow
@pytest.mark.parametrize("use", ["", "tf.keras.Model"])
def test_tensorflow_imported_first_is_an_error_that_says_what_to_do(use):
    """Whether its Keras was used or not: TF-Agents would come to use it."""
    output, error = run(f"import tensorflow as tf; {use or 0}; print('here'); import tfcaml")
    assert output == "here"
    assert error.startswith("ImportError: TensorFlow was imported, and Keras 3 with it")
    assert "Import tfcaml first" in error and "TF_USE_LEGACY_KERAS=1" in error
