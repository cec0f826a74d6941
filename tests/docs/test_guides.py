"""The guides: every script runs, every page shows its script as it is, and says what it does."""

import ast
import difflib
import doctest
import importlib
import os
import pathlib
import re
import shutil
import subprocess
import sys

import numpy as np
import pytest

GUIDES = pathlib.Path(__file__).parents[2] / "docs" / "guides"
PAGES = sorted(path.stem for path in GUIDES.glob("*.md") if path.stem != "index")
SCRIPTS = sorted(path.stem for path in GUIDES.glob("*.py"))
# Arguments of `main` with which a script takes seconds.
SMALL = {
    "own_family": {"maml_iterations": 2, "caml_iterations": 2},
    "own_learner": {"iterations": 1},
    "own_loss": {"iterations": 1, "bonuses": (0.0, 0.1)},
    "own_network": {"iterations": 1, "horizon": 5},
    "gymnasium_family": {"iterations": 1, "horizon": 5},
    "mujoco_family": {"iterations": 1},
    "tf_agents_pipeline": {"iterations": 1, "horizon": 5, "steps": 1, "episodes": 6},
    "export_and_deploy": {"iterations": 1, "directory": "model"},
    "command_line": {},
    "choosing_caml_settings": {"updates": 1, "iterations": 4, "horizon": 5},
    "reading_the_pictures": {"iterations": 5, "num_seeds": 1, "horizon": 5, "num_updates": 1},
    "reproducibility": {"iterations": 2},
    "scale_out": {"iterations": 1, "num_seeds": 1, "shared": 1},
}
WITH_COMMANDS = [name for name in PAGES if "\n```sh\n" in (GUIDES / f"{name}.md").read_text()]
guides = pytest.mark.parametrize("name", PAGES)


def page(name):
    return (GUIDES / f"{name}.md").read_text()


def blocks(name, language):
    """The fenced blocks of a page in a language, in their order."""
    return re.findall(rf"^```{language}\n(.*?)^```$", page(name), re.DOTALL | re.MULTILINE)


def load(name, monkeypatch):
    """The module of a guide's script."""
    monkeypatch.syspath_prepend(str(GUIDES))
    return importlib.import_module(name)


def form(line):
    """A printed line without its numbers and spaces: what kind of line it is."""
    return re.sub(r"[\s\[\],]+", " ", re.sub(r"-?\d[\d.]*(e[+-]?\d+)?", "#", line)).strip()


def kinds(text):
    """The kinds of lines of a text; numbers in a row count as one."""
    lines = (re.sub(r"#( #)*", "#", form(line)) for line in text.splitlines())
    return {line for line in lines if line}


def test_every_guide_has_a_script_and_every_script_a_guide():
    assert PAGES == SCRIPTS and len(PAGES) >= 12
    assert set(SMALL) == set(PAGES)


def test_the_index_names_every_guide_once():
    index = page("index")
    tree = re.search(r"```\{toctree\}\n(.*?)```", index, re.DOTALL)[1]
    named = [line for line in tree.splitlines() if line and not line.startswith(":")]
    assert sorted(named) == PAGES
    assert sorted(re.findall(r"\]\((\w+)\.md\)", index)) == PAGES


@guides
def test_a_page_shows_its_whole_script(name):
    """The blocks in Python, one after the other, are the script; blank lines don't count."""
    lines = lambda text: [line for line in text.splitlines() if line.strip()]
    script = (GUIDES / f"{name}.py").read_text()
    assert lines("".join(blocks(name, "python"))) == lines(script)


@guides
def test_a_page_has_its_parts(name):
    titles = re.findall(r"^## (.*)$", page(name), re.MULTILINE)
    for part in ("What you will have", "Mistakes", "Where to read on"):
        assert any(title.startswith(part) for title in titles), part
    for target in re.findall(r"\]\(((?!http)[^)#]+)\)", page(name)):
        assert (GUIDES / target).exists(), target
    pictures = GUIDES.glob(f"{name}*.png")
    assert all(picture.stat().st_size < 100_000 for picture in pictures)


@pytest.mark.slow
@guides
def test_a_script_runs_and_its_page_tells_what_it_prints(name, monkeypatch, tmp_path, capsys):
    module = load(name, monkeypatch)
    monkeypatch.chdir(tmp_path)
    found = module.main(**SMALL[name])
    printed = kinds(capsys.readouterr().out)
    for values in found.values():
        assert np.isfinite(values).all()
    told = kinds("".join(blocks(name, "text")))
    assert told and told <= printed


@pytest.mark.slow
@guides
def test_mistakes_give_the_errors_that_a_page_shows(name, monkeypatch, tmp_path):
    """Blocks in pycon are a session after the script's imports and definitions."""
    module = load(name, monkeypatch)
    monkeypatch.chdir(tmp_path)
    session = "\n".join(blocks(name, "pycon"))
    assert ">>>" in session
    flags = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    test = doctest.DocTestParser().get_doctest(session, dict(vars(module)), name, name, 0)
    report = []
    doctest.DocTestRunner(optionflags=flags, verbose=False).run(test, out=report.append)
    assert not report, "".join(report)


def test_a_family_of_ones_own_takes_thirty_lines():
    """Lines of code from the class on, without its docstring."""
    script = (GUIDES / "own_family.py").read_text()
    [family] = [node for node in ast.parse(script).body if isinstance(node, ast.ClassDef)]
    lines = {i for node in family.body[1:] for i in range(node.lineno, node.end_lineno + 1)}
    text = script.splitlines()
    assert 1 + sum(bool(text[i - 1].strip()) for i in lines) <= 30


@pytest.mark.slow
@pytest.mark.parametrize("name", WITH_COMMANDS)
def test_commands_of_a_page_run_as_they_are_written(name, tmp_path):
    for script in GUIDES.glob("*.py"):
        shutil.copy(script, tmp_path)
    path = os.pathsep.join([str(pathlib.Path(sys.executable).parent), os.environ["PATH"]])
    printed = set()
    for command in "".join(blocks(name, "sh")).replace("\\\n", " ").splitlines():
        result = subprocess.run(
            ["bash", "-c", command],
            cwd=tmp_path,
            env={**os.environ, "PATH": path},
            capture_output=True,
            text=True,
            check=False,
        )
        assert result.returncode == 0, (command, result.stdout, result.stderr)
        printed |= kinds(result.stdout)
    assert kinds("".join(blocks(name, "console"))) <= printed


def test_the_five_lines_are_those_of_the_scripts():
    scripts = GUIDES.parents[1] / "tests" / "agents" / "five_lines"
    before, after = [
        (scripts / name).read_text().split("\n")[1:] for name in ("before.py", "after.py")
    ]
    changes = [x.rstrip() for x in difflib.ndiff(before, after) if x.startswith(("- ", "+ "))]
    [shown] = blocks("tf_agents_pipeline", "diff")
    shown = [line for line in shown.splitlines() if line[:1] in ("-", "+")]
    assert sorted(shown) == sorted(line[0] + line[2:] for line in changes)


@pytest.mark.slow
def test_seeds_decide_what_they_are_said_to(monkeypatch, tmp_path, capsys):
    """Part of what the guide on reproducibility says, as numbers."""
    found = load("reproducibility", monkeypatch).main(iterations=2, directory=tmp_path)
    assert found["again, same seed"] == found["stopped half way and resumed"] == 0
    assert found["another seed"] > 0
    assert "among five: True" in capsys.readouterr().out
