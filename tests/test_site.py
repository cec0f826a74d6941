"""The API reference is complete: every public symbol and every setting has an entry.

The pages are made from docstrings and comments by `docs/reference.py`, which is checked here
without a build; `make docs` checks the built site.
"""

import dataclasses
import importlib
import inspect
import pathlib
import re
import sys

import pytest

from configs import base
from tfcaml import learners, settings
from tfcaml.environments import ENVIRONMENTS
from tfcaml.experiments import ExperimentConfig

DOCS = pathlib.Path(__file__).parents[1] / "docs"


@pytest.fixture(scope="module")
def docs_path():
    sys.path.insert(0, str(DOCS))
    yield
    sys.path.remove(str(DOCS))


@pytest.fixture(scope="module")
def reference(docs_path):
    return importlib.import_module("reference")


@pytest.fixture(scope="module")
def docstrings(docs_path):
    return importlib.import_module("docstrings")


@pytest.fixture(scope="module")
def symbols(reference):
    return [symbol for module in reference.modules() for symbol in reference.symbols(module)]


def value_of(symbol):
    return getattr(importlib.import_module(symbol.module), symbol.name)


def test_every_module_and_symbol_is_described(reference, symbols):
    assert len(reference.modules()) > 100 and len(symbols) > 450
    silent = [name for name in reference.modules() if not importlib.import_module(name).__doc__]
    for symbol in symbols:
        if symbol.kind == "data":
            described = reference.comment(symbol)
        else:
            value = value_of(symbol)  # a class would inherit what its base says
            described = vars(value).get("__doc__") if symbol.kind == "class" else value.__doc__
        if not described:
            silent.append(symbol.full_name)
    assert silent == []


def test_every_public_method_is_described(symbols):
    """By its own docstring, or by that of the method that it overrides."""
    silent = []
    for symbol in symbols:
        if symbol.kind != "class":
            continue
        for name, member in vars(value_of(symbol)).items():
            function = getattr(member, "fget", None) or getattr(member, "__func__", member)
            if name.startswith("_") or not inspect.isfunction(function):
                continue
            if function.__name__ == "<lambda>":  # conftest.py's, in place of a method
                continue
            if not inspect.getdoc(getattr(value_of(symbol), name)):
                silent.append(f"{symbol.full_name}.{name}")
    assert silent == []


def test_every_exported_name_is_described_somewhere(reference, symbols):
    known = {symbol.full_name for symbol in symbols} | set(reference.modules())
    for module in reference.modules():
        assert set(reference.exports(module).values()) <= known, module


def test_every_field_of_every_config_has_a_meaning_and_a_source(reference):
    configs = reference.configs()
    used = {learner.Config for learner in learners.LEARNERS.values()}
    used |= {options for _, options in ENVIRONMENTS.values()}
    for config in [*used]:
        fields = dataclasses.fields(config)
        groups = (type(f.default) for f in fields if dataclasses.is_dataclass(f.default))
        used |= set(groups)
    assert used <= set(configs.values()) and ExperimentConfig in configs.values()
    for config in configs.values():
        described = settings.descriptions(config)
        assert list(described) == [*dict.fromkeys(described)]
        assert set(reference.fields(config)) == set(described), config
        for name, text in described.items():
            meaning, _, source = text.partition(" Source: ")
            assert meaning.endswith("."), (config, name)
            assert config is ExperimentConfig or source.endswith("."), (config, name)


def test_help_tells_every_field_with_type_and_default(reference):
    for config in reference.configs().values():
        for field in dataclasses.fields(config):
            kind, default = settings.type_name(field), settings.default_text(field)
            head = f"\n  {field.name} ({kind}, default {default}): "
            assert head.rstrip() in config.__doc__, (config, field.name)


def test_pages_have_every_symbol_and_every_setting(reference, symbols, tmp_path):
    reference.write(tmp_path)
    text = "\n".join(path.read_text() for path in tmp_path.glob("tfcaml*.rst"))
    for module in reference.modules():
        assert f"\n.. automodule:: {module}\n" in text
    for symbol in symbols:
        if symbol.kind == "data":
            entry = f"\n.. py:data:: {symbol.name}\n   :module: {symbol.module}\n"
        else:
            entry = f"\n.. auto{symbol.kind}:: {symbol.full_name}\n"
        assert entry in text
    tables = (tmp_path / "configs.rst").read_text()
    for name, config in reference.configs().items():
        table = tables.partition(f".. _settings-{name.rpartition('.')[2]}:\n")[2]
        rows = re.findall(r"^   \* - ``(\w+)``", table.partition("\n.. _")[0], re.MULTILINE)
        assert rows == reference.fields(config)
    content = base.experiment({}, {}).to_dict()
    rows = re.findall(
        r"^   \* - ``(\w+)``", tables.partition(".. _settings-file:\n")[2], re.MULTILINE
    )
    assert sorted(rows) == sorted([*content, *content["policy"], *content["evaluation"]])


def test_docstrings_mean_on_the_site_what_they_say(docstrings):
    text = """The loss.

    theta' = theta - alpha * g

of `Trajectory`s |x| by B. Zahed, with **options, in x_.

Args:
  *axes: their names.

Returns:
  (loss [N], gradient: nest).
"""
    assert docstrings.rst(text.splitlines()) == [
        *("The loss.", ""),
        *("::", "", "    theta' = theta - alpha * g", ""),
        *(r"of `Trajectory`\ s \|x\| by B. Zahed, with \*\*options, in x\_.", ""),
        *("Args:", "  *axes: their names.", ""),
        *(":returns: (loss [N], gradient: nest).", ""),
    ]
    fields = ["step: when", "matrix: [N, N]", "  divergences"]
    named = ["Attributes:", "  step: when", "  matrix: [N, N]", "    divergences", ""]
    assert docstrings.rst(fields, ("step", "matrix")) == named
    listed = ["* ``step``: when", "* ``matrix``: [N, N]", "  divergences", ""]
    assert docstrings.rst(fields) == listed
    assert docstrings.rst(["A. Nichol, 2018"]) == [r"A\. Nichol, 2018", ""]
    assert docstrings.rst(["Args:", "  num_tasks: N."]) == ["Args:", r"  num_tasks: N\.", ""]
