"""What a wheel holds, and the command `tfcaml`."""

import os
import pathlib
import re
import shutil
import subprocess
import sys
import zipfile

import pytest

import tfcaml
from launchers import _configs, main

ROOT = pathlib.Path(__file__).parents[1]


def command(capsys, monkeypatch, *arguments):
    """(exit code, lines on stdout, lines on stderr) of `tfcaml ARGUMENTS`."""
    monkeypatch.setattr(sys, "argv", ["tfcaml", *arguments])
    code = main.main()
    out, err = capsys.readouterr()
    return code, out.splitlines(), err.splitlines()


def test_the_command_lists_its_commands_and_names_the_nearest(capsys, monkeypatch):
    for arguments in ((), ("--help",), ("-h",), ("help",)):
        code, lines, errors = command(capsys, monkeypatch, *arguments)
        assert code == 0 and not errors
        assert {line.split()[0] for line in lines if line.startswith("  ")} == set(main.COMMANDS)
    assert command(capsys, monkeypatch, "--version")[1] == [f"tfcaml {tfcaml.__version__}"]
    code, lines, errors = command(capsys, monkeypatch, "trian")
    assert code == 2 and not lines and len(errors) == 1
    assert "received 'trian' (did you mean train?)" in errors[0]


def test_there_is_a_program_for_every_command():
    for name in main.COMMANDS:
        text = (ROOT / "launchers" / f"{name}.py").read_text()
        assert 'if __name__ == "__main__":' in text, name


def test_configs_are_found_by_name_and_by_path(tmp_path):
    assert {"caml/particles", "maml/navigation", "glucose/cohort"} <= set(_configs.names())
    assert not {"base", "caml"} & set(_configs.names())
    for name in _configs.names():
        path = pathlib.Path(_configs.path_of(name))
        assert path.is_file() and path.with_suffix("").as_posix().endswith(name)
    own = tmp_path / "own.py"
    own.write_text("")
    assert _configs.path_of(str(own)) == str(own)
    with pytest.raises(ValueError, match=r"did you mean caml/figure3\?"):
        _configs.path_of("caml/figure_3")


@pytest.mark.slow
def test_commands_run_from_anywhere(tmp_path):
    """As the installed script runs them; nothing is on its path but what is installed."""
    program = "import sys; from tfcaml.launchers.main import main; sys.exit(main())"

    def run(*arguments):
        return subprocess.run(
            [sys.executable, "-c", program, *arguments],
            cwd=tmp_path,
            env={k: v for k, v in os.environ.items() if k != "PYTHONPATH"},
            capture_output=True,
            text=True,
        )

    listed = run("configs")
    assert (listed.returncode, listed.stderr) == (0, "")
    assert [line.split()[0] for line in listed.stdout.splitlines()] == _configs.names()
    for name, wanted in {
        "train": {"config", "root_dir", "seed", "keep", "max_bad_updates"},
        "evaluate": {"root_dir", "plugin", "num_tasks"},
        "benchmark": {"workload", "out", "repeats"},
    }.items():
        shown = run(name, "--help")
        found = set(re.findall(r"^  --(?:\[no\])?(\w+)", shown.stdout, re.MULTILINE))
        assert (shown.returncode, shown.stderr) == (0, "") and wanted <= found
    refused = run("train", "--config", "caml/particles", "--root_dir=run", "--seed=-1")
    assert refused.returncode == 2 and refused.stderr.startswith("error: expected seed to be >= 0")
    assert refused.stderr.count("\n") == 1


@pytest.mark.slow
def test_a_checkout_has_its_own_launchers_and_configs(tmp_path):
    """Whatever is installed beside it."""
    for folder in ("tfcaml", "launchers", "configs"):
        shutil.copytree(ROOT / folder, tmp_path / folder)
    shutil.copy(ROOT / "setup.py", tmp_path)
    code = (
        "import tfcaml.configs, tfcaml.launchers as l; print(tfcaml.configs.__file__, l.__file__)"
    )
    for command in (["-c", code], ["-m", "launchers.configs"]):
        done = subprocess.run(
            [sys.executable, *command], cwd=tmp_path, capture_output=True, text=True, check=True
        )
        assert done.stderr == ""
        if code in command:
            assert all(path.startswith(str(tmp_path)) for path in done.stdout.split())


@pytest.mark.slow
def test_a_reader_who_has_enough_is_no_failure(tmp_path):
    command = f"{sys.executable} -m launchers.configs | head -n 1; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", command], cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.slow
def test_a_wheel_holds_all_of_the_package_launchers_and_configs(tmp_path):
    subprocess.run(
        [
            *(sys.executable, "setup.py", "-q", "build", f"--build-base={tmp_path / 'build'}"),
            *("egg_info", f"--egg-base={tmp_path}", "bdist_wheel", f"--dist-dir={tmp_path}"),
        ],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    (wheel,) = tmp_path.glob("*.whl")
    held = set(zipfile.ZipFile(wheel).namelist())
    expected = {
        (pathlib.Path(*inside) / path.relative_to(ROOT / folder)).as_posix()
        for folder, inside in {
            "tfcaml": ("tfcaml",),
            "launchers": ("tfcaml", "launchers"),
            "configs": ("tfcaml", "configs"),
        }.items()
        for path in (ROOT / folder).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert expected <= held
    assert {name.partition("/")[0] for name in held} == {
        "tfcaml",
        f"tfcaml-{tfcaml.__version__}.dist-info",
    }


def test_requirements_and_extras_are_those_that_are_used():
    """Every extra but the developers' is named where its package is missing."""
    text = (ROOT / "setup.py").read_text()
    extras = re.search(r"extras_require=\{(.*?)\n    \}", text, re.DOTALL)[1]
    names = set(re.findall(r'^        "(\w+)"', extras, re.MULTILINE)) - {"dev"}
    sources = "\n".join(path.read_text() for path in (ROOT / "tfcaml").rglob("*.py"))
    sources += (ROOT / "Makefile").read_text()
    for name in names:
        assert f"[{name}]" in sources, name
