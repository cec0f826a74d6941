"""What the README says in Python and in its commands."""

import pathlib
import re

import pytest

from launchers import _configs

README = (pathlib.Path(__file__).parents[1] / "README.md").read_text()


@pytest.mark.slow
def test_python_examples_run(capsys, monkeypatch, tmp_path):
    code = re.search(r"```python\n(.*?)```", README, re.DOTALL)[1]
    # The example trains in full; four entities show as well that every line of it works.
    config = "learners.CAML.Config(num_iterations=2, meta_batch_size=2, policies_per_clustering=4, "
    config += "num_medoids=4, inner_updates=1)"
    small = code.replace("CAML(environment, policy)", f"CAML(environment, policy, {config})")
    if small == code:
        raise ValueError("the example does not make its learner as expected")
    monkeypatch.chdir(tmp_path)
    names = {}
    exec(compile(small, "README", "exec"), names)
    output = capsys.readouterr().out
    assert "shape=(4, 4)" in output  # the divergences of the four medoids


def test_files_and_targets_it_names_exist():
    root = pathlib.Path(__file__).parents[1]
    for path in re.findall(r"\]\(((?!http)[^)#]+)\)", README):
        assert (root / path).exists(), path
    targets = set(re.findall(r"^([\w-]+):", (root / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"make ([a-z][\w-]*)", README)) <= targets
    for name in re.findall(r"python -m launchers\.(\w+)", README):
        assert (root / "launchers" / f"{name}.py").exists(), name
    for name in re.findall(r"--config=([\w/]+)", README):
        assert name in _configs.names()
