"""What README, CONTRIBUTING and the pages of the site name exists, and the site has all pages."""

import ast
import difflib
import importlib
import pathlib
import re
import types

import pytest

from launchers import _configs
from launchers.benchmarks import BENCHMARKS
from launchers.main import COMMANDS
from launchers.studies import STUDIES
from tfcaml import settings
from tfcaml.learners import LEARNERS

ROOT = pathlib.Path(__file__).parents[1]
SITE = sorted(
    path
    for path in (ROOT / "docs").glob("**/*.md")
    if "_build" not in path.parts and path.name != "results.md"
)
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *SITE]
pages = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))


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


@pages
def test_links_and_pictures_exist(page):
    """Files, and the headings in them, as GitHub names them."""
    for link in re.findall(r"\]\(((?!http|#)[^)\s]+)\)", page.read_text()):
        path, _, heading = link.partition("#")
        target = page.parent / path
        assert target.exists(), link
        if heading:
            titles = re.findall(r"^#+ (.*)", target.read_text(), re.MULTILINE)
            slugs = [re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles]
            assert heading in slugs, link


@pages
def test_targets_commands_and_experiments_exist(page):
    text = page.read_text()
    targets = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"`make ([a-z][\w-]*)", text)) <= targets
    assert set(re.findall(r"tfcaml ([a-z]+) --\w", text)) <= set(COMMANDS)
    assert set(re.findall(r"--config=([a-z0-9_]+/\w+)(?![\w/.])", text)) <= set(_configs.names())
    for name in re.findall(r"python -m launchers\.([a-z]\w*)", text):
        assert (ROOT / "launchers" / f"{name}.py").exists(), name


def test_every_page_is_in_the_site():
    """Reached from docs/index.md by tables of contents."""
    found, waiting = set(), [ROOT / "docs" / "index.md"]
    while waiting:
        page = waiting.pop()
        found.add(page)
        for tree in re.findall(r"```\{toctree\}\n(.*?)```", page.read_text(), re.DOTALL):
            for line in tree.splitlines():
                name = re.sub(r".*<(.*)>", r"\1", line.strip())
                path = page.parent / f"{name}.md"
                if name and path.exists() and path not in found:
                    waiting.append(path)
    assert set(SITE) | set((ROOT / "docs").glob("*/results.md")) == found


def test_the_page_of_the_command_line_has_every_command_and_flag():
    text = (ROOT / "docs" / "command_line.md").read_text()
    parts = dict(re.findall(r"^\*\*`tfcaml (\w+)`\*\*(.*?)(?=^\*\*`|^## )", text, re.DOTALL | re.M))
    assert set(parts) == set(COMMANDS)
    for name, part in parts.items():
        source = (ROOT / "launchers" / f"{name}.py").read_text()
        flags = re.findall(r'DEFINE_\w+\(\s*"(\w+)"', source)
        flags += re.findall(r'add\(\s*"--(\w+)"', source)
        for flag in flags:
            assert f"`--{flag}" in part, (name, flag)
    for name in _configs.names():
        assert f"`{name}`" in text, name


def test_tests_that_keep_the_promises_exist():
    """`FILE::NAME`, and further names of the same file after it."""
    text = (ROOT / "docs" / "reliability.md").read_text()
    promises = re.findall(r"^- \*\*.*?(?=^- |^$)", text, re.DOTALL | re.MULTILINE)
    assert len(promises) > 15
    for promise in promises:
        path, found = None, []
        for file, name in re.findall(r"`(?:(tests/[\w/]+\.py)(?:::)?)?(\w*)`", promise):
            path = ROOT / (file or path)
            assert path.exists(), promise
            assert not name or f"\ndef {name}(" in path.read_text(), (promise, name)
            found.append(name)
        assert found, promise


def test_every_learner_is_among_the_methods():
    text = (ROOT / "docs" / "methods.md").read_text()
    for name in LEARNERS:
        assert f"`{name}`" in text, name


def test_the_changed_lines_it_shows_are_those_of_the_scripts():
    """docs/tf_agents.md shows how one script becomes the other."""
    text = (ROOT / "docs" / "tf_agents.md").read_text()
    shown = re.search(r"```diff\n(.*?)```", text, re.DOTALL)[1].splitlines()
    scripts = ROOT / "tests" / "agents" / "five_lines"
    before, after = (
        (scripts / name).read_text().splitlines()[1:] for name in ("before.py", "after.py")
    )
    differ = list(difflib.unified_diff(before, after, lineterm="", n=0))[2:]
    changed = [line for line in differ if line[0] in "+-"]
    assert [line for line in shown if line[0] in "+-"] == changed
    assert {line[1:] for line in shown if line[0] == " "} <= {*before}


# What makes an example of a page small: what it says, and what is run.
SMALL = {
    "getting_started.md": {
        "CAML(environment, policy)": "CAML(environment, policy, learners.CAML.Config("
        "num_iterations=2, meta_batch_size=2, policies_per_clustering=4, num_medoids=4, "
        "inner_updates=1))",
    },
    "tf_agents.md": {
        "Reptile(environment, policy)": "Reptile(environment, policy, learners.Reptile.Config("
        "num_iterations=1, inner_updates=1))",
        "num_updates=20": "num_updates=1",
    },
    "studies.md": {"basal_bolus, task, 4,": "basal_bolus, task, 1,"},
}


@pytest.mark.slow
@pytest.mark.parametrize("name", SMALL)
def test_python_examples_run(name, monkeypatch, tmp_path):
    code = re.search(r"```python\n(.*?)```", (ROOT / "docs" / name).read_text(), re.DOTALL)[1]
    for old, new in SMALL[name].items():
        assert code.count(old) == 1, old
        code = code.replace(old, new)
    monkeypatch.chdir(tmp_path)
    names = {}
    exec(compile(code, name, "exec"), names)
    if "monitor" in names:
        assert (tmp_path / "runs" / "followed" / "curves.png").stat().st_size > 0
        assert names["monitor"].history["ari"].keys() == {0}
