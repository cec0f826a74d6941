"""What takes long to import is imported when it is used."""

import subprocess
import sys

LATE = ("sklearn", "scipy.stats", "matplotlib", "tensorboard.plugins")


def test_importing_the_package_leaves_late_what_not_everybody_uses():
    # Some versions of TensorFlow import a part of these themselves, which nobody here can help.
    code = (
        "import os, sys; os.environ['TF_USE_LEGACY_KERAS'] = '1'; import tensorflow; "
        f"late = [name for name in {LATE} if name not in sys.modules]; import tfcaml; "
        "print([name for name in late if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
