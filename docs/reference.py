"""What the API reference is made of: every public module, symbol and config of tfcaml.

`docs/conf.py` writes the pages from it before each build and checks afterwards that the site has
every name; `tests/test_site.py` checks the docstrings without a build.
"""

import ast
import dataclasses
import importlib
import inspect
import itertools
import pathlib
import pkgutil
import re
import types
from collections.abc import Iterator
from typing import NamedTuple

import docstrings

import tfcaml
from configs import base
from tfcaml import learners, settings
from tfcaml.experiments import config as experiment


class Symbol(NamedTuple):
    """A public name that a module defines.

    module: name of the module
    name: of the symbol in it
    kind: "class", "function" or "data"
    """

    module: str
    name: str
    kind: str

    @property
    def full_name(self) -> str:
        return f"{self.module}.{self.name}"


def modules() -> list[str]:
    """Names of the public modules, packages before what is in them."""
    found = pkgutil.walk_packages(tfcaml.__path__[:1], "tfcaml.")
    names = ["tfcaml", *(module.name for module in found)]
    hidden = re.compile(r"\._|^tfcaml\.(launchers|configs)\b")  # commands and their experiments
    return [name for name in names if not hidden.search(name)]


def symbols(module: str) -> Iterator[Symbol]:
    """The public symbols that a module defines itself, in the order of its source."""
    for node in ast.parse(inspect.getsource(importlib.import_module(module))).body:
        if isinstance(node, ast.ClassDef):
            found = [(node.name, "class")]
        elif isinstance(node, ast.FunctionDef):
            found = [(node.name, "function")]
        elif _assigned(node):
            found = [(name, "data") for name in _assigned(node)]
        else:
            continue
        yield from (Symbol(module, *each) for each in found if not each[0].startswith("_"))


def _assigned(node: ast.AST) -> list[str]:
    """Names that a statement gives values to."""
    if not isinstance(node, ast.Assign | ast.AnnAssign):
        return []
    targets = node.targets if isinstance(node, ast.Assign) else [node.target]
    each = [one for target in targets for one in getattr(target, "elts", [target])]
    return [one.id for one in each if isinstance(one, ast.Name)]


def exports(module: str) -> dict[str, str]:
    """Names that a package exports from its modules: dict of full name -> where it is defined."""
    package = importlib.import_module(module)
    found = {}
    for name in getattr(package, "__all__", ()):
        value = getattr(package, name)
        if isinstance(value, types.ModuleType):
            found[f"{module}.{name}"] = value.__name__
        elif not isinstance(value, type | types.FunctionType):
            found[f"{module}.{name}"] = _home(module, name)
        else:
            found[f"{module}.{name}"] = f"{value.__module__}.{value.__qualname__}"
    return found


def _home(module: str, name: str) -> str:
    """Where a constant that a package exports is defined: its full name."""
    for node in ast.parse(inspect.getsource(importlib.import_module(module))).body:
        if isinstance(node, ast.ImportFrom) and name in [alias.name for alias in node.names]:
            return _home(node.module, name)
    return f"{module}.{name}"


def configs() -> dict[str, type]:
    """Every config and every group of settings: dict of full name -> dataclass."""
    found = {}
    for module in modules():
        for symbol in symbols(module):
            value = getattr(importlib.import_module(module), symbol.name)
            if symbol.name.endswith("Config") and dataclasses.is_dataclass(value):
                found[symbol.full_name] = value
    return found


def fields(config: type) -> list[str]:
    """Names of a config's fields."""
    return [field.name for field in dataclasses.fields(config)]


def write(folder: pathlib.Path) -> None:
    """Writes the pages: one for each child of `tfcaml`, and the tables of the configs."""
    pages: dict[str, list[str]] = {}
    for module in modules():
        pages.setdefault(".".join(module.split(".")[:2]), []).append(module)
    for page, members in pages.items():
        _write(folder / f"{page}.rst", "\n".join(map(_section, members)))
    _write(folder / "configs.rst", _tables())


def _write(path: pathlib.Path, text: str) -> None:
    if not path.exists() or path.read_text() != text:  # what is unchanged is not read again
        path.write_text(text)


def _title(text: str, line: str) -> list[str]:
    return [text, line * len(text), ""]


def _section(module: str) -> str:
    """A module: its docstring, what it exports, what it defines."""
    lines = _title(module, "=" if module.count(".") < 2 else "-")
    lines += [f".. automodule:: {module}", ""]
    exported = [each for each in exports(module).items() if each[0] != each[1]]
    if exported:
        links = (f":py:obj:`{name.rpartition('.')[2]} <{home}>`" for name, home in exported)
        lines += [f"``{module}`` has {', '.join(links)}.", ""]
    for symbol in symbols(module):
        if symbol.kind == "data":
            lines += [f".. py:data:: {symbol.name}", f"   :module: {module}", *_value(symbol), ""]
            lines += [f"   {line}" for line in docstrings.rst([_sentence(comment(symbol))])]
        else:
            lines += [f".. auto{symbol.kind}:: {symbol.full_name}"]
            lines += ["   :members:", "   :show-inheritance:"] if symbol.kind == "class" else []
        lines += [""]
    return "\n".join(lines)


