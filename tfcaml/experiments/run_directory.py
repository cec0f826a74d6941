"""The directory of a run: which config it belongs to, and what was installed.

config.json, versions.json           written before the first iteration
report.html                          all of it to read, in one file
train/METHOD/seed_N/                 events and checkpoints/
eval/                                events, evaluation.json, evaluation.csv, tables.csv
figures/                             PNG and GIF
"""

import contextlib
import fcntl
import json
import logging
import os
import pathlib
import stat
import tempfile
import time
import weakref
from collections.abc import Callable, Iterator
from typing import Any

from tfcaml import provenance, settings
from tfcaml.errors import ConfigError, check, check_utf8

_log = logging.getLogger(__name__)
_PARTS = ("train", "eval", "figures")
_FILES = ("config.json", "versions.json", "report.html")
_MOST_BYTES, _MOST_DEPTH = 2**24, 50  # of a JSON file
# (device, inode) -> the lock that this process holds
_LOCKS: weakref.WeakValueDictionary[tuple[int, int], Any] = weakref.WeakValueDictionary()


class RunDirectory:
    """Opens `root` for a run of `config`, or refuses.

    Other processes are kept out as long as this object lives, by an advisory lock of the operating
    system on the directory itself: it adds no file, and a process that dies leaves none.

    Args:
      root: path; made if missing.
      config: JSON-serialisable dict, all that decides the run's numbers.
      completed: dict -> dict, gives the directory's config the fields that were added since.
      read_only: nothing will be written: the directory has to be a run's, and may be in use.
      command: the command line that begins a run here, to be kept; None without.

    Raises:
      ConfigError: the directory can't be written, is in use, holds a run of another config, or
        something that no run leaves there, such as links. Nothing in it is changed then.
    """

    def __init__(
        self,
        root: str | os.PathLike[str],
        config: dict[str, Any],
        completed: Callable[[dict[str, Any]], dict[str, Any]] = lambda config: config,
        read_only: bool = False,
        command: str | None = None,
    ) -> None:
        self.root = pathlib.Path(root)
        self.evaluation = self.root / "eval"
        self.figures = self.root / "figures"
        self.config = config = settings.as_json(config)
        if not read_only:
            check_writable(self.root)
            self.root.mkdir(parents=True, exist_ok=True)
            self._lock = _locked(self.root)
        path = self.root / "config.json"
        _check_kinds(self.root)
        if read_only or path.exists():
            found = read_config(self.root)
            _check_same(self.root, settings.as_json(completed(found)), config)
            _warn_of_added(self.root, found, config)
        else:
            _check_unused(self.root)
            write_json(self.root / "versions.json", {**provenance.record(), "command": command})
            write_json(path, config)

    def train(self, method: str, seed: int) -> pathlib.Path:
        """Where one method's training with one seed lives."""
        return self.root / "train" / method / f"seed_{seed}"

    def begun(self) -> dict[str, Any]:
        """What the run was begun with, see `provenance.record`, and the command that began it.

        Nothing hangs on it: {} where it can't be read.
        """
        try:
            return read_json(self.root / "versions.json")
        except (OSError, ConfigError):
            return {}


def read_config(root: str | os.PathLike[str]) -> dict[str, Any]:
    """The config a run directory belongs to: dict.

    Raises:
      ConfigError: there is none, or it can't be read.
    """
    path = pathlib.Path(root) / "config.json"
    try:
        return read_json(path)
    except OSError:
        raise ConfigError(
            f"expected root_dir to be the directory of a run; received root_dir={str(root)!r}, "
            "which has no readable config.json"
        ) from None


def read_json(path: str | os.PathLike[str]) -> dict[str, Any]:
    """The dict that a JSON file holds, with None for words that JSON lacks, such as Infinity.

    Raises:
      OSError: it can't be read.
      ConfigError: it is no file, or not of JSON; of something else than a dict; or absurdly large.
    """
    path = pathlib.Path(path)
    status = path.stat()
    fits = stat.S_ISREG(status.st_mode) and status.st_size <= _MOST_BYTES
    check(fits, "path", str(path), f"a file of at most {_MOST_BYTES} bytes")
    try:
        value = json.loads(path.read_bytes(), parse_constant=lambda _: None)
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{path} is damaged: {error}") from None
    if not isinstance(value, dict) or _depth(value) > _MOST_DEPTH:
        raise ConfigError(f"{path} is damaged: expected a dict, at most {_MOST_DEPTH} levels deep")
    return value


def _depth(value: Any) -> int:
    """How deep dicts and lists are nested."""
    depth, level = 0, [value]
    while level:
        depth += 1
        inside = [y for x in level for y in (x.values() if isinstance(x, dict) else x)]
        level = [x for x in inside if isinstance(x, dict | list)]
    return depth


