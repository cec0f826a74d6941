"""Checkpoints that are whole or not there, and that say what they hold.

A checkpoint is a directory, iteration-STEP/, of three files:

    variables.index, variables.data-00000-of-00001   as `tf.train.Checkpoint` names their content
    manifest.json                                    what wrote them, the config, names, shapes and
                                                     dtypes of the variables, sizes, SHA-256

It is written under another name, flushed to disk, and renamed: a directory with the final name is
complete, unless the disk damaged it later, which the checksums tell. Nothing that a manifest says
is taken as a path.
"""

import contextlib
import errno
import hashlib
import json
import logging
import os
import pathlib
import re
import shutil
import stat
import tempfile
from collections.abc import Iterator
from typing import Any

import numpy as np
import tensorflow as tf

import tfcaml
from tfcaml.errors import ConfigError, check, writing
from tfcaml.experiments.run_directory import first_difference
from tfcaml.settings import as_json
from tfcaml.types import Nest

_log = logging.getLogger(__name__)
_INDEX, _DATA, _MANIFEST = "variables.index", "variables.data-00000-of-00001", "manifest.json"
_NAME = re.compile(r"iteration-([0-9]{1,18})(\.index)?")  # .index: as earlier versions wrote them
_SLACK = 2**24  # bytes that a manifest, or a data file besides its variables, may have


