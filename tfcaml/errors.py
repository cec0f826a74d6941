"""The errors a user is meant to read: one line each."""

import contextlib
import dataclasses
import difflib
import errno
import functools
import inspect
import operator
import os
import re
import types
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, TypeVar

import numpy as np
import tensorflow as tf

_Callable = TypeVar("_Callable", bound=Callable[..., Any])
_LONGEST = 300  # characters of a value in a message
_NEAR = 0.55  # from which a name is suggested in place of another, see `_likeness`


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


def shown(value: Any) -> str:
    """A value as messages have it, in one line: tensors and arrays by their shape and dtype."""
    if isinstance(value, tf.Tensor | tf.Variable | np.ndarray):
        dtype = getattr(value.dtype, "name", value.dtype)
        return f"an array of shape {value.shape} and dtype {dtype}"
    if isinstance(value, type):
        return f"the class {value.__name__}"
    kind = type(value).__name__
    if dataclasses.is_dataclass(value):
        return f"an instance of {kind}"
    if isinstance(value, Mapping) and any(map(_is_long, value.values())):
        named = [f"{key!r}: {shown(each)}" for key, each in list(value.items())[:4]]
        more = ", ..." if len(value) > 4 else ""
        return _shortened(f"{{{', '.join(named)}{more}}}")
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return f"a {kind}"
    if isinstance(value, list | tuple) and any(map(_is_long, value)):
        return f"a {kind} of {len(value)}, the first {_shortened(shown(value[0]))}"
    try:
        text = repr(value)
    except Exception:
        text = "<"
    # What Python says of an object that says nothing of itself, and of functions.
    return f"a {kind}" if text.startswith("<") else _shortened(text)


def check_is(name: str, value: Any, kind: type | tuple[type, ...], allowed: str) -> None:
    """Raises `ConfigError` unless a value is an instance of `kind`, which `allowed` describes."""
    check(isinstance(value, kind), name, value, allowed)


def check_whole(name: str, value: Any, least: int, most: int = 10**6, what: str = "") -> int:
    """A whole number of Python or NumPy from `least` to `most`, as a Python int.

    Args:
      name: what it is, for the message.
      value: what a user gave.
      least, most: what is allowed.
      what: what `most` counts, for the message.

    Raises:
      ConfigError: another number, or something else than a whole number, such as True or 2.0.
    """
    number = None if isinstance(value, bool | np.bool_) else as_index(value)
    fits = number is not None and least <= number <= most
    if not fits or number is None:
        raise _refusal(name, value, f"a whole number from {least} to {most}{what and ', '}{what}")
    return number


def as_index(value: Any) -> int | None:
    """A whole number of Python, NumPy or an eager tensor as a Python int; None of anything else."""
    try:
        return operator.index(value)
    except (TypeError, AttributeError):  # the second of a tensor that holds a string
        return None


def check_function(name: str, value: Any, arguments: Iterable[str]) -> None:
    """Raises `ConfigError` unless a value can be called with as many arguments as are named."""
    names = list(arguments)
    allowed = f"a function of ({', '.join(names)})"
    check(callable(value), name, value, allowed)
    try:
        inspect.signature(value).bind(*names)
    except TypeError:
        given = f"one of {inspect.signature(value)}"
        raise ConfigError(f"expected {name} to be {allowed}; received {given}") from None
    except ValueError:  # a built-in function or class does not tell its arguments
        check(not isinstance(value, type), name, value, allowed)


def no_such(problem: str, name: str, names: Iterable[str]) -> ConfigError:
    """A `ConfigError` of a name that is not one of `names`: "PROBLEM 'NAME'; did you mean ...?".

    Of dotted names, the ones with the fewest dots are told as what is allowed; the one that is
    suggested may be any of them.
    """
    names = list(names)
    near = max(names, key=lambda other: _likeness(name, other), default="")
    hint = f"did you mean {near}? " if near and _likeness(name, near) >= _NEAR else ""
    fewest = min((each.count(".") for each in names), default=0)
    told = ", ".join(each for each in names if each.count(".") == fewest)
    allowed = f"allowed are {told}" if told else "there are none"
    return ConfigError(f"{problem} {shown(name)}; {hint}{allowed}")


