"""The errors a user is meant to read: one line each."""

import contextlib
import dataclasses
import errno
import operator
import os
import re
import types
from collections.abc import Iterable, Iterator
from typing import Any

import tensorflow as tf


class ConfigError(ValueError):
    """Bad input. Its message names the thing, the value received and what is allowed.

    Attributes:
      refused: (name, value, allowed) as `check` was told; None of an error that is not of `check`.
    """

    refused: tuple[str, Any, str] | None = None


class NotFiniteError(ConfigError):
    """NaN or infinity where a number is needed."""


class RunError(RuntimeError):
    """What ends a run that was set up rightly: an environment or an update that failed too often.

    Its message names what failed, and how to see it again.
    """


class WriteError(OSError):
    """A file that the disk would not take. Its message names the file and the cause."""


# What a full, failing or read-only disk says.
_CAUSES = [
    os.strerror(number)
    for number in (
        *(errno.ENOSPC, errno.EDQUOT, errno.EFBIG),
        *(errno.EROFS, errno.EACCES, errno.EPERM, errno.EIO),
    )
]


def check(condition: Any, name: str, value: Any, allowed: str) -> None:
    """Raises `ConfigError` "expected NAME to be ALLOWED; received NAME=VALUE" or does nothing."""
    if not condition:
        raise _refusal(name, value, allowed)


def check_utf8(name: str, path: str | os.PathLike[str]) -> None:
    """Raises `ConfigError` unless a path is text that UTF-8 has: TensorFlow takes no other."""
    try:
        str(path).encode()
    except UnicodeEncodeError:
        raise ConfigError(f"expected {name} to be UTF-8; received {name}={str(path)!r}") from None


def check_positive(**named: Any) -> None:
    """Every named number is > 0."""
    for name, value in named.items():
        check(value > 0, name, value, "> 0")


def check_one_of(name: str, value: Any, allowed: Iterable[Any]) -> None:
    """`value` is one of the names in `allowed`."""
    check(value in allowed, name, value, "one of " + ", ".join(map(str, allowed)))


def check_acts(config: Any, names: Iterable[str], acts: Any, where: str) -> None:
    """Refuses settings that cannot act in the company of the others, unless left at their defaults.

    Args:
      config: an instance of a dataclass.
      names: of its fields, each of which has a default; GROUP.FIELD of a field in a group, GROUP of
        all that are in it.
      acts: whether they can act.
      where: where they can, as the end of a sentence: "with outer.optimizer=ppo".

    Raises:
      ConfigError: one that cannot act and is not at its default.
    """
    if acts:
        return
    defaults = types.SimpleNamespace(**defaults_of(type(config)))
    for name in names:
        of_name = operator.attrgetter(name)
        for field, value, default in _side_by_side(of_name(config), of_name(defaults), name):
            check(value == default, field, value, f"left at {default!r}, as it acts only {where}")


def defaults_of(config_class: type) -> dict[str, Any]:
    """The defaults of a dataclass's fields: dict name -> value, without those that have none."""
    defaults = {}
    for field in dataclasses.fields(config_class):
        if field.default is not dataclasses.MISSING:
            defaults[field.name] = field.default
        elif field.default_factory is not dataclasses.MISSING:
            defaults[field.name] = field.default_factory()
    return defaults


@contextlib.contextmanager
def within(where: str) -> Iterator[None]:
    """Says of a `ConfigError` where it is from: "WHERE: its message". For a `with` block."""
    try:
        yield
    except ConfigError as error:
        raise ConfigError(f"{where}: {error}") from None


@contextlib.contextmanager
def within_group(group: str) -> Iterator[None]:
    """Names the field of a `ConfigError` with its group: GROUP.FIELD. For a `with` block."""
    try:
        yield
    except ConfigError as error:
        if error.refused is None:
            raise ConfigError(f"{group}: {error}") from None
        name, value, allowed = error.refused
        raise _refusal(f"{group}.{name}", value, allowed) from None


@contextlib.contextmanager
def from_python() -> Iterator[None]:
    """Raises as itself a `ConfigError` or `RunError` of Python code that a graph called.

    TensorFlow raises an error of its own in its place, with pages of source lines around the one
    that says what happened. For a `with` block, or as the decorator of a function.
    """
    try:
        yield
    except tf.errors.OpError as error:
        ours = re.search(r"^(ConfigError|RunError): (.+)$", error.message, re.MULTILINE)
        if ours is None:
            raise
        kind = ConfigError if ours[1] == "ConfigError" else RunError
        raise kind(ours[2]) from None


@contextlib.contextmanager
def writing(path: str | os.PathLike[str] | None = None) -> Iterator[None]:
    """Raises a `WriteError` of one line in place of what Python or TensorFlow say of a full disk.

    Other errors stay as they are. For a `with` block, or as the decorator of a function.

    Args:
      path: what is written, and all that the block does: any `OSError` is of it. Unless given, the
        file that the error names.
    """
    try:
        yield
    except WriteError:
        raise
    except (OSError, tf.errors.OpError) as error:
        text = str(error)
        cause = next((cause for cause in _CAUSES if cause in text), None)
        cause = cause or (getattr(error, "strerror", None) if path else None)
        if cause is None:
            raise
        named = re.search(rf"(\S+); {cause}", text)  # as TensorFlow has it
        path = path or getattr(error, "filename", None) or (named[1] if named else "a file")
        message = f"cannot write {path}: {cause}; what was saved before is as it was"
        raise WriteError(message) from None


def _refusal(name: str, value: Any, allowed: str) -> ConfigError:
    error = ConfigError(f"expected {name} to be {allowed}; received {name}={value!r}")
    error.refused = name, value, allowed
    return error


def _side_by_side(value: Any, default: Any, name: str) -> Iterator[tuple[str, Any, Any]]:
    """(dotted name, value, default) of a setting, or of each one that a group of them holds."""
    if not dataclasses.is_dataclass(default):
        yield name, value, default
        return
    for field in dataclasses.fields(default):
        pair = getattr(value, field.name), getattr(default, field.name)
        yield from _side_by_side(*pair, f"{name}.{field.name}")
