"""Whether a config's fields are of their types, and no number among them is absurd.

A config comes from a user, or from a run directory that somebody else made: it is held against the
dataclass that it fills before anything is made of it. A field whose default is a dataclass itself
is a group of fields: a dict in its place gives what differs from that default. Fields in a group
are named with dots, GROUP.FIELD.
"""

import dataclasses
import functools
import inspect
import itertools
import json
import math
import re
import textwrap
import typing
from collections.abc import Sequence
from typing import Any, NamedTuple, TypeVar

import numpy as np
import tensorflow as tf

from tfcaml.errors import (
    ConfigError,
    check,
    checked_call,
    defaults_of,
    field_names,
    no_such,
    within,
    within_group,
)

_Config = TypeVar("_Config")

# Bounds far beyond any study, so that a slip of the hand is one line and not a full memory.
MOST = 10**6  # of any whole number but those of iterations and intervals
# Largest number of iterations or of iterations between two things.
MOST_ITERATIONS = 10**9
# Seeds of a run, at most.
MOST_SEEDS = 1000
# Hidden layers, at most.
MOST_LAYERS = 100
MOST_NUMBERS = 10**9  # that the tasks of a batch hold, see `check_sizes`; 4 GB
_LARGEST = 2.0**127  # of the numbers that float32 has
# An entry of an Attributes section: NAME: TEXT or NAME (TYPE, default VALUE): TEXT.
_ENTRY = re.compile(r"  (\w+)(?: \(.*?, default .*?\))?: (.*(?:\n    .*)*)")


def as_json(value: Any) -> Any:
    """A value as it comes back from a JSON file: tuples are lists.

    JSON has neither infinity nor NaN, and most programs refuse a file with these words: null stands
    for them. `filled` takes null for infinity in the fields that may be infinite.
    """
    return json.loads(json.dumps(value), parse_constant=lambda _: None)


def filled(where: str, config_class: type, options: Any) -> Any:
    """A dataclass of a config's options.

    Args:
      where: what they are of, for messages.
      config_class: a dataclass. Fields of type int, float, bool, str, dict and tuple are checked,
        and those in groups; those whose metadata has "infinite" may be infinite.
      options: dict, with dicts for groups. None stands for infinity in a field that may be
        infinite, see `as_json`.

    Raises:
      ConfigError: an unknown or missing field, one of another type, not a number or too large; or
        what the dataclass itself refuses.
    """
    check(isinstance(options, dict), where, options, "a dict of fields")
    with within(where):
        values = _values(config_class, options)
        known = {*values, *defaults_of(config_class)}
        for field in dataclasses.fields(config_class):
            if field.name not in known:
                names = ", ".join(field.name for field in dataclasses.fields(config_class))
                raise ConfigError(f"missing field {field.name!r}; allowed are {names}")
        return config_class(**values)


def fill_groups(config: Any) -> None:
    """Checks a dataclass's fields, and puts a group in the place of each dict given for one.

    For `__post_init__` of a frozen dataclass.

    Raises:
      ConfigError: as of `filled`; or something else than a dict or such a group.
    """
    names = [field.name for field in dataclasses.fields(config)]
    values = _values(type(config), {name: getattr(config, name) for name in names})
    for name, value in values.items():
        object.__setattr__(config, name, value)


def checked(config_class: type[_Config]) -> type[_Config]:
    """A dataclass that refuses what is no field of it, and values of other types than its fields'.

    A dict in the place of a group of fields gives what differs from the default group. The
    docstring is completed too, see `documented`. For the decorator of a frozen dataclass, above
    `dataclasses.dataclass`; dataclasses derived from it without it are checked where their
    `__post_init__` calls `fill_groups`.
    """
    made = config_class.__init__
    signature = inspect.signature(made)

    @checked_call
    @functools.wraps(made)
    def init(self: Any, *args: Any, **kwargs: Any) -> None:
        given = signature.bind(self, *args, **kwargs).arguments
        own = {name: value for name, value in given.items() if name != "self"}
        made(self, **_values(config_class, own))

    config_class.__init__ = init  # type: ignore[method-assign]
    return documented(config_class)


def flat(config: dict[str, Any], above: str = "") -> dict[str, Any]:
    """The values of a nested dict by their dotted names: {"a": {"b": 1}} -> {"a.b": 1}."""
    found: dict[str, Any] = {}
    for name, value in config.items():
        own = f"{above}{name}"
        found |= flat(value, f"{own}.") if isinstance(value, dict) else {own: value}
    return found