class Checkpoints:
    """The checkpoints of one learner in one directory.

    Args:
      directory: path; made by the first `save`.
      variables: dict name -> `tf.Variable`, all that is saved; see `named`.
      about: JSON-serialisable dict of what the variables belong to; a checkpoint about something
        else is refused. Fields that only one of the two has are not compared within "config".
      keep: how many checkpoints are kept, >= 1.
    """

    def __init__(
        self,
        directory: str | os.PathLike[str],
        variables: dict[str, tf.Variable],
        about: dict[str, Any],
        keep: int = 2,
    ) -> None:
        check(keep >= 1, "keep", keep, ">= 1")
        self.directory = pathlib.Path(directory)
        self.keep = keep
        self._variables = dict(variables)
        kinds = {name: _kind(variable) for name, variable in self._variables.items()}
        major = tfcaml.__version__.split(".")[0]
        self._about = as_json({"major version": major, **about, "variables": kinds})

    def save(self, step: int) -> None:
        """Writes the checkpoint of a step, then removes all but the newest `keep`.

        Checkpoints of this step and later ones, which `restore` has found damaged, are renamed to
        NAME.aside.

        Raises:
          WriteError: the disk is full or can't be written. Older checkpoints stay as they are.
        """
        path = self.directory / f"iteration-{step}"
        part = path.with_name(path.name + ".part")
        with writing(path):
            self.directory.mkdir(parents=True, exist_ok=True)
            for left in self.directory.glob("*.part"):  # by a process that was killed
                _delete(left)
            try:
                self._write(part, step)
                self._set_aside(step)
                part.rename(path)
            except BaseException:
                shutil.rmtree(part, ignore_errors=True)
                raise
            _sync(self.directory)
            for _, old in _found(self.directory)[self.keep :]:
                _remove(old)

    def restore(self, allow_fresh_start: bool = False, step: int | None = None) -> int:
        """Reads the newest checkpoint that is whole, or that of a step, into the variables.

        A damaged one is passed over with one warning. Nothing on the disk is changed.

        Args:
          allow_fresh_start: leave the variables as they are where all checkpoints are damaged.
          step: the only one to be read; None: the newest.

        Returns:
          The checkpoint's step; 0 if there is none.

        Raises:
          ConfigError: all checkpoints are damaged; or the newest whole one is about something else,
            or of other variables: the first difference, with both values; or one can't be read
            for a reason that says nothing of it, such as missing permission.
        """
        found = [each for each in _found(self.directory) if step in (None, each[0])]
        for number, path in found:
            try:
                manifest = _read_manifest(path, number)
                self._check_same(path, manifest.get("about"))
                values = self._read(path, manifest.get("files"))
            except _Damaged as problem:
                _log.warning("damaged checkpoint, passed over: %s", problem)
                continue
            for name, variable in self._variables.items():
                variable.assign(values[name])
            return number
        if found and not allow_fresh_start:
            raise ConfigError(
                f"no checkpoint in {self.directory} can be read; the newest is {found[0][1]}. Put "
                "a whole one there, or start from the beginning with "
                "`tfcaml train --allow_fresh_start`"
            )
        return 0

    def _write(self, directory: pathlib.Path, step: int) -> None:
        """All files of a checkpoint, on the disk when this returns."""
        directory.mkdir()
        # Not by `tf.train.Checkpoint`, which takes seven times as long to write the same.
        tf.raw_ops.SaveV2(
            prefix=str(directory / "variables"),
            tensor_names=[_key(name) for name in self._variables],
            shape_and_slices=[""] * len(self._variables),
            tensors=[variable.read_value() for variable in self._variables.values()],
        )
        content = {
            "step": step,
            "versions": {"tfcaml": tfcaml.__version__, "tensorflow": tf.__version__},
            "about": self._about,
            "files": {name: _fingerprint(directory / name) for name in (_INDEX, _DATA)},
        }
        manifest = {"sha256": _digest(content), **content}
        (directory / _MANIFEST).write_text(json.dumps(manifest, indent=1) + "\n")
        for file in (*directory.iterdir(), directory):
            _sync(file)

    def _set_aside(self, step: int) -> None:
        for other, path in _found(self.directory):
            if other >= step:
                aside = path.with_name(path.name + ".aside")
                if aside.exists():
                    _remove(aside)
                path.rename(aside)

    def _check_same(self, path: pathlib.Path, saved: Any) -> None:
        check(isinstance(saved, dict), f"about in {path}", saved, "a dict")
        here = self._about | {"config": _common(self._about.get("config"), saved.get("config"))}
        there = saved | {"config": _common(saved.get("config"), self._about.get("config"))}
        difference = first_difference(there, here)
        if difference:
            name, was, now = difference
            raise ConfigError(
                f"{path} does not fit this run: {name} is {was!r} there and {now!r} here"
            )

    def _read(self, path: pathlib.Path, files: Any) -> dict[str, np.ndarray]:
        """name -> array, of files that are checked first."""
        size = sum(v.dtype.size * v.shape.num_elements() for v in self._variables.values())
        for name in (_INDEX, _DATA):
            _check_file(path / name, files, size + _SLACK)
        try:
            with _plain_path(path) as plain:
                return self._values(path, tf.train.load_checkpoint(str(plain / "variables")))
        except tf.errors.NotFoundError as error:  # though the files are there, as has been checked
            raise ConfigError(f"{path} can't be read: {str(error).splitlines()[0]}") from None
        except (tf.errors.OpError, ValueError, RuntimeError) as error:
            raise _Damaged(f"{path / _DATA}: {str(error).splitlines()[0]}") from None

    def _values(self, path: pathlib.Path, reader: Any) -> dict[str, np.ndarray]:
        """name -> array of all variables, from TensorFlow's reader of the checkpoint `path`."""
        shapes, dtypes = reader.get_variable_to_shape_map(), reader.get_variable_to_dtype_map()
        for name, variable in self._variables.items():
            key, like = _key(name), (variable.dtype, variable.shape.as_list())
            if (dtypes.get(key), shapes.get(key)) != like:
                raise _Damaged(f"{path / _INDEX} has not the {name} of its manifest")
        return {name: reader.get_tensor(_key(name)) for name in self._variables}


def named(items: dict[str, Nest]) -> dict[str, tf.Variable]:
    """Variables by readable names, as `Checkpoints` takes them.

    Args:
      items: dict name -> `tf.Variable`, or `learners.variables.Variables` whose leaves are named by
        their place in the nest, such as "meta/medoids/fast/params/0".
    """
    variables = {}
    for name, item in items.items():
        if isinstance(item, tf.Variable):
            variables[name] = item
        else:
            leaves = item.named().items()
            variables |= {f"{name}/{leaf}": variable for leaf, variable in leaves}
    return variables


def newest_step(directory: str | os.PathLike[str]) -> int:
    """The step of the newest checkpoint by its name alone, 0 without one."""
    found = _found(pathlib.Path(directory))
    return found[0][0] if found else 0


class _Damaged(Exception):
    """Names the file of a checkpoint that is not what was written, and says what is wrong."""


