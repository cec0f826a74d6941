"""What the README, CONTRIBUTING and the pages of docs/ name exists: in Python and in commands."""

import ast
import importlib
import pathlib
import re
import types

import pytest

from launchers import _configs
from launchers.benchmarks import BENCHMARKS
from launchers.studies import STUDIES
from tfcaml import settings

ROOT = pathlib.Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
pages = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)


def imported(code):
    """What the imports of a piece of code give: dict name -> object."""
    names = {}
    for node in ast.walk(code):
        if isinstance(node, ast.ImportFrom):
            module = importlib.import_module(node.module)
            for alias in node.names:
                if not hasattr(module, alias.name):
                    importlib.import_module(f"{node.module}.{alias.name}")
                names[alias.asname or alias.name] = getattr(module, alias.name)
        elif isinstance(node, ast.Import):
            for alias in node.names:
                importlib.import_module(alias.name)
                root = alias.name.partition(".")[0]
                name = alias.name if alias.asname else root
                names[alias.asname or root] = importlib.import_module(name)
    return names


def check_attributes(code, names):
    """Attributes of imported modules and classes exist."""
    for node in ast.walk(code):
        chain = []
        while isinstance(node, ast.Attribute):
            chain.insert(0, node.attr)
            node = node.value
        if not chain or not isinstance(node, ast.Name) or node.id not in names:
            continue
        owner = names[node.id]
        for attribute in chain:
            if not isinstance(owner, (types.ModuleType, type)):
                break
            owner = getattr(owner, attribute)


@pages
def test_python_names_what_exists(page):
    for block in re.findall(r"```python\n(.*?)```", page.read_text(), re.DOTALL):
        code = ast.parse(block)
        names = imported(code)
        check_attributes(code, {k: v for k, v in names.items() if hasattr(v, "__name__")})


@pages
def test_commands_name_what_exists(page):
    text = page.read_text().replace("\\\n", " ")
    assert set(re.findall(r"--study=(\w+)", text)) <= {*STUDIES, "NAME"}
    assert set(re.findall(r"--workload=(\w+)", text)) <= {*BENCHMARKS, "NAME"}
    for command in re.findall(r"--config=[a-z0-9_]+/.*", text):
        name = re.match(r"--config=([\w/]+)", command)[1]
        content = _configs.module(name).get_config().to_dict()
        known = {*settings.flat(content), *content}
        assert set(re.findall(r"--config\.([\w.]+)=", command.partition("`")[0])) <= known, command
