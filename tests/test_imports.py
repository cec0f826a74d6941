"""What takes long to import is imported when it is used."""

import os
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).parents[1]

LATE = ("ray", "sklearn", "scipy.stats", "matplotlib", "tensorboard.plugins")


def test_importing_the_package_leaves_late_what_not_everybody_uses():
    # Some versions of TensorFlow import a part of these themselves, which nobody here can help.
    code = (
        "import os, sys; os.environ['TF_USE_LEGACY_KERAS'] = '1'; import tensorflow; "
        f"late = [name for name in {LATE} if name not in sys.modules]; import tfcaml; "
        "print([name for name in late if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_commands_import_without_optional_packages_and_without_a_word():
    modules = [
        path.relative_to(ROOT)
        .with_suffix("")
        .as_posix()
        .replace("/", ".")
        .removesuffix(".__init__")
        for path in sorted((ROOT / "launchers").rglob("*.py"))
    ]
    code = (
        "import importlib, sys\n"
        "sys.modules.update(dict.fromkeys(['gymnasium', 'hypothesis', 'ray']))\n"
        "from absl.flags import FLAGS\n"
        f"for name in {modules}:\n"
        "    importlib.import_module(name)\n"
        "    [delattr(FLAGS, flag) for flag in list(FLAGS)]"  # commands share names of flags
    )
    environment = {k: v for k, v in os.environ.items() if k != "TF_CPP_MIN_LOG_LEVEL"}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_what_is_logged_after_importing_is_seen():
    code = "import tfcaml, logging; logging.getLogger('of.a.user').warning('hello')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "hello" in done.stderr and "Traceback" not in done.stderr


def test_importing_says_nothing_where_the_error_stream_is_no_file():
    """As in a notebook."""
    code = "import io, sys; sys.stderr = io.StringIO(); import tfcaml; "
    code += "print(repr(sys.stderr.getvalue()))"
    environment = {k: v for k, v in os.environ.items() if k != "TF_CPP_MIN_LOG_LEVEL"}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    assert (done.stdout, done.stderr) == ("''\n", "")