def merged(config: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """A nested dict with the values that another one has in place of its own."""
    found = dict(config)
    for name, value in changes.items():
        both = isinstance(found.get(name), dict) and isinstance(value, dict)
        found[name] = merged(found[name], value) if both else value
    return found


def check_switch(name: str, value: Any) -> None:
    """Raises `ConfigError` unless a switch is on, off or automatic: True, False or None itself."""
    # 1 == True, and a NumPy array is equal to nothing: only identity tells.
    fits = any(value is allowed for allowed in (True, False, None))
    check(fits, name, value, "True, False or None")


def documented(config_class: type[_Config]) -> type[_Config]:
    """Completes the docstring of a config, so that `help` tells every field.

    The docstring of a dataclass has the section Attributes for its own fields, and for those whose
    defaults it changes. Afterwards that section has all fields in their order, inherited
    ones too, with types and defaults.

    Args:
      config_class: a dataclass.

    Returns:
      The same class.
    """
    if config_class.__doc__ is None:  # as Python's -OO leaves it
        return config_class
    about, texts = inspect.getdoc(config_class) or "", descriptions(config_class)
    lines = []
    for field in dataclasses.fields(config_class):  # type: ignore[arg-type]
        head = f"{field.name} ({type_name(field)}, default {default_text(field)}): "
        # Only the text is wrapped: readers of the section want what is before it in one line.
        room = max(len(head) + 20, 96)
        wrapped = textwrap.wrap(
            head.replace(" ", "\0") + texts.get(field.name, ""), room, break_on_hyphens=False
        )
        lines += [f"  {wrapped[0]}", *(f"    {line}" for line in wrapped[1:])]
    above = about.partition("\nAttributes:\n")[0].rstrip()
    config_class.__doc__ = "\n".join([above, "", "Attributes:", *lines, ""]).replace("\0", " ")
    return config_class


def descriptions(config_class: type) -> dict[str, str]:
    """What the docstrings of a config and of its bases say of each field: dict name -> text."""
    found: dict[str, str] = {}
    for each in reversed(config_class.__mro__):
        section = inspect.cleandoc(each.__dict__.get("__doc__") or "").partition("Attributes:\n")[2]
        found |= {name: " ".join(text.split()) for name, text in _ENTRY.findall(section)}
    return found


def type_name(field: dataclasses.Field) -> str:
    """The name of a field's type."""
    return getattr(field.type, "__name__", None) or str(field.type)


def default_text(field: dataclasses.Field) -> str:
    """The default of a field as Python has it; of a group what differs from the group's own."""
    value = field.default
    if not dataclasses.is_dataclass(value):
        return "none" if value is dataclasses.MISSING else repr(value)
    own = defaults_of(type(value))
    changed = {name: getattr(value, name) for name in own if getattr(value, name) != own[name]}
    return f"{type(value).__name__}({', '.join(f'{k}={v!r}' for k, v in changed.items())})"


class Sizes(NamedTuple):
    """Numbers that one of a learner's policies takes.

    played: of an episode
    learned: of an episode and of what its gradient needs
    weights: the weights, with the two slots of Adam
    outputs: of the network at one state
    observed: of an observation
    acted: of an action, a discrete one as one-hot
    steps: of an episode, at most
    """

    played: int
    learned: int
    weights: int
    outputs: int
    observed: int
    acted: int
    steps: int


class Stored(NamedTuple):
    """What a learner holds at once: `rows`, that of `field`, of so many episodes and numbers."""

    field: str
    rows: int
    episodes: int
    numbers: int


def stored_by_tasks(config: Any, sizes: Sizes, batches: int = 1, times: int = 2) -> Stored:
    """What a batch of tasks takes while it is learned from, `Stored`.

    Args:
      config: with meta_batch_size, episodes_per_update and test_episodes_per_update.
      sizes: `Sizes`.
      batches: of episodes that are held of each task at once.
      times: how often all is there: twice for a gradient, four times for a gradient of a gradient.
    """
    episodes = batches * max(config.episodes_per_update, config.test_episodes_per_update)
    numbers = times * (episodes * sizes.learned + sizes.weights)
    return Stored("meta_batch_size", config.meta_batch_size, episodes, numbers)


def check_sizes(
    method: str, config: Any, environment: Any, layers: Sequence[int], measured: dict[str, int]
) -> None:
    """What a learner holds of all tasks at once is at most `MOST_NUMBERS` numbers.

    Counted are the episodes, the outputs of all layers at their steps, the weights with the two
    slots of Adam, and how often they are there. By the resident memory of whole iterations on a
    CPU, the numbers held are 0.9 to 1.2 times the count for a batch that is large enough to tell.

    Args:
      method: its name, for messages.
      config: its config dataclass, which says what it stores: `stored(sizes, num_tasks)` and
        `steps_held(horizon)`.
      environment: a `TaskFamily`.
      layers: units of the policy's hidden layers.
      measured: dict of num_tasks and episodes, of an evaluation.

    Raises:
      ConfigError: the sizes whose product is larger.
    """
    width = lambda specs: sum(math.prod(spec.shape) for spec in tf.nest.flatten(specs))
    action = environment.action_spec
    observed, acted = width(environment.observation_spec), width(action)
    units = [observed, *layers, int(action.maximum) + 1 if action.dtype.is_integer else acted]
    weights = 3 * sum((inputs + 1) * outputs for inputs, outputs in itertools.pairwise(units))
    tasks, horizon = measured["num_tasks"], environment.horizon
    steps, outputs = config.steps_held(horizon), sum(units[1:])
    played = steps * (observed + acted + 6)
    learned = played + steps * outputs
    sizes = Sizes(played, learned, weights, units[-1], observed, units[-1], horizon)
    most = max(config.episodes_per_update, config.test_episodes_per_update, measured["episodes"])
    whole = horizon * (observed + acted + 6 + outputs)
    if environment.long_episodes:  # nothing adapts to whole episodes, which hold no observations
        most, whole = measured["episodes"], horizon * (2 * acted + 6)
    evaluated = Stored("evaluation.num_tasks", tasks, most, 2 * (most * whole + weights))
    by_tasks, *others = config.stored(sizes, tasks)
    for name, rows, number, numbers in (by_tasks, evaluated, *others):
        size = rows * numbers
        rule = (
            f"so small that {method} holds at most {MOST_NUMBERS:.0e} numbers at once, not "
            f"{size:.1e}, with {number} episodes of {environment.horizon} steps and "
            f"{weights // 3:.1e} weights for each"
        )
        check(size <= MOST_NUMBERS, name, rows, rule)


def _values(config_class: type, options: Any, above: str = "") -> dict[str, Any]:
    """Options of a dataclass, checked, with infinity for None and groups for dicts.

    above: the group that the fields are in, with a dot after it.
    """
    fields = {field.name: field for field in dataclasses.fields(config_class)}
    kinds = typing.get_type_hints(config_class)  # a field's own `type` may be the type's name
    defaults, values = defaults_of(config_class), {}
    for name in options:
        if name not in fields:
            known = field_names(config_class)
            raise no_such("unknown field", f"{above}{name}", [f"{above}{each}" for each in known])
    for name, value in options.items():
        if isinstance(value, np.generic):
            value = value.item()  # which JSON has
        if value is None and fields[name].metadata.get("infinite", False):
            value = math.inf
        if dataclasses.is_dataclass(defaults.get(name)):
            values[name] = _group(above + name, defaults[name], value)
        else:
            infinite = fields[name].metadata.get("infinite", False)
            _check_type(kinds[name], infinite, above + name, value)
            # A whole number would have sweeps and flags refuse fractions of that setting.
            values[name] = float(value) if kinds[name] is float else value
    return values


def _group(name: str, default: Any, value: Any) -> Any:
    """The group that is given, or that a dict of changes makes of the default one."""
    if isinstance(value, type(default)):
        return value
    kind = f"a dict of fields, or of class {type(default).__name__}"
    check(isinstance(value, dict), name, value, kind)
    values = _values(type(default), value, f"{name}.")
    with within_group(name):
        return dataclasses.replace(default, **values)


def _check_type(kind: Any, infinite: bool, name: str, value: Any) -> None:
    """Raises `ConfigError` unless the value is one of the type `kind`.

    infinite: whether it may be infinite; name: of the field, for messages.
    """
    is_bool = isinstance(value, bool)
    if kind is int:
        most = MOST_ITERATIONS if name.endswith(("iterations", "interval")) else MOST
        fits = isinstance(value, int) and not is_bool and abs(value) <= most
        check(fits, name, value, f"a whole number of at most {most}")
    elif kind is float:
        number = isinstance(value, int | float) and not is_bool
        finite = number and abs(value) < _LARGEST
        check(finite or (number and infinite and value == math.inf), name, value, "a finite number")
    elif kind is tuple:
        check(isinstance(value, list | tuple), name, value, "a list")
    elif kind in (bool, str, dict):
        allowed = {bool: "True or False", str: "text", dict: "a dict of fields"}[kind]
        check(isinstance(value, kind), name, value, allowed)
