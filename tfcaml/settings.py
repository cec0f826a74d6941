"""Whether a config's fields are of their types, and no number among them is absurd.

A config comes from a user, or from a run directory that somebody else made: it is held against the
dataclass that it fills before anything is made of it.
"""

import dataclasses
import itertools
import json
import math

import tensorflow as tf

from tfcaml.errors import ConfigError, check

# Bounds far beyond any study, so that a slip of the hand is one line and not a full memory.
MOST = 10**6  # of any whole number but those of iterations and intervals
MOST_ITERATIONS = 10**9
MOST_SEEDS = 1000
MOST_LAYERS = 100
MOST_NUMBERS = 10**9  # that the tasks of a batch hold, see `check_sizes`; 4 GB
_LARGEST = 2.0**127  # of the numbers that float32 has


def as_json(value):
    """A value as it comes back from a JSON file: tuples are lists.

    JSON has neither infinity nor NaN, and most programs refuse a file with these words: null stands
    for them. `filled` takes null for infinity in the fields that may be infinite.
    """
    return json.loads(json.dumps(value), parse_constant=lambda _: None)


def filled(where, config_class, options):
    """A dataclass of a config's options.

    Args:
      where: what they are of, for messages.
      config_class: a dataclass. Fields of type int, float, bool, str, dict and tuple are checked;
        those whose metadata has "infinite" may be infinite.
      options: dict. None stands for infinity in a field that may be infinite, see `as_json`.

    Raises:
      ConfigError: an unknown or missing field, one of another type, not a number or too large; or
        what the dataclass itself refuses.
    """
    check(isinstance(options, dict), where, options, "a dict of fields")
    fields = {field.name: field for field in dataclasses.fields(config_class)}
    unknown = [name for name in options if name not in fields]
    needed = [name for name, field in fields.items() if field.default is dataclasses.MISSING]
    missing = [name for name in needed if name not in options]
    for problem, names in (("unknown", unknown), ("missing", missing)):
        if names:
            allowed = ", ".join(fields)
            raise ConfigError(f"{where}: {problem} field {names[0]!r}; allowed are {allowed}")
    for name, value in options.items():
        if value is None and fields[name].metadata.get("infinite", False):
            options = options | {name: math.inf}
    try:
        for name, value in options.items():
            _check_type(fields[name], value)
        return config_class(**options)
    except ConfigError as error:
        raise ConfigError(f"{where}: {error}") from None


def check_switch(name, value):
    """Raises `ConfigError` unless a switch is on, off or automatic: True, False or None itself."""
    # 1 == True, and a NumPy array is equal to nothing: only identity tells.
    fits = any(value is allowed for allowed in (True, False, None))
    check(fits, name, value, "True, False or None")


def check_sizes(method, config, environment, layers, measured):
    """What a learner holds of all tasks at once is at most `MOST_NUMBERS` numbers.

    Counted are the episodes, the outputs of all layers at their steps, the weights with the two
    slots of Adam, and how often they are there: a gradient needs all of them twice, a gradient of a
    gradient four times. By the resident memory of whole iterations on a CPU, the numbers held are
    0.9 to 1.2 times the count for a batch that is large enough to tell.

    Args:
      method: its name, for messages.
      config: its config dataclass.
      environment: an `TaskFamily`.
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
    played = environment.horizon * (observed + acted + 6)  # numbers of an episode
    learned = played + environment.horizon * sum(units[1:])  # those that its gradient needs
    episodes = max(value for name, value in vars(config).items() if "episodes" in name)
    # An outer optimiser differentiates through the inner steps, so that all their batches stay.
    batches, times = (config.inner_updates + 1, 4) if hasattr(config, "outer_optimizer") else (1, 2)
    tasks, most = measured["num_tasks"], max(episodes, measured["episodes"])
    policies = getattr(config, "policies_per_clustering", 0)
    places = getattr(config, "num_states", 0) * units[-1]  # each policy's density at all of them
    kept = getattr(config, "saved_episodes", 0)
    tried = getattr(config, "trial_episodes", 0) * tasks
    for name, rows, number, numbers in (
        (
            *("meta_batch_size", config.meta_batch_size, batches * episodes),
            times * (batches * episodes * learned + weights),
        ),
        ("policies_per_clustering", policies, kept, kept * played + weights + places + policies),
        ("buffer_capacity", getattr(config, "buffer_capacity", 0), kept, kept * played + weights),
        ("evaluation.num_tasks", tasks, most, 2 * (most * learned + weights)),
        ("num_medoids", getattr(config, "num_medoids", 0), tried, tried * played + tasks * weights),
    ):
        size = rows * numbers
        rule = (
            f"so small that {method} holds at most {MOST_NUMBERS:.0e} numbers at once, not "
            f"{size:.1e}, with {number} episodes of {environment.horizon} steps and "
            f"{weights // 3:.1e} weights for each"
        )
        check(size <= MOST_NUMBERS, name, rows, rule)


def _check_type(field, value):
    """Raises `ConfigError` unless the value is one of the field's type."""
    is_bool, name = isinstance(value, bool), field.name
    if field.type is int:
        most = MOST_ITERATIONS if name.endswith(("iterations", "interval")) else MOST
        fits = isinstance(value, int) and not is_bool and abs(value) <= most
        check(fits, name, value, f"a whole number of at most {most}")
    elif field.type is float:
        number = isinstance(value, int | float) and not is_bool
        finite = number and abs(value) < _LARGEST
        infinite = number and value == math.inf and field.metadata.get("infinite", False)
        check(finite or infinite, name, value, "a finite number")
    elif field.type is tuple:
        check(isinstance(value, list | tuple), name, value, "a list")
    elif field.type in (bool, str, dict):
        kind = {bool: "True or False", str: "text", dict: "a dict of fields"}[field.type]
        check(isinstance(value, field.type), name, value, kind)
