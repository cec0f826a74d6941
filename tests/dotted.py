"""Settings by their dotted names, as tables of tests have them."""

from tfcaml import settings


def nested(given):
    """{"a.b": 1, "c": 2} -> {"a": {"b": 1}, "c": 2}, what a config takes."""
    found = {}
    for name, value in given.items():
        for part in reversed(name.split(".")):
            value = {part: value}
        found = settings.merged(found, value)
    return found
