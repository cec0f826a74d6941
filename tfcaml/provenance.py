"""What a run is made with: versions, the commit of the code, the machine."""

from __future__ import annotations

import hashlib
import importlib.metadata
import os
import pathlib
import platform
import re
from typing import Any

import tensorflow as tf

_PACKAGES = (
    *("tfcaml", "tensorflow", "tf-keras", "tf-agents", "tensorflow-probability", "numpy"),
    *("mujoco", "ale-py"),
)
_PACKAGE = pathlib.Path(__file__).parent
_COMMIT = re.compile(r"[0-9a-f]{40}([0-9a-f]{24})?")  # SHA-1 or SHA-256


def record() -> dict[str, Any]:
    """Versions, commit and machine, as a JSON-serialisable dict.

    None stands for what can't be found out. No program is started for it.
    """
    return {
        **versions(),
        "commit": commit(),
        "source_sha256": source_hash(),
        "machine": machine(),
    }


def versions() -> dict[str, str | None]:
    """Of Python and of the packages that numbers hang on: dict name -> version, None if absent."""
    found: dict[str, str | None] = {"python": platform.python_version()}
    for name in _PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = None
    return found


def commit(package: pathlib.Path = _PACKAGE) -> str | None:
    """The git commit that is checked out where the package is; None of an installed package.

    Changes that are not committed are not seen; `source_hash` tells of them.
    """
    git = package.parent / ".git"
    try:
        if git.is_file():  # of a worktree: it names the directory
            git = package.parent / git.read_text().removeprefix("gitdir:").strip()
        head = (git / "HEAD").read_text().strip()
        if not head.startswith("ref:"):
            return _checked(head)
        reference = head.removeprefix("ref:").strip()
        shared = git
        if (git / "commondir").exists():
            shared = git / (git / "commondir").read_text().strip()
        for folder in (git, shared):
            if (folder / reference).is_file():
                return _checked((folder / reference).read_text().strip())
        for line in (shared / "packed-refs").read_text().splitlines():
            if line.endswith(f" {reference}"):
                return _checked(line.split()[0])
    except (OSError, ValueError):
        pass
    return None


def source_hash(package: pathlib.Path = _PACKAGE) -> str:
    """SHA-256 of the package's Python files: equal where two runs are of the same code."""
    digest = hashlib.sha256()
    for path in sorted(package.rglob("*.py")):
        digest.update(f"{path.relative_to(package).as_posix()}\0".encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()


def machine() -> dict[str, Any]:
    """The machine, and how TensorFlow uses it: a JSON-serialisable dict."""
    return {
        "system": platform.platform(),
        "cpu": _cpu(),
        "cores": os.cpu_count(),
        "usable_cores": usable_cores(),
        "memory_bytes": _memory(),
        "accelerators": _accelerators(),
        **{f"{kind}_op_threads": number for kind, number in threads().items()},
    }


def threads() -> dict[str, int]:
    """Threads that TensorFlow was told to use: dict(intra, inter); 0 where it chooses itself."""
    return {kind: _threads(kind) for kind in ("intra", "inter")}


def usable_cores() -> int | None:
    """Cores that this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()


def _checked(text: str) -> str | None:
    return text if _COMMIT.fullmatch(text) else None


def _cpu() -> str | None:
    try:
        lines = pathlib.Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return next(iter(names), platform.processor() or platform.machine() or None)


def _memory() -> int | None:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, OSError, ValueError):
        return None


def _accelerators() -> list[str]:
    found = []
    for device in tf.config.list_physical_devices():
        if device.device_type != "CPU":
            details = tf.config.experimental.get_device_details(device)
            found.append(str(details.get("device_name", device.device_type)))
    return found


def _threads(kind: str) -> int:
    told = {
        "intra": tf.config.threading.get_intra_op_parallelism_threads,
        "inter": tf.config.threading.get_inter_op_parallelism_threads,
    }
    given = os.environ.get(f"TF_NUM_{kind.upper()}OP_THREADS", "")
    return told[kind]() or (int(given) if given.isdecimal() else 0)