def checked_call(function: _Callable) -> _Callable:
    """A function that refuses arguments which it does not have by a `ConfigError` of one line.

    Python raises a `TypeError` there. The message names the argument that is nearest; of a class
    with a `Config`, the fields of that are among them, as config.FIELD. For the decorator of a
    function or of `__init__`.
    """
    signature = inspect.signature(function)

    @functools.wraps(function)
    def called(*args: Any, **kwargs: Any) -> Any:
        try:
            signature.bind(*args, **kwargs)
        except TypeError as error:
            raise _misfit(function, signature, args, kwargs, error) from None
        return function(*args, **kwargs)

    return called  # type: ignore[return-value]


def field_names(config_class: type, above: str = "") -> list[str]:
    """The names of a dataclass's fields, each with `above` before it; GROUP.FIELD in groups."""
    defaults, found = defaults_of(config_class), []
    for field in dataclasses.fields(config_class):
        found.append(f"{above}{field.name}")
        group = defaults.get(field.name)
        if dataclasses.is_dataclass(group):
            found += field_names(type(group), f"{found[-1]}.")
    return found


def check_utf8(name: str, path: str | os.PathLike[str]) -> None:
    """Raises `ConfigError` unless a path is text that UTF-8 has: TensorFlow takes no other."""
    try:
        str(path).encode()
    except UnicodeEncodeError:
        raise ConfigError(f"expected {name} to be UTF-8; received {name}={str(path)!r}") from None


def check_positive(**named: Any) -> None:
    """Every named number is > 0 and finite."""
    for name, value in named.items():
        fits = isinstance(value, int | float | np.number) and not isinstance(value, bool)
        check(fits and value > 0, name, value, "> 0")
        check(value < np.inf, name, value, "finite")


def check_one_of(name: str, value: Any, allowed: Iterable[Any]) -> None:
    """`value` is one of the names in `allowed`."""
    fits = isinstance(value, str | int | np.integer) and value in allowed
    check(fits, name, value, "one of " + ", ".join(map(str, allowed)))


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
def renamed(field: str, setting: str) -> Iterator[None]:
    """Names a field that a `ConfigError` refuses as the setting that it is from. For a `with`."""
    try:
        yield
    except ConfigError as error:
        if error.refused is None or error.refused[0] != field:
            raise
        raise _refusal(setting, *error.refused[1:]) from None


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
    error = ConfigError(f"expected {name} to be {allowed}; received {name}={shown(value)}")
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


def _misfit(
    function: Callable[..., Any],
    signature: inspect.Signature,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    error: TypeError,
) -> ConfigError:
    """What is wrong with the arguments of a call."""
    names, called = list(signature.parameters), function.__qualname__
    own: Any = None  # the class, of a method
    if names[:1] in (["self"], ["cls"]) and args:
        own = args[0] if isinstance(args[0], type) else type(args[0])
        called = own.__name__ + ("" if function.__name__ == "__init__" else f".{function.__name__}")
        names = names[1:]
        config: Any = getattr(own, "Config", None) if function.__name__ == "__init__" else None
        if isinstance(own, type) and dataclasses.is_dataclass(own):
            names = field_names(own)
        elif dataclasses.is_dataclass(config):
            names += field_names(config, "config.")
    kind = "field" if dataclasses.is_dataclass(own) else "argument"
    for name in kwargs:
        if name not in signature.parameters:
            return no_such(f"{called}: unknown {kind}", name, names)
    return ConfigError(f"{called}: {error}")


def _likeness(name: str, other: str) -> float:
    """How likely a user means `other`, a name that may be dotted, by `name`; alike ones have 1."""
    last, name = other.rpartition(".")[2], name.rpartition(".")[2]
    ratio = difflib.SequenceMatcher(None, name.lower(), last.lower()).ratio()
    letters = iter(last)
    short = last[:1] == name[:1] and all(letter in letters for letter in name)  # lr: learning_rate
    return ratio + 0.5 * short


def _is_long(value: Any) -> bool:
    return not isinstance(value, str | int | float | complex | bool | type(None))


def _shortened(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 4]} ..."