def write_json(path: str | os.PathLike[str], value: Any) -> None:
    """Writes JSON so that the file is either the old or the new one, never a part.

    Its directory is made if missing. Numbers that are not finite are written as null, since JSON
    has no word for them, see `settings.as_json`.
    """
    write_text(path, json.dumps(settings.as_json(value), indent=1, allow_nan=False) + "\n")


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Writes a text file in one piece, and its directory if that is missing."""
    path = pathlib.Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = _part(path)
    part.write_text(text, encoding="utf-8")
    os.replace(part, path)


def _part(path: pathlib.Path) -> pathlib.Path:
    """The file that becomes `path` when all of it is written."""
    return path.with_name(path.name + ".part")


def first_difference(old: Any, new: Any, name: str = "") -> tuple[str, Any, Any] | None:
    """(name, old value, new value) of the first field in which two nested dicts differ, or None."""
    if isinstance(old, dict) and isinstance(new, dict):
        for key in [*old, *(key for key in new if key not in old)]:
            where = f"{name}.{key}" if name else key
            found = first_difference(old.get(key, "(absent)"), new.get(key, "(absent)"), where)
            if found:
                return found
        return None
    return None if old == new else (name, old, new)


def check_writable(root: str | os.PathLike[str], name: str = "root_dir") -> None:
    """Raises `ConfigError` unless `root`, or the folder it would be made in, can be written.

    A path that is not UTF-8 can't, as TensorFlow writes a part of what is written there.
    `name`: the flag that gave it.
    """
    check_utf8(name, root)
    root = pathlib.Path(root)
    existing = root
    while not existing.exists() and existing != existing.parent:
        existing = existing.parent
    if not existing.is_dir():
        problem = f"{existing} is not a directory"
    elif not os.access(existing, os.W_OK | os.X_OK):
        problem = f"no permission to write in {existing}"
    else:
        try:
            with tempfile.TemporaryFile(dir=existing):
                return
        except OSError as error:
            problem = error.strerror
    raise ConfigError(f"expected {name} to be writable; received {name}={str(root)!r}: {problem}")


@contextlib.contextmanager
def alone_in(folder: pathlib.Path, should_stop: Callable[[], bool]) -> Iterator[None]:
    """Keeps other processes that ask for it out of a folder; for a `with` block.

    Waits while there is one, such as a worker that was given up and is about to end, until
    `should_stop`. The folder is made if missing.
    """
    folder.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        while not should_stop():
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                time.sleep(0.1)
            except OSError:  # a file system without locks
                break
        yield
    finally:
        os.close(descriptor)


class _Lock:
    """Keeps other processes out of a directory until it is collected, or the process dies."""

    def __init__(self, descriptor: int) -> None:
        weakref.finalize(self, os.close, descriptor)


def _locked(root: pathlib.Path) -> _Lock:
    """The lock of a directory; the one that this process has, if it has."""
    descriptor = os.open(root, os.O_RDONLY)
    status = os.fstat(descriptor)
    key = (status.st_dev, status.st_ino)
    if key in _LOCKS:
        os.close(descriptor)
        return _LOCKS[key]
    lock = _Lock(descriptor)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise ConfigError(
            f"expected root_dir to be used by one process at a time; received root_dir="
            f"{str(root)!r}, which another process is using"
        ) from None
    except OSError as error:
        _log.warning("%s can't be locked (%s): use it from one process at a time", root, error)
    _LOCKS[key] = lock
    return lock


def _check_kinds(root: pathlib.Path) -> None:
    """All that a run may have written is files and directories: no links to elsewhere, no pipes."""
    for name in _FILES:
        _check_kind(root / name, stat.S_ISREG, "a file")
        _check_kind(_part(root / name), stat.S_ISREG, "a file")
    for part in _PARTS:
        _check_kind(root / part, stat.S_ISDIR, "a directory")
        for folder, folders, files in os.walk(root / part):
            for name in (*folders, *files):
                either = lambda mode: stat.S_ISREG(mode) or stat.S_ISDIR(mode)
                _check_kind(pathlib.Path(folder, name), either, "a file or a directory")


def _check_kind(path: pathlib.Path, is_kind: Callable[[int], bool], kind: str) -> None:
    try:
        fits = is_kind(path.lstat().st_mode)
    except FileNotFoundError:  # not there, or no more: the directory may be in use
        return
    check(fits, "a part of root_dir", str(path), f"{kind}, not a link or something else")


def _check_same(root: pathlib.Path, old: Any, new: Any) -> None:
    difference = first_difference(old, new)
    if difference:
        name, was, now = difference
        raise ConfigError(
            f"{root} holds a run of another config: {name} is {was!r} there and {now!r} here; "
            "choose another root_dir or the same config"
        )


def _warn_of_added(root: pathlib.Path, old: Any, new: Any) -> None:
    difference = first_difference(old, new)
    if difference:
        name, _, value = difference
        _log.warning("%s is of an earlier version, without %s; it is %r now", root, name, value)


def _check_unused(root: pathlib.Path) -> None:
    for part in (*(f"{part}/" for part in _PARTS), "sweep.json"):
        if (root / part).exists():
            raise ConfigError(
                f"expected root_dir to be empty or a run's; received root_dir={str(root)!r}, which "
                f"has {part} but no config.json"
            )
