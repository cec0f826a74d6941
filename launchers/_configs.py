"""Configs by name: `caml/particles` is `tfcaml/configs/caml/particles.py` where tfcaml lies."""

import difflib
import importlib
import os
import pathlib

import tfcaml.configs

_DIRECTORY = pathlib.Path(tfcaml.configs.__file__).parent
_NO_EXPERIMENTS = ("base",)


def names():
    """The names of all shipped configs."""
    paths = (path.relative_to(_DIRECTORY) for path in _DIRECTORY.rglob("[!_]*.py"))
    found = (path.with_suffix("").as_posix() for path in paths)
    return sorted(name for name in found if name not in _NO_EXPERIMENTS)


def module(name):
    """The module of a shipped config."""
    return importlib.import_module(f"tfcaml.configs.{name.replace('/', '.')}")


def path_of(name):
    """The file of a config that is given by its name or by its path.

    Raises:
      ValueError: there is none; says which there are.
    """
    if name in names():
        return str(_DIRECTORY / f"{name}.py")
    if os.path.isfile(name):
        return name
    near = difflib.get_close_matches(name, names(), 1, cutoff=0.7)
    hint = f" (did you mean {near[0]}?)" if near else ""
    raise ValueError(
        f"expected --config to be the path of a Python file or one of {', '.join(names())}; "
        f"received --config={name!r}{hint}"
    )
