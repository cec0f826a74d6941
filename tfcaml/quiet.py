"""Keeps the notices of libraries off the screen while they are imported.

TensorFlow, its CUDA plug-ins and Gym (which TF-Agents imports) each print some lines, none of which
a user of tfcaml can act on. TensorFlow's native code is silent from there on too: set the
environment variable `TF_CPP_MIN_LOG_LEVEL=0` to see what it says, for instance to learn why it does
not find a GPU.
"""

import contextlib
import gc
import importlib
import os
import sys
import warnings
from collections.abc import Iterator


@contextlib.contextmanager
def imports() -> Iterator[None]:
    """Drops what is written to the error stream meanwhile; exceptions pass as ever.

    Garbage is not collected meanwhile either: imports make a million objects that stay.
    """
    level = os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    silence = silent_stderr() if level == "3" else contextlib.nullcontext()
    enabled = gc.isenabled()
    gc.disable()
    try:
        with silence, warnings.catch_warnings():
            # TF-Agents' code as TensorFlow rewrites it.
            warnings.filterwarnings("ignore", '"is not" with', SyntaxWarning)
            yield
    finally:
        if enabled:
            gc.enable()


@contextlib.contextmanager
def silent_stderr() -> Iterator[None]:
    """Drops what is written to file 2 meanwhile, as native libraries do.

    `sys.stderr` stays, as loggers that are made keep it.
    """
    # Gym prints to `sys.stderr`, which is no file in a notebook.
    with contextlib.suppress(ImportError, AttributeError):
        importlib.import_module("gym_notices.notices").notices.clear()
    try:
        if sys.stderr is not None:
            sys.stderr.flush()
        saved = os.dup(2)
    except OSError:  # there is no error stream
        yield
        return
    with open(os.devnull, "w") as null:
        os.dup2(null.fileno(), 2)
    try:
        yield
    finally:
        if sys.stderr is not None:
            sys.stderr.flush()
        os.dup2(saved, 2)
        os.close(saved)