@contextlib.contextmanager
def _plain_path(path: pathlib.Path) -> Iterator[pathlib.Path]:
    """A path of the directory `path` that TensorFlow's reader does not take for a pattern.

    It looks for a checkpoint by its path as a glob, in which "[1]" stands for "1".
    """
    if not set(str(path)) & set("[]*?\\"):
        yield path
        return
    with tempfile.TemporaryDirectory() as folder:
        link = pathlib.Path(folder, "checkpoint")
        link.symlink_to(path.absolute(), target_is_directory=True)
        yield link


def _found(directory: pathlib.Path) -> list[tuple[int, pathlib.Path]]:
    """[(step, path)] of the directory's checkpoints, whole or not, newest first."""
    paths = directory.iterdir() if directory.is_dir() else ()
    matches = [(_NAME.fullmatch(path.name), path) for path in paths]
    return sorted(((int(match[1]), path) for match, path in matches if match), reverse=True)


def _read_manifest(path: pathlib.Path, step: int) -> dict[str, Any]:
    """A manifest that is as it was written."""
    file = path / _MANIFEST
    if path.is_symlink() or not path.is_dir():
        raise _Damaged(f"{path} is not a directory")
    _check_regular(file, _SLACK)
    try:
        manifest = json.loads(file.read_bytes())
        digest = manifest.pop("sha256")
        whole = digest == _digest(manifest) and manifest["step"] == step
    except OSError as error:
        raise _unreadable(file, error) from None
    except (ValueError, RecursionError, KeyError, TypeError, AttributeError):
        raise _Damaged(f"{file} is not a manifest") from None
    if not whole:
        raise _Damaged(f"{file} is not as it was written")
    return manifest


def _check_file(file: pathlib.Path, files: dict[str, Any], most: int) -> None:
    expected = files.get(file.name) if isinstance(files, dict) else None
    size = _check_regular(file, most)
    if not isinstance(expected, dict) or size != expected.get("size"):
        raise _Damaged(f"{file} has another size than was written: {size} bytes")
    try:
        same = _fingerprint(file) == expected
    except OSError as error:
        raise _unreadable(file, error) from None
    if not same:
        raise _Damaged(f"{file} has another SHA-256 than was written")


def _check_regular(file: pathlib.Path, most: int) -> int:
    """The size of a regular file of at most so many bytes."""
    try:
        status = file.lstat()
    except OSError as error:
        raise _unreadable(file, error) from None
    if not stat.S_ISREG(status.st_mode) or status.st_size > most:
        raise _Damaged(f"{file} is not a regular file of at most {most} bytes")
    return status.st_size


def _unreadable(file: pathlib.Path, error: OSError) -> Exception:
    """What an `OSError` on opening a file of a checkpoint is to be raised as.

    A file that is gone, or that the disk can't give, is damage, and the checkpoint before may be
    taken. Anything else, such as missing permission, says nothing of the file.
    """
    if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.EIO):
        return _Damaged(f"{file}: {error.strerror}")
    return ConfigError(f"{file} can't be read: {error.strerror}")


def _fingerprint(file: pathlib.Path) -> dict[str, Any]:
    """A file's size and SHA-256."""
    digest = hashlib.sha256()
    with open(file, "rb") as stream:
        while block := stream.read(2**20):
            digest.update(block)
    return {"size": file.stat().st_size, "sha256": digest.hexdigest()}


def _digest(content: Any) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _kind(variable: tf.Variable) -> str:
    return f"{variable.dtype.name} {variable.shape.as_list()}"


def _key(name: str) -> str:
    """The name that `tf.train.Checkpoint` gives an attribute's value."""
    return name.replace(".", "..").replace("/", ".S") + "/.ATTRIBUTES/VARIABLE_VALUE"


def _common(config: Any, other: Any) -> Any:
    """The fields of a nested dict that another has too: versions of tfcaml add some."""
    if isinstance(config, dict) and isinstance(other, dict):
        return {key: _common(config[key], other[key]) for key in config if key in other}
    return config


def _remove(path: pathlib.Path) -> None:
    """Removes a file or directory so that no part of it keeps its name."""
    part = path.with_name(path.name + ".part")
    path.rename(part)
    _delete(part)


def _delete(path: pathlib.Path) -> None:
    shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()


def _sync(path: pathlib.Path) -> None:
    """Has a file or directory on the disk, not on its way there."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
