"""The one error a user is meant to read."""

import contextlib
import re

import tensorflow as tf


class ConfigError(ValueError):
    """Bad input. Its message names the thing, the value received and what is allowed."""


def check(condition, name, value, allowed):
    """Raises `ConfigError` "expected NAME to be ALLOWED; received NAME=VALUE" or does nothing."""
    if not condition:
        raise ConfigError(f"expected {name} to be {allowed}; received {name}={value!r}")


def check_positive(**named):
    """Every named number is > 0."""
    for name, value in named.items():
        check(value > 0, name, value, "> 0")


def check_one_of(name, value, allowed):
    """`value` is one of the names in `allowed`."""
    check(value in allowed, name, value, "one of " + ", ".join(map(str, allowed)))


@contextlib.contextmanager
def from_python():
    """Raises as itself a `ConfigError` of Python code that a graph called.

    TensorFlow raises an error of its own in its place, with pages of source lines around the one
    that says what happened. For a `with` block, or as the decorator of a function.
    """
    try:
        yield
    except tf.errors.OpError as error:
        ours = re.search(r"^ConfigError: (.+)$", error.message, re.MULTILINE)
        if ours is None:
            raise
        raise ConfigError(ours[1]) from None