def _sentence(text: str) -> str:
    """A comment as a sentence."""
    return f"{text[:1].upper()}{text[1:]}{'' if text.endswith('.') else '.'}"


def _value(symbol: Symbol) -> list[str]:
    """The value of a constant, if it is short."""
    text = repr(getattr(importlib.import_module(symbol.module), symbol.name))
    return [f"   :value: {text}"] if len(text) < 100 and "<" not in text else []


def comment(symbol: Symbol) -> str:
    """What the source says of a constant: the comment behind it or above it, "" without one."""
    source = inspect.getsource(importlib.import_module(symbol.module))
    lines = source.splitlines()
    node = next(node for node in ast.parse(source).body if symbol.name in _assigned(node))
    behind = re.search(r"  # (.*)", lines[node.end_lineno - 1])
    if behind:
        return behind[1]
    above = list(itertools.takewhile(lambda x: x.startswith("# "), lines[node.lineno - 2 :: -1]))
    return " ".join(line[2:] for line in reversed(above))


def _tables() -> str:
    """A table for each config: field, type, default, meaning and source."""
    lines = _title("Settings", "=")
    lines += [
        "Every setting of every learner, task family and experiment. On the command line a field",
        "of the main learner is set by ``--config.learner.FIELD=VALUE``, one in a group by",
        "``--config.learner.outer.max_kl=0.02``, and one of the task family by",
        "``--config.environment.FIELD=VALUE``. In Python, ``MAML.Config(...)`` takes the fields as",
        "arguments, and a dict for what differs in a group:",
        "``MAML.Config(outer={'max_kl': 0.02})``. A default whose source is tfcaml was",
        "chosen here and not published before. The same texts are in ``help(MAML.Config)``.",
        "",
    ]
    tables = {heading: [] for heading in ("Learners", "Groups of settings", "Task families")}
    tables["Experiments"] = []
    for name, config in configs().items():
        tables[_kind(name, config)].append((name, config))
    for heading, members in tables.items():
        short = [name.rpartition(".")[2] for name, _ in members]
        links = (f":ref:`{each} <settings-{each}>`" for each in short)
        lines += [f"* {heading}: {', '.join(links)}."]
    lines += [""]
    for heading, members in tables.items():
        lines += _title(heading, "-")
        for name, config in members:
            short = name.rpartition(".")[2]
            lines += [f".. _settings-{short}:", "", *_title(short, "~")]
            about = docstrings.escaped(inspect.getdoc(config).splitlines()[0])
            lines += [f":py:class:`{short} <{name}>`: {about}", ""]
            lines += _table(config)
    return "\n".join([*lines, *_content()])


def _content() -> list[str]:
    """Tables of what a config file holds beside the settings of learners and families."""
    content = base.experiment({}, {}).to_dict()
    lines: list[str] = []
    for title, group, values in (
        ("file", experiment._Content, content),
        ("policy", experiment._Policy, content["policy"]),
        ("evaluation", experiment._Evaluation, content["evaluation"]),
    ):
        lines += [
            f".. _settings-{title}:",
            "",
            *_title(title, "~"),
            inspect.getdoc(group).splitlines()[0],
            "",
        ]
        lines += [".. list-table::", "   :header-rows: 1", "   :widths: 20 25 55", ""]
        lines += _row("Field", "Default", "Meaning")
        for name, text in settings.descriptions(group).items():
            given = "" if isinstance(values[name], dict) else f"``{values[name]!r}``"
            lines += _row(f"``{name}``", given, docstrings.escaped(text))
        lines += [""]
    return lines


def _kind(name: str, config: type) -> str:
    """Under which heading a config stands."""
    if any(config is learner.Config for learner in learners.LEARNERS.values()):
        return "Learners"
    if issubclass(config, learners.LearnerConfig):
        return "Learners"
    if name.startswith("tfcaml.environments"):
        return "Task families"
    runs = name.startswith(("tfcaml.experiments", "tfcaml.reporting"))
    return "Experiments" if runs else "Groups of settings"


def _table(config: type) -> list[str]:
    """A row for each field."""
    if not dataclasses.fields(config):
        return ["It has no fields.", ""]
    head = ("Field", "Default", "Meaning", "Source")
    lines = [
        ".. list-table::",
        "   :header-rows: 1",
        "   :widths: 20 20 38 22",
        "",
        *_row(*head),
    ]
    described = settings.descriptions(config)
    for field in dataclasses.fields(config):
        text, _, source = described[field.name].partition(" Source: ")
        meaning, _, unit = text.partition(" Unit: ")
        kind, default = settings.type_name(field), f"``{settings.default_text(field)}``"
        if dataclasses.is_dataclass(field.default):
            name = type(field.default).__name__
            kind = f":ref:`{name} <settings-{name}>`"
            changed = default.strip("`").removeprefix(name).strip("()")
            default = f"``{changed}``" if changed else "its defaults"
        if not source.startswith("tfcaml"):
            source = source[:1].upper() + source[1:]
        texts = map(docstrings.escaped, (meaning, source))
        lines += _row(f"``{field.name}``", f"{default} {unit.strip('.')} ({kind})", *texts)
    return [*lines, ""]


def _row(first: str, *others: str) -> list[str]:
    return [f"   * - {first}", *(f"     - {each}" for each in others)]
