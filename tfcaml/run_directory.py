"""The directory of a run: which config it belongs to, and what was installed.

config.json, versions.json           written before the first iteration
train/METHOD/seed_N/                 events and checkpoint/
eval/                                events, evaluation.json, evaluation.csv
figures/                             PNG
"""

import importlib.metadata
import json
import logging
import os
import pathlib
import platform
import tempfile

from tfcaml.errors import ConfigError

_log = logging.getLogger(__name__)
_PACKAGES = ("tfcaml", "tensorflow", "tf-keras", "tf-agents", "tensorflow-probability", "numpy")
_PARTS = ("train", "eval", "figures")


class RunDirectory:
    """Opens `root` for a run of `config`, or refuses.

    Args:
      root: path; made if missing.
      config: JSON-serialisable dict, all that decides the run's numbers.
      completed: dict -> dict, gives the directory's config the fields that were added since.

    Raises:
      ConfigError: the directory can't be written, or holds a run of another config. Nothing in it
        is changed then.
    """

    def __init__(self, root, config, completed=lambda config: config):
        self.root = pathlib.Path(root)
        config = json.loads(json.dumps(config))
        check_writable(self.root)
        path = self.root / "config.json"
        if path.exists():
            found = read_config(self.root)
            _check_same(self.root, json.loads(json.dumps(completed(found))), config)
            _warn_of_added(self.root, found, config)
        else:
            _check_unused(self.root)
            self.root.mkdir(parents=True, exist_ok=True)
            write_json(self.root / "versions.json", _versions())
            write_json(path, config)
        for part in _PARTS:
            (self.root / part).mkdir(exist_ok=True)
        self.evaluation = self.root / "eval"
        self.figures = self.root / "figures"

    def train(self, method, seed):
        """Where one method's training with one seed lives."""
        return self.root / "train" / method / f"seed_{seed}"


def read_config(root):
    """The config a run directory belongs to.

    Raises:
      ConfigError: there is none, or it can't be read.
    """
    path = pathlib.Path(root) / "config.json"
    try:
        return json.loads(path.read_text())
    except OSError:
        raise ConfigError(
            f"expected root_dir to be the directory of a run; received root_dir={str(root)!r}, "
            "which has no readable config.json"
        ) from None
    except ValueError as error:
        raise ConfigError(f"{path} is damaged: {error}") from None


def write_json(path, value):
    """Writes JSON so that the file is either the old or the new one, never a part."""
    write_text(path, json.dumps(value, indent=1) + "\n")


def write_text(path, text):
    """Writes a text file in one piece."""
    path = pathlib.Path(path)
    part = path.with_name(path.name + ".part")
    part.write_text(text)
    os.replace(part, path)


def first_difference(old, new, name=""):
    """(name, old value, new value) of the first field in which two nested dicts differ, or None."""
    if isinstance(old, dict) and isinstance(new, dict):
        for key in [*old, *(key for key in new if key not in old)]:
            where = f"{name}.{key}" if name else key
            found = first_difference(old.get(key, "(absent)"), new.get(key, "(absent)"), where)
            if found:
                return found
        return None
    return None if old == new else (name, old, new)


def check_writable(root, name="root_dir"):
    """Raises `ConfigError` unless `root`, or the folder it would be made in, can be written.

    `name`: the flag that gave it.
    """
    root = pathlib.Path(root)
    existing = root
    while not existing.exists() and existing != existing.parent:
        existing = existing.parent
    if not existing.is_dir():
        problem = f"{existing} is not a directory"
    elif not os.access(existing, os.W_OK | os.X_OK):
        problem = f"no permission to write in {existing}"
    else:
        try:
            with tempfile.TemporaryFile(dir=existing):
                return
        except OSError as error:
            problem = error.strerror
    raise ConfigError(f"expected {name} to be writable; received {name}={str(root)!r}: {problem}")


def _check_same(root, old, new):
    difference = first_difference(old, new)
    if difference:
        name, was, now = difference
        raise ConfigError(
            f"{root} holds a run of another config: {name} is {was!r} there and {now!r} here; "
            "choose another root_dir or the same config"
        )


def _warn_of_added(root, old, new):
    difference = first_difference(old, new)
    if difference:
        name, _, value = difference
        _log.warning("%s is of an earlier version, without %s; it is %r now", root, name, value)


def _check_unused(root):
    for part in _PARTS:
        if (root / part).exists():
            raise ConfigError(
                f"expected root_dir to be empty or a run's; received root_dir={str(root)!r}, which "
                f"has {part}/ but no config.json"
            )


def _versions():
    versions = {"python": platform.python_version()}
    for name in _PACKAGES:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            versions[name] = None
    return versions
