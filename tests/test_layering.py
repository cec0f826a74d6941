"""The package's rules that can be read off its source."""

import ast
import pathlib
import re

import pytest

ROOT = pathlib.Path(__file__).parent.parent
PACKAGE = ROOT / "tfcaml"
SOURCES = sorted(PACKAGE.rglob("*.py"))
LAUNCHERS = sorted((ROOT / "launchers").rglob("*.py"))

# A folder, or a module beside them, may import from lines above its own, and from itself.
LAYERS = [
    {"_legacy_keras", "errors", "quiet"},
    {"nest", "progress", "provenance", "settings"},
    {"cluster", "keys", "programs", "statistics", "types"},
    {"policies", "advantages"},
    {"divergence", "losses"},
    {"figures"},
    {"environments"},
    {"optimization", "rollouts"},
    {"exploration"},
    {"learners"},
    {"evaluation", "training"},
    {"agents"},
    {"reporting"},
    {"experiments"},
]
TF_AGENTS = {"policies", "environments", "agents"}


def name(path):
    """The first name below `tfcaml`: tfcaml/learners/caml/learner.py -> learners."""
    return path.relative_to(PACKAGE).with_suffix("").parts[0]


def imports(path):
    """Full dotted names of everything a file imports, at whatever depth."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def ids(paths):
    return [str(path.relative_to(ROOT)) for path in paths]


def rank(module):
    ranks = [index for index, layer in enumerate(LAYERS) if module in layer]
    assert ranks, f"name the layer of tfcaml.{module} in {pathlib.Path(__file__).name}"
    return ranks[0]


def test_there_is_something_to_look_at():
    assert len(SOURCES) > 30
    assert "tfcaml.errors.check_whole" in set(imports(PACKAGE / "evaluation.py"))


@pytest.mark.parametrize("path", SOURCES, ids=ids(SOURCES))
def test_imports_point_downwards(path):
    if path.parent == PACKAGE and path.name == "__init__.py":
        return  # gathers the public names
    own = name(path)
    for imported in imports(path):
        if imported.startswith("tfcaml."):
            other = imported.split(".")[1]
            assert other == own or rank(other) < rank(own), imported


# What generic code may know of learners and families: what all of them share, and their registries.
SHARED_BY_ALL = {
    "learners": {
        *("base", "gradient_based", "state", "rollback"),
        *("LEARNERS", "LearnerConfig", "MetaLearner", "GradientConfig", "GradientLearner"),
    },
    "environments": {
        "base",
        "conformance",
        "tf_agents",
        "ENVIRONMENTS",
        "TaskFamily",
        "Population",
    },
}


@pytest.mark.parametrize("path", SOURCES, ids=ids(SOURCES))
def test_generic_code_knows_no_concrete_learner_or_family(path):
    if name(path) in ("__init__", *SHARED_BY_ALL):
        return
    for imported in imports(path):
        package, _, rest = imported.removeprefix("tfcaml.").partition(".")
        if imported.startswith("tfcaml.") and package in SHARED_BY_ALL and rest:
            assert rest.split(".")[0] in SHARED_BY_ALL[package], imported


@pytest.mark.parametrize("path", SOURCES, ids=ids(SOURCES))
def test_imports_of_the_outside(path):
    for imported in imports(path):
        top = imported.split(".")[0]
        if top == "tf_agents":
            assert name(path) in TF_AGENTS, imported
        assert top not in ("pickle", "cloudpickle", "dill", "marshal", "shelve"), imported
        assert top not in ("launchers", "configs", "tests"), imported
        assert not imported.startswith("absl.flags"), imported


@pytest.mark.parametrize("path", SOURCES + LAUNCHERS, ids=ids(SOURCES + LAUNCHERS))
def test_style(path):
    text = path.read_text()
    tree = ast.parse(text)
    assert not any(isinstance(node, ast.Assert) for node in ast.walk(tree)), "assert: use check"
    assert ast.get_docstring(tree) or not tree.body, "a module says what it is for"
    assert not re.search(r"/(work|tmp|home|root|mnt|Users)/", text), "a directory of one machine"
    assert not re.search(r"allow_pickle\s*=\s*True", text)


def test_swapping_is_done_in_one_place():
    """Only `Functional` touches the instance dictionaries of layers."""
    swappers = [path.name for path in SOURCES if re.search(r"\.__dict__\[", path.read_text())]
    assert swappers == ["functional.py"]


def test_no_module_is_imported_by_its_private_parts():
    """Names with an underscore stay in the subpackage that defines them."""
    for path in SOURCES:
        for imported in imports(path):
            parts = imported.split(".")
            if parts[0] == "tfcaml" and any(part.startswith("_") for part in parts[1:]):
                assert path == PACKAGE / "__init__.py" or parts[1] == name(path), (path, imported)
