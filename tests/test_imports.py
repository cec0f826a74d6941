"""What takes long to import is imported when it is used."""

import subprocess
import sys

LATE = ("sklearn", "scipy.stats", "matplotlib", "tensorboard.plugins")


def test_importing_the_package_leaves_late_what_not_everybody_uses():
    code = f"import sys, tfcaml; print([name for name in {LATE} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
