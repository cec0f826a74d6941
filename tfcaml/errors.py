"""The one error a user is meant to read."""


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
