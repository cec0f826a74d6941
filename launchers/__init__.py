"""Programs: `python -m launchers.NAME --help`."""

import contextlib
import gc
import os
import sys
import warnings

# A newcomer's first screen belongs to the program, not to the libraries' notices.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")


@contextlib.contextmanager
def _silent_stderr():
    """Drops what native libraries write to stderr while they load; exceptions pass as ever."""
    sys.stderr.flush()
    saved = os.dup(2)
    with open(os.devnull, "w") as null:
        os.dup2(null.fileno(), 2)
    try:
        yield
    finally:
        sys.stderr.flush()
        os.dup2(saved, 2)
        os.close(saved)


@contextlib.contextmanager
def _uncollected():
    """No garbage collection while a million objects are made that stay; nor of them later."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if enabled:
            gc.enable()


# TF-Agents' code as TensorFlow rewrites it.
warnings.filterwarnings("ignore", '"is not" with', SyntaxWarning)
with _silent_stderr(), _uncollected():
    import tfcaml  # noqa: F401
